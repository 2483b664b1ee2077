"""Is an exit unable to answer, or does it only use another basis? The tuned exits next to the model's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.core.formatting import estimate
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.group_means import group_means
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.exits.measures import accuracy, chance_levels
from layeratlas.studies.exits.names import ACCURACY, ExitFinding
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.settings import ExitSettings
from layeratlas.studies.exits.tuned.stage import TunedSet

ANOTHER_BASIS, CANNOT, OPEN = "uses another basis", "cannot answer", "not decided"


@dataclass(frozen=True, kw_only=True)
class Credits:
    """The credit of each question of a level, 0 to 1: `own` and `tuned` (n, E) at `points`, and `chance` (n,)."""

    level: str
    points: list[int]
    own: Floats
    tuned: Floats
    chance: Floats
    groups: list[str]


@dataclass(frozen=True, kw_only=True)
class TunedExit:
    """One exit of a level: its accuracies, the gain from translation, and the shortfall from half of the last exit.

    `gain`: tuned minus own accuracy, p Holm-corrected over the exits; `above`: tuned accuracy minus chance; `short`:
    half of the last exit's accuracy over chance, minus the tuned exit's accuracy over chance.
    """

    point: int
    own: float
    tuned: float
    gain: Effect
    above: Effect
    short: Effect

    @property
    def says(self) -> str:
        """The conclusion on the exit: it uses another basis, it cannot answer, or neither is shown."""
        if self.gain.verdict() == "supported" and self.above.verdict() == "supported":
            return ANOTHER_BASIS
        return CANNOT if self.short.verdict() == "supported" else OPEN


def level_credits(sets: Sequence[ScoredSet], tuned: Mapping[str, TunedSet], settings: ExitSettings) -> list[Credits]:
    """Return the credits of every level over the questions that were asked through translators."""
    parts: dict[str, list[Credits]] = {}
    for scored in sets:
        found = tuned[scored.data.name]
        inside = np.isin(scored.groups, found.scored.groups)
        own = accuracy(scored.scores(settings.score), scored.key, settings.strict)[found.points][:, inside]
        theirs = accuracy(found.scored.scores(settings.score), found.scored.key, settings.strict)
        parts.setdefault(scored.data.level, []).append(
            Credits(
                level=scored.data.level,
                points=found.points,
                own=own.T,
                tuned=theirs.T,
                chance=chance_levels(ACCURACY, found.scored.key),
                groups=found.scored.groups,
            )
        )
    return [_joined(level, own) for level, own in parts.items()]


def _joined(level: str, parts: Sequence[Credits]) -> Credits:
    return Credits(
        level=level,
        points=parts[0].points,
        own=np.concatenate([part.own for part in parts]),
        tuned=np.concatenate([part.tuned for part in parts]),
        chance=np.concatenate([part.chance for part in parts]),
        groups=[group for part in parts for group in part.groups],
    )


def tuned_exits(credits: Credits, resampler: Resampler) -> list[TunedExit]:
    """Return the results of every exit except the last, which has no translator."""
    above = credits.tuned - credits.chance[:, None]
    last = credits.own[:, -1:] - credits.chance[:, None]
    gains, tops, shorts = (
        group_means(values[:, :-1], credits.groups, resampler).effects(least=-2.0, most=2.0)
        for values in (credits.tuned - credits.own, above, last / 2 - above)
    )
    return [
        TunedExit(
            point=point,
            own=float(credits.own[:, i].mean()),
            tuned=float(credits.tuned[:, i].mean()),
            gain=gains[i],
            above=tops[i],
            short=shorts[i],
        )
        for i, point in enumerate(credits.points[:-1])
    ]


def tuned_table(exits: Mapping[str, Sequence[TunedExit]], losses: Mapping[str, Sequence[float]]) -> pl.DataFrame:
    """Return one row per level and exit; `losses` are the held-out divergences `own` and `tuned` by exit."""
    rows: list[dict[str, Any]] = []
    for level, found in exits.items():
        for i, each in enumerate(found):
            row: dict[str, Any] = {"level": level, "exit": each.point, "own": each.own, "tuned": each.tuned}
            row |= {"gain": each.gain.estimate, "lo": each.gain.lo, "hi": each.gain.hi, "p": each.gain.p}
            row |= {"divergence_own": losses["own"][i], "divergence_tuned": losses["tuned"][i], "says": each.says}
            rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def tuned_findings(exits: Mapping[str, Sequence[TunedExit]], credits: Sequence[Credits], method: str) -> list[Finding]:
    """Return, for each level, whether an exit answers better through its translator than by the model's readout."""
    return [_finding(each.level, exits[each.level], len(each.groups), method) for each in credits]


def _finding(level: str, exits: Sequence[TunedExit], n: int, method: str) -> Finding:
    best = min(exits, key=lambda each: (each.gain.estimate <= 0, each.gain.p, -each.gain.estimate))
    verdict = best.gain.verdict()
    if verdict == "supported" and best.says != ANOTHER_BASIS:
        verdict = "inconclusive"
    says = {
        "supported": "exits answer better through their translators than by the model's own readout: they use another "
        "basis",
        "not supported": "exits answer worse through their translators than by the model's own readout",
        "inconclusive": f"whether a translator improves an exit's answers is undecided ({best.gain.could_have_seen})",
    }[verdict]
    lists = [
        f"{words.capitalize()}: exits {', '.join(str(each.point) for each in exits if each.says == words)}"
        for words in (ANOTHER_BASIS, CANNOT)
        if any(each.says == words for each in exits)
    ]
    return curve_finding(
        ExitFinding.TUNED,
        Subject(level=level, component="resid", method=method, n=n),
        statement=f"For {level}, {says}. Largest gain at exit {best.point}: {best.own:.2f} to {best.tuned:.2f}, "
        f"{estimate(best.gain.estimate, best.gain.lo, best.gain.hi)}. {'. '.join(lists)}".rstrip()
        + ".",
        effect=best.gain,
        null="the translated exit answers as the model's own readout (exact sign flips of groups, Holm over exits)",
        verdict=verdict,
    )
