"""Probe a data set layer by layer: out-of-fold scores on true and on shuffled labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

import numpy as np

from layeratlas.core import registry
from layeratlas.core.arrays import Array, Bools, Floats, Ints
from layeratlas.core.errors import DataError
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset
from layeratlas.probes._contract import Fold, Probe
from layeratlas.probes._control_tasks import control_labels
from layeratlas.probes._dual import (
    SplitGram,
    Weights,
    fitted_weights,
    held_out_scores,
    label_columns,
    split_gram,
    with_ties,
)
from layeratlas.probes._folds import label_shuffles, make_folds, second_folds
from layeratlas.probes._gram import to_numpy
from layeratlas.stats.measures import measures_for

# The name of the stratum of all items and of the task of a whole level.
_WHOLE = "all"


@dataclass(frozen=True, kw_only=True)
class Design:
    """The folds, shuffles and labels that all layers of a data set share.

    y: labels (n,). shuffled: labels under each shuffle (shuffles, n). control_tasks: labels of each control task
    (tasks, n), random per word. strata: names of subsets of the items, "all" first. `others`: the number of further
    texts, not among the items, that train the probe in every fold (`probe_shards`).
    """

    data: Dataset
    folds: tuple[Fold, ...]
    repeats: int
    y: Floats
    shuffled: Floats
    strata: tuple[str, ...]
    spec: ProbeSpec = field(default_factory=ProbeSpec)
    control_tasks: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    others: int = 0

    @property
    def classes(self) -> int:
        """The number of classes, 0 for numbers."""
        return len(self.data.classes)

    def rows_of(self, stratum: str) -> Bools:
        """Return which items belong to a stratum, (n,)."""
        return np.array([stratum in (_WHOLE, s) for s in self.data.strata])


def make_design(data: Dataset, spec: ProbeSpec, seed: int) -> Design:
    """Return the design of a data set, which every layer, component and probe shares."""
    folds = make_folds(data, spec.folds, spec.repeats, seed)
    return _design(
        data, spec, folds, label_shuffles(data, folds, spec.shuffles, seed), control_labels(data, folds, seed)
    )


def bare_design(data: Dataset, spec: ProbeSpec, seed: int) -> Design:
    """Return the design with only the folds of the first repeat, one shuffle and no control task.

    These are those of `make_design`; the shuffles and control tasks left out take most of its time.
    """
    folds = make_folds(data, spec.folds, 1, seed)
    return _design(data, spec, folds, label_shuffles(data, folds, 1, seed), np.zeros((0, len(data.y))))


def twice_split(design: Design, seed: int) -> Design | None:
    """Return a design of one repeat with a second one, that of the same seed, with one shuffle and no control task.

    None where the design has repeats already, or where its groups allow no other folds.
    """
    try:
        folds = second_folds(design.data, design.spec.folds, seed) if design.repeats == 1 else []
    except DataError:  # a training fold of the second repeat lacks a class
        folds = []
    if not folds:
        return None
    tasks = np.zeros((0, len(design.y)))
    return replace(design, folds=(*design.folds, *folds), repeats=2, shuffled=design.shuffled[:1], control_tasks=tasks)


def _design(data: Dataset, spec: ProbeSpec, folds: Sequence[Fold], orders: Ints, control_tasks: Floats) -> Design:
    names = sorted(set(data.strata))
    return Design(
        data=data,
        folds=tuple(folds),
        repeats=folds[-1].repeat + 1,
        y=data.y,
        shuffled=data.y[orders],
        strata=(_WHOLE, *(name for name in names if name != _WHOLE)) if len(names) > 1 else (_WHOLE,),
        spec=spec,
        control_tasks=control_tasks,
    )


@dataclass(frozen=True, kw_only=True)
class LayerScores:
    """One probe at one layer.

    scores: (repeats, n, k) out of fold. shuffled: (strata, measures, shuffles), the out-of-fold measure of each shuffle
    against its own labels. control_tasks: (tasks, n, k), the out-of-fold scores of each control task.
    """

    scores: Floats
    shuffled: Floats
    control_tasks: Floats = field(default_factory=lambda: np.zeros((0, 0, 0)))


@dataclass(frozen=True, kw_only=True)
class Probed:
    """One probe at every layer of one component (P layers).

    scores: (P, repeats, n, k) out of fold. shuffled: (P, strata, measures, shuffles). control_tasks: (P, tasks, n, k),
    without tasks for probes with costly shuffles. `baseline`: the surface baseline by measure. `baseline_scores`:
    (repeats, n, k) of the best surface features, or None if they are not kept. `twice`: where the design has a single
    repeat, the same probe with a second one at some of the layers, or None if it was not measured.
    """

    design: Design
    component: str
    method: str
    scores: Floats
    shuffled: Floats
    baseline: dict[str, float]
    baseline_scores: Floats | None = None
    control_tasks: Floats = field(default_factory=lambda: np.zeros((0, 0, 0, 0)))
    twice: Self | None = None


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The label columns of a design: the labels (n, k), their shuffles (s, n, k) and the control tasks (t, n, k)."""

    real: Floats
    shuffled: Floats
    control_tasks: Floats

    @classmethod
    def of(cls, design: Design) -> Labels:
        """Return the label columns of a design."""
        tasks = design.control_tasks if design.control_tasks.size else design.shuffled[:0]
        rows = (design.y, design.shuffled, tasks)
        real, shuffled, control_tasks = (label_columns(y, design.classes) for y in rows)
        return cls(real=real, shuffled=shuffled, control_tasks=control_tasks)


