"""Scores to curves: an estimate at every layer with its bootstrap, chance, control and baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import scipy
from numpy.typing import NDArray

from layeratlas.analysis.measures import chance, measures_for
from layeratlas.analysis.sweep import Probed

Floats = NDArray[np.float64]
# The spread of accuracies over simulated runs is 1.05 to 1.1 times that of the bootstrap where there is a signal, and
# up to 1.2 times at chance; with this factor `layeratlas validate` finds 95 % intervals to hold the truth as they say.
_TRAINED = 1.08


@dataclass(frozen=True)
class Curve:
    """One measure by layer, P layers.

    estimate (P,); draws (B, P) over resampled groups; half_a, half_b (H, P) on random halves of the groups and
    their complements; shuffles (S, P); `chance` and `baseline` are single numbers.
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

    @property
    def depth(self) -> Floats:
        """Relative depth of each point."""
        return depths(len(self.estimate), self.component)

    @property
    def interval(self) -> tuple[Floats, Floats]:
        """The 95 % percentile bootstrap interval at each layer.

        Where every draw is right (or wrong), no draw knows of rarer errors: the interval then reaches three errors in
        so many groups (Hanley and Lippman-Hand 1983).
        """
        lo, hi = np.percentile(self.draws, [2.5, 97.5], axis=0)
        if self.metric in ("accuracy", "balanced_accuracy", "auroc"):
            same = hi - lo < 1e-12
            reach = min(1.0, 3 / max(self.n_groups, 1))
            lo = np.where(same & (lo >= 1 - 1e-12), 1 - reach, lo)
            hi = np.where(same & (hi <= 1e-12), reach, hi)
        return lo, hi


def depths(points: int, component: str) -> Floats:
    """Return the relative depth of each point: l / L for resid, (block + 1) / L for attn and mlp."""
    return np.arange(points) / max(points - 1, 1) if component == "resid" else (np.arange(points) + 1) / points


AnyCurve = TypeVar("AnyCurve", bound=Curve)


class Resampler:
    """Group weights that are shared by every data set in which a group occurs.

    Row 0 is the whole sample; then `bootstrap` multinomial draws over groups; then `halves` random halves and
    their complements. Data sets of one level can share groups (a noun has four properties), and then their
    means must be resampled together.
    """

    def __init__(self, groups: Sequence[str], bootstrap: int, seed: int, halves: int = 200) -> None:
        names = sorted(set(groups))
        rng = np.random.default_rng([seed, 11])
        g = len(names)
        draws = rng.multinomial(g, np.full(g, 1 / g), size=bootstrap)
        first = np.argsort(rng.random((halves, g)), axis=1).argsort(1) < g // 2
        self._weights = np.concatenate([np.ones((1, g)), draws, first, ~first]).astype(float)
        self._at = {name: i for i, name in enumerate(names)}
        self.bootstrap, self.halves = bootstrap, halves

    def weights(self, groups: Sequence[str]) -> Floats:
        """Return item weights, (1 + bootstrap + 2 halves, n)."""
        return self._weights[:, [self._at[g] for g in groups]]


def task_curves(probed: Probed, resampler: Resampler) -> list[Curve]:
    """Return a curve per stratum and measure of one probed component."""
    design, data, shuffled = probed.design, probed.design.data, probed.shuffled
    weights = resampler.weights([item.group for item in data.items])
    out = []
    for i, stratum in enumerate(design.strata):
        inside = design.rows_of(stratum)
        y, w = design.y[inside], weights[:, inside]
        for j, (name, measure) in enumerate(measures_for(data.kind, design.classes).items()):
            values = measure(probed.scores[:, :, inside], y, w).mean(-1)
            n_groups = len(set(data.groups[inside]))
            estimate, draws, a, b = _parts(values, resampler)
            draws = widened(estimate, draws, n_groups, most=1.0)
            floor = probed.baseline[name] if stratum == "all" else float("nan")
            out.append(
                Curve(
                    data.level, data.name, stratum, probed.component, probed.method, name, estimate, draws, a, b,
                    shuffled[:, i, j].T, chance(name, y), floor, int(inside.sum()), n_groups,
                )
            )  # fmt: skip
    return out


def _parts(values: Floats, resampler: Resampler) -> tuple[Floats, Floats, Floats, Floats]:
    b, h = resampler.bootstrap, resampler.halves
    # A draw can miss a class in a small stratum and then has no value; the estimate stands in for it.
    values = np.where(np.isfinite(values), values, values[:1])
    return values[0], values[1 : 1 + b], values[1 + b : 1 + b + h], values[1 + b + h :]


def widened(estimate: Floats, draws: Floats, n_groups: int, most: float = np.inf) -> Floats:
    """Return bootstrap draws (B, P) spread as far as few groups, and a probe trained on them, ask for.

    The percentile bootstrap of few clusters is too narrow (Cameron, Gelbach and Miller 2008): by a fifth at 10 groups,
    by 2 % at 100; Student's t with G - 1 degrees of freedom mends that. And it resamples scores, not the training of
    the probe that gave them, which is one part in twelve of the spread.
    """
    g = max(n_groups, 2)
    factor = _TRAINED * np.sqrt(g / (g - 1)) * scipy.stats.t.ppf(0.975, g - 1) / scipy.stats.norm.ppf(0.975)
    wide: Floats = np.minimum(estimate + (draws - estimate) * factor, most)
    return wide


def level_curve(curves: Sequence[AnyCurve], n_groups: int) -> AnyCurve:
    """Return the mean of a level's task curves (one component, method and measure); they may share groups.

    A kind of curve with fields of its own has those of the first one and averages them itself, by `mean_of`.
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
        n=sum(c.n for c in curves),
        n_groups=n_groups,
    )


def mean_of(curves: Sequence[Curve], field: str) -> Floats:
    """Return the mean of a field of several curves."""
    value: Floats = np.mean([getattr(c, field) for c in curves], axis=0)
    return value
