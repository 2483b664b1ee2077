"""A measure at every layer, with its bootstrap, chance, control and baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import TypeVar

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.design_effects import Effective
from layeratlas.stats.intervals import draws_interval, percentile_interval, share_interval

# Shares of the items among the measures of probes; a share of pairs, whose variance is not p (1 - p) over the items.
_SHARES, _RANKS = ("accuracy", "balanced_accuracy"), ("auroc",)


class ReferenceKind(StrEnum):
    """The kind of a reference: the same probe on control tasks, or on a model with random weights."""

    CONTROL_TASK = "control_task"
    RANDOM_WEIGHTS = "random_weights"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A reference curve (P,) for another curve on the same texts, and the other curve's gain over it.

    `draws` (B, P) are the bootstrap of `estimate`. `gain` (P,) and `gain_draws` (B, P) are the differences, paired by
    draw. `half_a`, `half_b` (H, P) are as in Curve, empty if not stored. There are `n` texts in `n_groups` groups.
    """

    estimate: Floats
    draws: Floats
    gain: Floats
    gain_draws: Floats
    n: int
    n_groups: int
    half_a: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    half_b: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def interval(self) -> tuple[Floats, Floats]:
        """The 95 % interval of the estimate, lo and hi each (P,)."""
        return percentile_interval(self.draws)

    @property
    def gain_interval(self) -> tuple[Floats, Floats]:
        """The 95 % interval of the gain, lo and hi each (P,)."""
        return percentile_interval(self.gain_draws)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One measure at P layers (of `resid`, the L+1 points) with its bootstrap.

    `estimate` (P,). `draws` (B, P) over resampled groups. `half_a`, `half_b` (H, P) on random halves of the groups and
    on their complements. `shuffles` (S, P): the control. `chance`: the score of guessing. `baseline`: the score of
    surface features (NaN for none), with its bootstrap `baseline_draws` (B,) over the same groups as `draws` (empty if
    not stored). `read`: the layers of `resid` in the columns, which include the last one (empty for all). `references`:
    curves for comparison, if measured. There are `n` items in `n_groups` groups; `effective`: their effective numbers,
    if they count unequally. `times`: a factor of a share's error that is not due to groups, (P,) or one number.
    `signal`: the squared signal-to-noise ratio of the same scores (`stats.signal_to_noise`), None if it is not known;
    of such a curve `ends` (2, P) are one standard error of an unmeasured share of training noise apart (else empty).
    """

    level: str
    task: str
    stratum: str
    component: str
    method: str
    metric: str
    estimate: Floats
    draws: Floats
    half_a: Floats
    half_b: Floats
    shuffles: Floats
    chance: float
    baseline: float
    n: int
    n_groups: int
    baseline_draws: Floats = field(default_factory=lambda: np.zeros(0))
    read: tuple[int, ...] = ()
    references: Mapping[ReferenceKind, Reference] = field(default_factory=dict)
    effective: Effective | None = None
    times: Floats | float = 1.0
    signal: Curve | None = None
    ends: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    @property
    def depth(self) -> Floats:
        """Relative depth of each point."""
        if self.read:
            return np.array(self.read) / max(self.read[-1], 1)
        return depths(len(self.estimate), self.component)

    @property
    def layers(self) -> list[int]:
        """The number of each point."""
        return list(self.read or range(len(self.estimate)))

    @cached_property
    def interval(self) -> tuple[Floats, Floats]:
        """The 95 % bootstrap interval at each layer, lo and hi each (P,); for shares see `share_interval`.

        With one group it is as wide as possible: 0 to 1 for shares, NaN for unbounded measures.
        """
        if self.is_share:
            return share_interval(self.estimate, self.draws, self.n_groups, self.counts, self.times)
        if self.is_bounded:
            return draws_interval(self.draws, self.n_groups, least=0.0, most=1.0)
        if self.n_groups < 2:
            unknown = np.full(len(self.estimate), np.nan)
            return unknown, unknown
        return percentile_interval(self.draws)

    @property
    def counts(self) -> Effective:
        """The effective numbers of items and groups."""
        return self.effective or Effective(self.n, self.n_groups)

    @property
    def is_share(self) -> bool:
        """Whether the measure is a share of the items, between 0 and 1."""
        return self.metric in _SHARES

    @property
    def is_bounded(self) -> bool:
        """Whether the measure is between 0 and 1."""
        return self.is_share or self.metric in _RANKS

    @property
    def floor(self) -> Floats:
        """The floor at each layer, (P,): the largest of chance, control and baseline; encoded levels exceed it."""
        control = self.shuffles.mean(0) if len(self.shuffles) else np.full(len(self.estimate), -np.inf)
        floor: Floats = np.fmax(np.fmax(control, self.chance), self.baseline)
        return floor


def depths(points: int, component: str) -> Floats:
    """Return the relative depth of each point: l / L for resid, (block + 1) / L for attn and mlp."""
    return np.arange(points) / max(points - 1, 1) if component == "resid" else (np.arange(points) + 1) / points


AnyCurve = TypeVar("AnyCurve", bound=Curve)


def level_curve(curves: Sequence[AnyCurve], n_groups: int) -> AnyCurve:
    """Return the mean of a level's task curves (one component, method and measure), which may share groups.

    A subclass with further fields keeps those of the first curve, unless it averages them itself by `mean_of`.
    """
    return replace(
        curves[0],
        task="all",
        stratum="all",
        estimate=mean_of(curves, "estimate"),
        draws=mean_of(curves, "draws"),
        half_a=mean_of(curves, "half_a"),
        half_b=mean_of(curves, "half_b"),
        shuffles=mean_of(curves, "shuffles"),
        chance=float(mean_of(curves, "chance")),
        baseline=float(mean_of(curves, "baseline")),
        baseline_draws=_mean_baseline(curves),
        references=_mean_references(curves, n_groups),
        n=sum(c.n for c in curves),
        n_groups=n_groups,
        effective=_mean_effective(curves, n_groups),
        times=_mean(curves, "times"),
        signal=_mean_signal(curves, n_groups),
        ends=mean_of(curves, "ends"),
    )


def _mean_signal(curves: Sequence[Curve], n_groups: int) -> Curve | None:
    """Return the mean of the curves' signals; None if one has none."""
    known = [curve.signal for curve in curves if curve.signal is not None]
    return level_curve(known, n_groups) if len(known) == len(curves) else None