class OutOfFold:
    """The out-of-fold scores of one probe at a batch of layers, filled fold by fold.

    scores: (layers, repeats, n, k). Shuffles and control tasks are scored on the folds of the first repeat only.
    """

    def __init__(self, probe: Probe, design: Design, labels: Labels, layers: int) -> None:
        self.probe, self._design, self._real = probe, design, labels.real
        self._discrete = design.classes > 0
        self._shuffles = min(probe.shuffles(len(labels.shuffled)), len(labels.shuffled))
        tasks = labels.control_tasks[:0] if probe.costly_shuffles else labels.control_tasks
        self._random = np.concatenate([labels.shuffled[: self._shuffles], tasks])
        self._scores = np.zeros((layers, design.repeats, *labels.real.shape))
        self._random_scores = np.zeros((layers, *self._random.shape))

    def add(self, fold: Fold, score: Callable[[Floats], Floats]) -> None:
        """Score the fold's test rows; shuffles and control tasks are further label columns of the same fit.

        `score` takes the label columns of the training rows (n_train, c) and returns the scores of the test rows
        (layers, n_test, c).
        """
        random = self._random if fold.repeat == 0 else self._random[:0]
        y = np.concatenate([self._real[None, fold.train], random[:, fold.train]]).transpose(1, 0, 2)
        flat = score(y.reshape(len(fold.train), -1))
        scores = flat.reshape(len(flat), len(fold.test), -1, self._real.shape[-1])
        if self._discrete:
            scores = with_ties(scores)
        self._scores[:, fold.repeat, fold.test] = scores[:, :, 0]
        if fold.repeat == 0:
            self._random_scores[:, :, fold.test] = scores[:, :, 1:].transpose(0, 2, 1, 3)

    def at(self, layer: int) -> LayerScores:
        """Return the scores of a layer of the batch; shuffles are measured against their own labels."""
        random = self._random_scores[layer]
        return LayerScores(
            scores=self._scores[layer],
            shuffled=_measure_shuffles(random[: self._shuffles], self._design),
            control_tasks=random[self._shuffles :],
        )


def probe_layers(x: Array, design: Design, methods: Sequence[str]) -> list[list[LayerScores]]:
    """Probe the vectors of layers (layers, n, d) in float64, together, with every method; return each layer's scores.

    x may be on any device, in any namespace of the array API. Folds and Gram matrices are computed there once and
    shared by all methods.
    """
    probes: list[Probe] = [registry.get("probes", name).configured(design.spec) for name in methods]
    labels = Labels.of(design)
    results = [OutOfFold(probe, design, labels, x.shape[0]) for probe in probes]
    for fold in design.folds:
        gram = split_gram(x, fold.train, fold.test, design.spec.pca)
        for result in results:
            result.add(fold, partial(_scores, result.probe, gram))
    return [[result.at(layer) for result in results] for layer in range(x.shape[0])]


def _scores(probe: Probe, gram: SplitGram, y: Floats) -> Floats:
    """Return the scores of the test rows (layers, n_test, c) for label columns y (n_train, c)."""
    scores: Floats = to_numpy(held_out_scores(probe, gram, gram.train.xp.asarray(y, device=gram.test.device)))
    return scores


def probe_layer(x: Floats, design: Design, methods: Sequence[str]) -> list[LayerScores]:
    """Probe one layer's vectors x (n, d) with every method."""
    return probe_layers(x[None], design, methods)[0]


def probe_weights(x: Floats, design: Design, method: str) -> Weights:
    """Return a probe fitted on all of one layer's vectors x (n, d), with the same settings as in the folds."""
    probe: Probe = registry.get("probes", method).configured(design.spec)
    return fitted_weights(probe, x, label_columns(design.y, design.classes), design.spec.pca)


def _measure_shuffles(control: Floats, design: Design) -> Floats:
    """Return each shuffle's measures against its own labels, (strata, measures, shuffles)."""
    measures = measures_for(design.data.kind, design.classes)
    y = design.shuffled[: len(control)]
    weights = np.stack([design.rows_of(stratum) for stratum in design.strata]).astype(float)
    return np.stack([measure(control, y, weights) for measure in measures.values()], axis=1)
