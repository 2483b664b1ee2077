"""Where to exit: the earliest exit that answers as well as the last one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from layeratlas.runs.recommendation import Choice, Purpose, Recommendation, recommend
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
    lo, hi = curve.interval
    reason = (
        f"{last - layer} of {last} blocks can be left out."
        if layer < last
        else f"No earlier exit is shown to lose less than {MARGIN:g} to the last one."
    )
    return Choice(
        layer=layer,
        as_good=tuple(layers[at:]),
        value=float(curve.estimate[at]),
        lo=float(lo[at]),
        hi=float(hi[at]),
        reason=reason,
    )


def _as_good_as_last(curve: ExitCurve) -> list[int]:
    """Return the indices of the final run of passing exits, up to the last exit; empty if the last one fails."""
    losses = curve.draws - curve.draws[:, -1:]
    least, _ = draws_interval(losses, curve.n_groups)
    least[-1] = 0.0  # the last one loses nothing to itself
    gain, _ = draws_interval(curve.gains, curve.n_groups)
    passes = (least > -MARGIN) & (gain > 0)
    failed = np.flatnonzero(~passes)
    first = int(failed[-1]) + 1 if len(failed) else 0
    return list(range(first, len(passes)))
