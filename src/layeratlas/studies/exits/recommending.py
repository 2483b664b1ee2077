"""Where to exit: the earliest exit that answers as well as the last one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from layeratlas.core.arrays import Bools, Floats
from layeratlas.runs.recommendation import Choice, Purpose, Recommendation, recommend
from layeratlas.stats.chosen import value_on_curve
from layeratlas.stats.intervals import MARGIN, draws_interval
from layeratlas.studies.exits.curves import ExitCurve

RULES: Mapping[Purpose, str] = {
    Purpose.EXIT: f"The earliest exit that is shown to lose less than {MARGIN:g} of accuracy to the last one and to "
    "beat its floor. Exits are tested from the last one down, each against these two, and the first that fails ends "
    "the sequence, so that 95 % holds for all of them together.",
}
_UNIT = "exit"


def recommendations(curves: Sequence[ExitCurve], answered: Collection[str]) -> list[Recommendation]:
    """Return the exit of each level from its main curve; `answered` are the levels with a supported finding `exit`."""
    return [recommend(curve, Purpose.EXIT, _choice(curve, curve.level in answered), unit=_UNIT) for curve in curves]


def _choice(curve: ExitCurve, is_answered: bool) -> Choice:
    exits = _as_good_as_last(curve)
    if not is_answered:
        best = float(curve.excess.max())
        return Choice(reason=f"No exit is shown to beat its floor (at best by {best:.2f} of accuracy).")
    if not exits:
        return Choice(
            reason="The last exit is not shown to beat its floor, so that earlier ones cannot be compared with it."
        )
    at, layers = exits[0], curve.layers
    layer, last = layers[at], layers[-1]
    value, lo, hi = _value(curve, at)
    reason = (
        f"{last - layer} of {last} blocks can be left out."
        if layer < last
        else f"No earlier exit is shown to lose less than {MARGIN:g} to the last one."
    )
    return Choice(
        layer=layer,
        as_good=tuple(layers[at:]),
        value=value,
        lo=lo,
        hi=hi,
        reason=reason,
    )


def _as_good_as_last(curve: ExitCurve) -> list[int]:
    """Return the indices of the final run of passing exits, up to the last exit; empty if the last one fails."""
    passes = _passing(curve, _reaches(curve), curve.estimate, curve.excess)
    return [int(at) for at in np.flatnonzero(passes)]


def _reaches(curve: ExitCurve) -> tuple[Floats, Floats]:
    """Return how far the lower ends of gains over the last exit and over the floor are below the estimates, (P,)."""
    least, _ = draws_interval(curve.draws - curve.draws[:, -1:], curve.n_groups)
    gain, _ = draws_interval(curve.gains, curve.n_groups)
    return curve.estimate - curve.estimate[-1] - least, curve.excess - gain


def _passing(curve: ExitCurve, reaches: tuple[Floats, Floats], accuracy: Floats, excess: Floats) -> Bools:
    """Return the exits from which on every exit passes both tests, (..., P), for accuracies and their excess."""
    of_loss, of_gain = reaches
    loses_little = accuracy - accuracy[..., -1:] - of_loss > -MARGIN
    loses_little[..., -1] = True  # the last one loses nothing to itself
    passes = loses_little & (excess - of_gain > 0)
    on: Bools = np.logical_and.accumulate(passes[..., ::-1], -1)[..., ::-1]
    return on


def _value(curve: ExitCurve, at: int) -> tuple[float, float, float]:
    """Return the accuracy of the exit so chosen, read on other groups (`stats.chosen`), and its 95 % interval.

    Beside each exit is its control, from which its floor is computed: the columns are those of both.
    """
    reaches, exits = _reaches(curve), len(curve.estimate)

    def judge(both: Floats) -> Floats:
        accuracy, control = both[..., :exits], both[..., exits:]
        passes = _passing(curve, reaches, accuracy, accuracy - curve.floor_with(control))
        scores = np.where(passes, exits - np.arange(exits), -np.inf)
        scores[..., -1] = np.maximum(scores[..., -1], 0.0)  # where no exit passes, the last one answers
        return np.concatenate([scores, np.full(control.shape, -np.inf)], -1)

    beside = replace(
        curve,
        estimate=np.concatenate([curve.estimate, curve.shuffles.mean(0)]),
        draws=np.concatenate([curve.draws, curve.shuffles], 1),
        half_a=np.concatenate([curve.half_a, curve.control_a], 1),
        half_b=np.concatenate([curve.half_b, curve.control_b], 1),
    )
    return value_on_curve(beside, at, judge)
