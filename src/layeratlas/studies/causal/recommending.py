"""Where to steer: the point at which steering has the largest measured effect on the answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from layeratlas.core.formatting import ranges
from layeratlas.runs.recommendation import ALL, Choice, Purpose, Recommendation
from layeratlas.stats.best_layers import CONFIDENCE, best_layers
from layeratlas.stats.peaks import cross_read
from layeratlas.studies.causal.effects import SetEffects
from layeratlas.studies.causal.names import LOG_ODDS, STEER

RULES: Mapping[Purpose, str] = {
    Purpose.STEER: "Of the points where steering from the mean of one class to that of another is shown to move the "
    "answers more than random directions of equal norm do, the one where it moves them most, in nats of log-odds. The "
    "points that are as good hold all that are equally the best with "
    f"{CONFIDENCE:.0%} probability (model confidence set), whether or not an effect is shown at each. The value is "
    "that of the best point chosen on one half of the groups and read on the other. It holds for steering at the last "
    "token of the prompt.",
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
    shown = np.array([cell.steered.verdict() == "supported" for cell in cells])
    if not (steered and shown.any()):
        top = max(cells, key=lambda cell: cell.steered.estimate)
        return Choice(
            reason="Steering is not shown to move the answers more than random directions do at any point (most at "
            f"point {top.point}, {top.steered.could_have_seen} nats)."
        )
    moved = effects.steering
    inside = best_layers(moved.estimate, moved.draws).inside
    if not (inside & shown).any():
        return Choice(
            reason="The points at which steering is shown to move the answers "
            f"({ranges([cells[i].point for i in np.flatnonzero(shown)])}) are not among those where it moves them most."
        )
    at = int(np.where(inside & shown, moved.estimate, -np.inf).argmax())
    value = cross_read(moved.half_a, moved.half_b)
    shift = value - cells[at].steered.estimate
    return Choice(
        layer=cells[at].point,
        as_good=tuple(cell.point for cell, kept in zip(cells, inside, strict=True) if kept),
        value=value,
        lo=cells[at].steered.lo + shift,
        hi=cells[at].steered.hi + shift,
        reason=f"Steering moves the answers most there, of {len(cells)} points that were edited; the value is that of "
        "a point chosen on other groups.",
    )
