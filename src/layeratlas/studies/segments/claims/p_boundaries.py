"""Boundary positions are stable over sizes in a strongly dominated family (Llama) and vary in a weak one (Qwen)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from layeratlas.runs.claim import Claim, Judgement, undecided
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import by_family
from layeratlas.stats.spread import Spread, spread_of
from layeratlas.stats.verdicts import decide
from layeratlas.studies.segments.citation import ZHANG
from layeratlas.studies.segments.names import SegmentFinding

_FEWEST, _BLOCKS = 3, 8
_SIDES = ("llama", "qwen")
_ASKED = f"layeratlas run segments on {_FEWEST} sizes of Llama and of Qwen, of {_BLOCKS} blocks or more"
_NAMED = re.compile(rf"({'|'.join(_SIDES)})[-_ ]?v?\d*(\.\d+)*")


class SteadyBoundariesClaim(Claim):
    """Llama's boundaries must vary less than boundary-free signals' and random ones; Qwen's as much as random ones."""

    name = "P-boundaries"
    summary = "boundaries keep their relative place over sizes in Llama and vary in Qwen"
    citation = ZHANG
    published = "coefficient of variation 0.067-0.095 (Llama), 0.465-0.726 (Qwen), both of which noise alone can give"
    study = "segments"
    sizes = 6
    families = 2
    joins = True

    def chosen(self, runs: Sequence[FinishedRun]) -> Sequence[FinishedRun]:
        """Return the runs of families named `llama` or `qwen`, alone or with a version (`llama-3.1`, `qwen2`)."""
        return [run for run in runs if _side(run.family)]

    def decide(self, runs: Sequence[FinishedRun]) -> Judgement:
        """Return the verdict over the families of either name with enough models; each family is judged separately."""
        spreads: dict[str, dict[str, list[Spread]]] = {side: {} for side in _SIDES}
        count = 0
        for family, members in by_family(runs).items():
            boundaries = [[finding.estimate for finding in run.of_kind(SegmentFinding.BOUNDARY)] for run in members]
            blocks = [run.blocks for run in members]
            pairs = all(len(places) == 2 for places in boundaries)
            if len(members) >= _FEWEST and pairs and min(blocks) >= _BLOCKS:
                spreads[_side(family)][family] = spread_of(np.array(boundaries), blocks)
                count += len(members)
        return _judged(spreads, count) if all(spreads.values()) else undecided(_ASKED)


def _judged(spreads: Mapping[str, Mapping[str, Sequence[Spread]]], models: int) -> Judgement:
    llama, qwen = ([spread for pair in spreads[side].values() for spread in pair] for side in _SIDES)
    holds = all(spread.stable for spread in llama) and all(spread.variable for spread in qwen)
    steady_qwen = any(all(spread.stable for spread in pair) for pair in spreads["qwen"].values())
    fails = any(spread.variable for spread in llama) or steady_qwen
    families = {family: pair for side in spreads.values() for family, pair in side.items()}
    each = "; ".join(f"{family} {first.cv:.2f} and {second.cv:.2f}" for family, (first, second) in families.items())
    worst = max(llama, key=lambda spread: spread.cv / spread.ramp.lo)
    ramp = worst.ramp
    return Judgement(
        verdict=decide(shown=holds, refuted=fails),
        statement=f"Coefficients of variation: {each}; a smooth ramp without boundaries gives {ramp.lo:.2f}-"
        f"{ramp.hi:.2f}.",
        estimate=worst.cv,
        lo=ramp.lo,
        hi=ramp.hi,
        null="two boundaries fitted to a smooth ramp or to white noise, and random ones, in models of as many blocks",
        n=models,
    )


def _side(family: str) -> str:
    """Return which of the names `llama` and `qwen` a family has; empty for neither."""
    match = _NAMED.fullmatch(family.lower())
    return match[1] if match else ""


PLUGIN = SteadyBoundariesClaim()
