"""Boundaries keep their place over sizes in a strongly dominated family (Llama) and vary in a weak one (Qwen)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from layeratlas.runs.claim import Claim, Judgement, undecided
from layeratlas.runs.finished import RunTables
from layeratlas.runs.judging import by_family
from layeratlas.stats.families import Spread, spread_of
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.segments.citation import ZHANG

_FEWEST, _BLOCKS = 3, 8
_SIDES = ("llama", "qwen")
_NAMED = re.compile(rf"({'|'.join(_SIDES)})[-_ ]?v?\d*(\.\d+)*")


class SteadyBoundaries(Claim):
    """Both of Llama's boundaries must vary less than boundary-free signals and random cuts, Qwen's as random cuts."""

    name = "P-boundaries"
    summary = "boundaries keep their relative place over sizes in Llama and vary in Qwen"
    citation = ZHANG
    published = "coefficient of variation 0.067-0.095 (Llama), 0.465-0.726 (Qwen), both of which noise alone can give"
    study = "segments"
    sizes = 6
    families = 2
    joins = True

    def chosen(self, runs: Sequence[RunTables]) -> Sequence[RunTables]:
        """Return the runs of families named `llama` or `qwen`, alone or with a version (`llama-3.1`, `qwen2`)."""
        return [run for run in runs if _side(run.family)]

    def decide(self, runs: Sequence[RunTables]) -> Judgement:
        """Return the verdict on every family of either name that has enough models, each by itself."""
        ask = f"layeratlas run segments on {_FEWEST} sizes of Llama and of Qwen, of {_BLOCKS} blocks or more"
        spreads: dict[str, dict[str, list[Spread]]] = {side: {} for side in _SIDES}
        count = 0
        for family, mine in by_family(runs).items():
            cuts = [[row["estimate"] for row in run.found("boundary")] for run in mine]
            blocks = [int(run.manifest["model"].get("layers") or 0) for run in mine]
            if len(mine) >= _FEWEST and all(len(two) == 2 for two in cuts) and min(blocks) >= _BLOCKS:
                spreads[_side(family)][family] = spread_of(np.array(cuts), blocks)
                count += len(mine)
        if not all(spreads.values()):
            return undecided(ask)
        llama, qwen = ([one for two in spreads[side].values() for one in two] for side in _SIDES)
        holds = all(one.stable for one in llama) and all(one.variable for one in qwen)
        fails = any(one.variable for one in llama) or any(a.stable and b.stable for a, b in spreads["qwen"].values())
        verdict: Verdict = "supported" if holds else "not supported" if fails else "inconclusive"
        named = {family: two for mine in spreads.values() for family, two in mine.items()}
        each = "; ".join(f"{family} {a.cv:.2f} and {b.cv:.2f}" for family, (a, b) in named.items())
        worst = max(llama, key=lambda one: one.cv / one.ramp[0])
        lo, _, hi = worst.ramp
        text = f"Coefficients of variation: {each}; a smooth ramp without boundaries gives {lo:.2f}-{hi:.2f}."
        null = "two cuts of a smooth ramp, of white noise, and random cuts, of as many blocks"
        return Judgement(verdict, text, worst.cv, lo, hi, float("nan"), null, count)


def _side(family: str) -> str:
    """Return which of the two names a family has, or nothing."""
    found = _NAMED.fullmatch(family.lower())
    return found[1] if found else ""


PLUGIN = SteadyBoundaries()
