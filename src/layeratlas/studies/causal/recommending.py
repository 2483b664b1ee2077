"""Where to steer: the point at which steering has the largest measured effect on the answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.formatting import ranges
from layeratlas.runs.recommendation import ALL, Choice, Purpose, Recommendation
from layeratlas.stats.best_layers import CONFIDENCE, best_layers
from layeratlas.stats.chosen import value_of_choice
from layeratlas.stats.intervals import draws_interval
from layeratlas.stats.peaks import Judge
from layeratlas.stats.verdicts import could_have_seen
from layeratlas.studies.causal.effects import Cell, SetEffects
from layeratlas.studies.causal.names import LOG_ODDS, STEER

RULES: Mapping[Purpose, str] = {
    Purpose.STEER: "Of the points where steering from the mean of one class to that of another is shown to move the "
    "answers more than random directions of equal norm do, by an amount that matters, the one where it moves them "
    "most, in nats of log-odds, if it may be the best of all points. The points that are as good hold all that are "
    f"equally the best with {CONFIDENCE:.0%} probability (model confidence set), whether or not an effect is "
    "shown at each. It holds for steering at the last token of the prompt: steering at every token is another "
    "measurement, and may favour earlier points.",
}


def recommendations(sets: Sequence[SetEffects], steered: Collection[str], layers: int) -> list[Recommendation]:
    """Return the recommended steering point of each set.

    No point is recommended for a set that is not among the levels `steered`, of which the report shows that steering
    moves the answers.
    """
    return [_steering(effects, effects.level in steered, layers) for effects in sets]


def _steering(effects: SetEffects, steered: bool, layers: int) -> Recommendation:
    return Recommendation(
        purpose=Purpose.STEER,
        level=effects.level,
        task=ALL,
        component="resid",
        method=STEER,
        metric=LOG_ODDS,
        unit="point",
        last=layers,
        confidence=CONFIDENCE,
        chance=float("nan"),
        **asdict(_choice(effects, steered)),
    )


def _choice(effects: SetEffects, steered: bool) -> Choice:
    cells = effects.cells
    shown = np.array([cell.moves == "supported" for cell in cells])
    if not (steered and shown.any()):
        top = max(cells, key=lambda cell: cell.steered.estimate)
        return Choice(
            reason="Steering at the last token is not shown to move the answers, more than random directions do, by "
            f"{top.least:.2f} nats at any point (most at point {top.point}, "
            f"{could_have_seen(f'{top.seen:.2f}')} nats)."
        )
    moved = effects.steering
    inside = best_layers(moved.estimate, moved.draws).inside
    if not (inside & shown).any():
        return Choice(
            reason="The points at which steering is shown to move the answers "
            f"({ranges([cells[i].point for i in np.flatnonzero(shown)])}) are not among those where it moves them most."
        )
    usable = np.flatnonzero(inside & shown)
    at = int(usable[moved.estimate[usable].argmax()])
    value, draws = value_of_choice(moved, at, _shown_first(cells))
    lo, hi = draws_interval(draws, effects.n_groups)
    return Choice(
        layer=cells[at].point,
        as_good=tuple(cell.point for cell, kept in zip(cells, inside, strict=True) if kept),
        value=value,
        lo=float(lo),
        hi=float(hi),
        reason=f"Of {len(cells)} points that were edited, steering at the last token moves the answers most there, "
        "among those where it is shown to.",
    )


def _shown_first(cells: Sequence[Cell]) -> Judge:
    """Return the rule as it chooses on a part of the groups: points whose shift passes the margin come first.

    How far the lower end of a shift is below the estimate is taken from all groups, as for the other purposes.
    """
    steered = [cell.steered for cell in cells]
    reach = np.array([each.estimate - each.lo for each in steered])
    least = np.array([cell.least for cell in cells])

    def judge(values: Floats) -> Floats:
        above = values - reach > least
        return np.where(above, values + 2 * np.abs(values).max() + 1, values)

    return judge
