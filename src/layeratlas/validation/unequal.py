"""Two levels whose signals rise alike, with unequal numbers of texts and unequal difficulty, read by real probes.

Neither makes one level emerge deeper than the other. In accuracies both do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import Design, Probed, make_design, probe_layers
from layeratlas.runs.finding import Finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.emergence import emergence_depth
from layeratlas.stats.measures import measures_for
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.hierarchy.curves import task_curves
from layeratlas.studies.hierarchy.findings.emergence import emergence_order_findings
from layeratlas.studies.hierarchy.phrasing import Phrasing
from layeratlas.studies.hierarchy.second_repeat import chosen_layers
from layeratlas.validation.noise import layer_noise
from layeratlas.validation.rate import Check, Count

_POINTS, _WIDTH, _PER_GROUP, _SHARED = 16, 96, 4, 0.2
_DEPTH = np.linspace(0, 1, _POINTS)
_PROBE = ProbeSpec(methods=("ridge",), repeats=2, shuffles=20, bootstrap=300)
# The number of partitions into folds; computing one takes longer than the probes.
_PARTITIONS = 8


class Level(NamedTuple):
    """A level of two classes: its texts, the signal at its strongest layer, and the depth at which its rise starts.

    The signal is half the distance of the classes in standard deviations of the noise. It rises over 0.6 of the depth.
    """

    name: str
    texts: int
    strength: float
    start: float

    @property
    def signal(self) -> Floats:
        """The signal at each point, (P,)."""
        rise: Floats = np.clip((_DEPTH - self.start) / 0.6, 0, 1)
        return self.strength * rise

    @property
    def depth(self) -> float:
        """The true depth of emergence."""
        return float(emergence_depth(self.signal**2, _DEPTH))


# 800 texts that are read with an accuracy of about 0.95, and 400 that are read with one of about 0.85.
EASY = Level("item", 800, 1.8, 0.1)
HARD, DEEPER = (Level("relation", 400, 1.2, start) for start in (0.1, 0.35))


@cache
def _design(texts: int, partition: int) -> Design:
    groups = range(texts // _PER_GROUP)
    items = tuple(Item(f"text {g}.{i}", f"class {g % 2}", f"group-{g:04d}") for g in groups for i in range(_PER_GROUP))
    return make_design(Dataset("planted", "planted", items), _PROBE, partition)


def simulated_level(level: Level, seed: int, repeats: int = 2) -> Curve:
    """Return the accuracy of probes of a level, and its signal, from activations with persistent noise.

    With one repeat, a second is known at a few layers, as in runs of size quick.
    """
    return curve_of(simulated_scores(level, seed, repeats), level, seed)


def curve_of(probed: Probed, level: Level, seed: int) -> Curve:
    """Return the curve of a level's scores."""
    sampler = Resampler([item.group for item in probed.design.data.items], _PROBE.bootstrap, seed, halves=100)
    return replace(task_curves(probed, sampler)[0], level=level.name)


def simulated_scores(level: Level, seed: int, repeats: int = 2) -> Probed:
    """Return the scores of probes of a level. Texts of a group share a fifth of the variance of their noise."""
    rng = np.random.default_rng([seed, level.texts])
    design = _design(level.texts, seed % _PARTITIONS)
    group = np.arange(level.texts) // _PER_GROUP
    noise = np.sqrt(1 - _SHARED) * layer_noise(rng, level.texts, _WIDTH, _POINTS)
    noise += np.sqrt(_SHARED) * layer_noise(rng, group[-1] + 1, _WIDTH, _POINTS)[group]
    direction = rng.standard_normal(_WIDTH)
    direction /= np.linalg.norm(direction)
    planted = np.where(design.y == 1, 1.0, -1.0)[:, None, None] * direction[:, None] * level.signal
    layers = [results[0] for results in probe_layers((noise + planted).transpose(2, 0, 1), design, _PROBE.methods)]
    both = Probed(
        design=design,
        component="resid",
        method="ridge",
        scores=np.stack([layer.scores for layer in layers]),
        shuffled=np.stack([layer.shuffled for layer in layers]),
        baseline=dict.fromkeys(measures_for("classes", 2), 0.5),
    )
    return both if repeats == 2 else _of_one_repeat(both)


def _of_one_repeat(both: Probed) -> Probed:
    """Return the scores of the first of two repeats, with the second at the layers at which a run measures it."""
    design, layers = both.design, chosen_layers(_POINTS)
    first = replace(design, folds=tuple(fold for fold in design.folds if fold.repeat == 0), repeats=1)
    twice = replace(both, scores=both.scores[layers], shuffled=both.shuffled[layers])
    return replace(both, design=first, scores=both.scores[:, :1], twice=twice)


def order_of(earlier: Curve, later: Curve) -> Finding:
    """Return the finding on the order of emergence of two levels."""
    return emergence_order_findings([(earlier, later)], Phrasing())[0]


def _simulated(later: Level, seed: int, repeats: int = 2) -> Finding:
    return order_of(simulated_level(EASY, seed, repeats), simulated_level(later, seed, repeats))


def _decided(seed: int, repeats: int = 2) -> Count:
    return Count(int(_simulated(HARD, seed, repeats).verdict != "inconclusive"))


def _found(seed: int, repeats: int = 2) -> Count:
    return Count(int(_simulated(DEEPER, seed, repeats).verdict == "supported"))


def _holds(later: Level) -> Callable[[int], Count]:
    """Return a simulation of whether the interval of the difference covers the true one."""

    def simulate(seed: int) -> Count:
        finding = _simulated(later, seed)
        return Count(int(finding.lo <= later.depth - EASY.depth <= finding.hi))

    return simulate


_ALIKE = "signals that rise alike, 800 easy texts and 400 hard ones"
UNEQUAL_CHECKS: Sequence[Check] = (
    Check(planted=_ALIKE, finding="emergence order, either way", simulate=_decided, at_most=0.05),
    Check(
        planted="the same, the hard ones 0.25 deeper",
        finding="emergence order",
        simulate=_found,
        at_least=0.9,
        weight=0.5,
    ),
    Check(
        planted=_ALIKE,
        finding="emergence order: interval, from scores",
        simulate=_holds(HARD),
        at_least=0.93,
    ),
    Check(
        planted=f"{_ALIKE}, one repeat",
        finding="emergence order, either way",
        simulate=partial(_decided, repeats=1),
        at_most=0.05,
    ),
    Check(
        planted="the same, the hard ones 0.25 deeper, one repeat",
        finding="emergence order",
        simulate=partial(_found, repeats=1),
        at_least=0.9,
        weight=0.5,
    ),
)
