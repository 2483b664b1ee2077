"""A second repeat of the cross-validation at a few layers, where a run has a single one.

The noise that training adds to scores shows in the differences between repeats. It is taken to be the same at all
layers, so that a few of them tell it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from layeratlas.probes import Design, Probed
from layeratlas.runs.workspace import Workspace
from layeratlas.store.shards import Tensors
from layeratlas.studies.hierarchy.designs import design_twice
from layeratlas.studies.hierarchy.layers import Probing, probed_layers

# The names of the tensors with the scores of the second repeat, and the layers they are of.
SECOND, SECOND_LAYERS = "second.scores", "second.layers"
# The number of layers at which the second repeat is measured.
_LAYERS = 5


def chosen_layers(points: int) -> list[int]:
    """Return the layers of the second repeat, spread over the depth up to the deepest.

    The first layer is left out where there are enough others: what has no signal says nothing of the noise.
    """
    layers = np.linspace(0, points - 1, _LAYERS + 1)[1:] if points > _LAYERS else np.arange(points)
    return [round(layer) for layer in layers]


def second_scores(work: Workspace, asked: Probing) -> Tensors:
    """Return the scores (Q, 1, n, k) of the first probe under the second repeat, and their layers (Q,).

    `asked` are some layers of a component. No tensors where the run has repeats of its own.
    """
    design = design_twice(work, asked.design)
    if design is None:
        return {}
    layers = [layer for layer in chosen_layers(asked.store.shape.points[asked.component]) if layer in asked.layers]
    scores = np.zeros((0, 1, len(design.y), 1 if design.classes <= 2 else design.classes))
    if layers:
        second = replace(asked, design=_second(design), methods=asked.methods[:1], seed=None, only=layers)
        scores = np.stack([result.scores[0].scores for result in probed_layers(work, second)])
    return {SECOND: scores, SECOND_LAYERS: np.array(layers, dtype=np.int64)}


def _second(design: Design) -> Design:
    """Return the second repeat of a design alone."""
    return replace(design, folds=tuple(replace(fold, repeat=0) for fold in design.folds if fold.repeat == 1), repeats=1)


def with_second_repeat(work: Workspace, probed: Probed, tensors: Tensors) -> Probed:
    """Return the scores of a run's first probe with its second repeat, if the file of scores has one."""
    design = design_twice(work, probed.design) if SECOND in tensors else None
    if design is None:
        return probed
    layers = tensors[SECOND_LAYERS]
    both = np.concatenate([probed.scores[layers], tensors[SECOND]], axis=1)
    return replace(probed, twice=replace(probed, design=design, scores=both, shuffled=probed.shuffled[layers]))
