"""Curves over exits, each with its baseline and its control (the same choices without their question)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.curves import Curve, level_curve, mean_of
from layeratlas.stats.intervals import ROUNDING
from layeratlas.studies.exits.names import ACCURACY, ALL, BOUNDED, SHARES
from layeratlas.studies.exits.settings import SCORES


@dataclass(frozen=True, kw_only=True)
class ExitCurve(Curve):
    """A curve whose control (`shuffles`) is the bootstrap of the choices without their question.

    `baseline_draws` (B,) is the bootstrap of the baseline over the same draws; `control_a`, `control_b` (H, P) are the
    control in the two halves of the groups. If a set's choices are `evident` (wrong choices can be recognised without
    the question), the control is plotted but excluded from the floor. `freedom` are the degrees of freedom of the
    draws' spread; by default one less than the groups.
    """

    baseline_draws: Floats
    evident: bool
    control_a: Floats
    control_b: Floats
    freedom: float | None = None

    @property
    def degrees(self) -> float:
        """The degrees of freedom of the draws' spread."""
        return self.n_groups - 1 if self.freedom is None else self.freedom

    @property
    def floor(self) -> Floats:
        """What an exit must beat, (P,): the best of chance, the baseline and the choice without the question."""
        return self.floor_with(self.shuffles.mean(0))

    def floor_with(self, control: Floats) -> Floats:
        """Return the floor for a given accuracy `control` (..., P) of the choices without their questions."""
        floor: Floats = np.maximum(control * (not self.evident), max(self.chance, self.baseline))
        return floor

    @property
    def excess(self) -> Floats:
        """Estimates over the floor, (P,)."""
        return self.estimate - self.floor

    @property
    def gains(self) -> Floats:
        """Draws over the floor, (B, P); each draw has its own floor."""
        fixed = np.maximum(self.baseline_draws, self.chance)[:, None]
        gains: Floats = self.draws - np.maximum(self.shuffles * (not self.evident), fixed)
        return gains

    @property
    def is_share(self) -> bool:
        """Whether the measure is a share of the questions, between 0 and 1."""
        return self.metric in SHARES

    @property
    def is_bounded(self) -> bool:
        """Whether the measure is between 0 and 1."""
        return self.is_share or self.metric in BOUNDED

    def is_main(self, score: str) -> bool:
        """Whether this is the curve that findings use: the accuracy of the deciding score, over all questions."""
        return self.metric == ACCURACY and self.method == score and self.stratum == ALL


def level_curves(curves: Sequence[ExitCurve], n_groups: Mapping[str, int]) -> list[ExitCurve]:
    """Return, as task `all`, the mean of each level's sets by score and measure; `n_groups` are counted by level."""
    together: dict[tuple[str, str, str], list[ExitCurve]] = {}
    for curve in curves:
        if curve.stratum == ALL:
            together.setdefault((curve.level, curve.method, curve.metric), []).append(curve)
    return [_mean_curve(same, n_groups[level]) for (level, _, _), same in together.items()]


def _mean_curve(curves: Sequence[ExitCurve], n_groups: int) -> ExitCurve:
    return replace(
        level_curve(curves, n_groups),
        baseline_draws=mean_of(curves, "baseline_draws"),
        evident=all(curve.evident for curve in curves),  # one set that is not evident keeps the control in the floor
        control_a=mean_of(curves, "control_a"),
        control_b=mean_of(curves, "control_b"),
        freedom=_freedom(curves, n_groups),
    )


def _freedom(curves: Sequence[ExitCurve], n_groups: int) -> float:
    """Return the degrees of freedom of the mean of sets, which is as uncertain as its set with the fewest groups.

    Welch and Satterthwaite's formula (1946), and at most those of all groups together, which sets may share.
    """
    spreads = np.array([float(np.nanmean(curve.draws.var(0))) for curve in curves])  # answers of some exits alone
    degrees = np.array([curve.degrees for curve in curves])
    if spreads.sum() <= ROUNDING or degrees.min() < 1:
        return float(degrees.min())
    return float(min(spreads.sum() ** 2 / (spreads**2 / degrees).sum(), n_groups - 1))


def deciding_first(curves: Sequence[ExitCurve], score: str) -> list[ExitCurve]:
    """Return the curves, those of the deciding score first."""
    return sorted(curves, key=lambda curve: curve.method != score)


def scores_in_order(main: str) -> list[str]:
    """Return the names of all scores, the deciding one first."""
    return sorted(SCORES, key=lambda name: name != main)
