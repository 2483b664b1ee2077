"""Simulated probing at the widths of real models, against an analytic truth: the accuracy of fitted probes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import Design, LinearProbeClassifier, Probed, make_design, probe_layers
from layeratlas.stats.measures import measures_for
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.hierarchy.curves import task_curves
from layeratlas.studies.hierarchy.names import WHOLE
from layeratlas.validation.rate import Check, Count

_PROBE = ProbeSpec(methods=("ridge",), shuffles=20, bootstrap=400)
# The number of partitions into folds; computing one takes longer than the probes.
PARTITIONS = 8
# Simulations together have at most so many features.
_TOGETHER = 8 * 576
# The number of training sets for the mean accuracy of probes; its standard error is then below 0.004.
_TRAINING_SETS = 30


class Cell(NamedTuple):
    """Width, groups, texts per group, half the distance of the classes in standard deviations, and the shared noise.

    `shared` is the share of the variance that the texts of a group have in common; `repeats` the number of partitions
    into folds: two at size standard, one at size quick.
    """

    width: int
    groups: int
    size: int
    strength: float
    shared: float
    repeats: int = 2

    def __str__(self) -> str:
        text = f"width {self.width}, {self.groups} groups, {self.shared:.0%} shared noise"
        return text if self.repeats > 1 else f"{text}, one repeat"


CELLS = (
    Cell(576, 8, 10, 1.6, 0.2),
    Cell(576, 13, 8, 1.6, 0.2),
    Cell(576, 40, 5, 1.3, 0.0),
    Cell(576, 40, 5, 1.3, 0.2),
    Cell(576, 200, 1, 1.3, 0.0),
    Cell(3072, 40, 5, 2.0, 0.2),
    Cell(576, 13, 8, 1.6, 0.2, repeats=1),
    Cell(576, 40, 5, 1.3, 0.2, repeats=1),
)


class _Planted(NamedTuple):
    """Texts (n, width) of two classes with means at +-`mean`, and their design for probing."""

    x: Floats
    mean: Floats
    design: Design


@cache
def _design(groups: int, size: int, repeats: int, seed: int) -> Design:
    """Return the design of a data set of two classes, without controls, because intervals do not use them."""
    items = tuple(Item(f"text {i}", f"class {i // size % 2}", f"group-{i // size:04d}") for i in range(groups * size))
    probe = _PROBE.model_copy(update={"repeats": repeats})
    design = make_design(Dataset("planted", "planted", items), probe, seed)
    return replace(design, shuffled=design.shuffled[:1], control_tasks=design.control_tasks[:0])


def _planted(cell: Cell, seed: int) -> _Planted:
    rng = np.random.default_rng([seed, cell.groups, cell.width])
    group = np.arange(cell.groups * cell.size) // cell.size
    mean = rng.standard_normal(cell.width)
    mean *= cell.strength / np.linalg.norm(mean)
    common = rng.standard_normal((cell.groups, cell.width))[group]
    own = rng.standard_normal((len(group), cell.width))
    sign = np.where(group % 2, 1.0, -1.0)[:, None]
    x = sign * mean + np.sqrt(cell.shared) * common + np.sqrt(1 - cell.shared) * own
    return _Planted(x=x, mean=mean, design=_design(cell.groups, cell.size, cell.repeats, seed % PARTITIONS))


def exact_accuracy(planted: _Planted) -> float:
    """Return the mean accuracy of the probes of all folds on all texts.

    A probe with weights w and intercept b is right on texts of either class with probability Phi((+-b + w.m) / |w|).
    """
    right = []
    for fold in planted.design.folds:
        probe = LinearProbeClassifier("ridge").fit(planted.x[fold.train], planted.design.y[fold.train])
        length, ahead = np.linalg.norm(probe.coef_), float((probe.coef_ @ planted.mean).item())
        shift = float(probe.intercept_.item())
        right.append(scipy.stats.norm.cdf([(ahead + shift) / length, (ahead - shift) / length]).mean())
    return float(np.mean(right))


@cache
def expected_accuracy(cell: Cell) -> float:
    """Return the exact accuracy of a probe, averaged over training sets that no simulation uses."""
    return float(np.mean([exact_accuracy(_planted(cell, 10**6 + seed)) for seed in range(_TRAINING_SETS)]))


def interval(cell: Cell, seed: int) -> tuple[float, float]:
    """Return the interval that a run reports for the accuracy on such texts at one layer."""
    lo, hi, _ = intervals(cell, [seed])[0].tolist()
    return lo, hi


def batches(cell: Cell, simulations: int) -> list[range]:
    """Return the seeds from 0 in batches for `intervals`; narrow ones are faster together, wide ones are not."""
    step = PARTITIONS * max(1, _TOGETHER // cell.width)
    starts = [first + part for first in range(0, simulations, step) for part in range(PARTITIONS)]
    found = (range(start, min(start - start % PARTITIONS + step, simulations), PARTITIONS) for start in starts)
    return [seeds for seeds in found if seeds]


def intervals(cell: Cell, seeds: Sequence[int]) -> Floats:
    """Return intervals and estimates (S, 3) of simulations with the same folds, computed as the layers of one run.

    The seeds must be equal modulo `PARTITIONS`. Each row has the two ends and the accuracy that was seen.
    """
    if len({seed % PARTITIONS for seed in seeds}) > 1:
        raise ValueError(f"the seeds {list(seeds)} have different folds; expected seeds equal modulo {PARTITIONS}")
    design = _planted(cell, seeds[0]).design
    found = probe_layers(np.stack([_planted(cell, seed).x for seed in seeds]), design, _PROBE.methods)
    probed = Probed(
        design=design,
        component="resid",
        method="ridge",
        scores=np.stack([scores.scores for (scores,) in found]),
        shuffled=np.stack([scores.shuffled for (scores,) in found]),
        baseline=dict.fromkeys(measures_for("classes", 2), 0.0),
    )
    sampler = Resampler([item.group for item in design.data.items], _PROBE.bootstrap, seeds[0], halves=2)
    curves = task_curves(probed, sampler)
    curve = next(c for c in curves if c.metric == "accuracy" and c.stratum == WHOLE)
    return np.stack([*curve.interval, curve.estimate], -1)


def holds(cell: Cell) -> Callable[[int], Count]:
    """Return a simulation of whether an interval covers the expected accuracy."""

    def simulate(seed: int) -> Count:
        lo, hi = interval(cell, seed)
        return Count(int(lo <= expected_accuracy(cell) <= hi))

    return simulate


WIDTH_CHECKS: Sequence[Check] = tuple(
    Check(
        planted=str(cell),
        finding="hierarchy: interval",
        simulate=holds(cell),
        at_least=0.93,
        at_most=0.97,
        weight=10 if cell.width < 1000 else 5,
    )
    for cell in CELLS
)