def _mean_effective(curves: Sequence[Curve], n_groups: int) -> Effective:
    """Return the effective numbers of a mean of curves: no item is in two of them, but groups may be."""
    items, groups = (
        np.mean([1 / numbers for numbers in column]) for column in zip(*(c.counts for c in curves), strict=True)
    )
    shared = np.mean([curve.n_groups for curve in curves]) / n_groups  # 1 if all have the same groups
    return Effective(float(len(curves) / items), float(1 / (groups * shared)))


def _mean_baseline(curves: Sequence[Curve]) -> Floats:
    """Return the mean of the curves' baseline draws; empty if a curve has none."""
    if any(not curve.baseline_draws.size for curve in curves):
        return np.zeros(0)
    return mean_of(curves, "baseline_draws")


_AVERAGED = ("estimate", "draws", "gain", "gain_draws", "half_a", "half_b")


def _mean_references(curves: Sequence[Curve], n_groups: int) -> dict[ReferenceKind, Reference]:
    """Return the mean of each reference that all the curves have."""
    means = {}
    for kind in curves[0].references:
        if all(kind in curve.references for curve in curves):
            same = [curve.references[kind] for curve in curves]
            arrays = {name: _mean(same, name) for name in _AVERAGED}
            n = sum(reference.n for reference in same)
            means[kind] = Reference(**arrays, n=n, n_groups=min(n_groups, sum(r.n_groups for r in same)))
    return means


def mean_of(curves: Sequence[Curve], field: str) -> Floats:
    """Return the mean of a field of several curves."""
    return _mean(curves, field)


def _mean(records: Sequence[object], field: str) -> Floats:
    value: Floats = np.mean([getattr(record, field) for record in records], axis=0)
    return value
