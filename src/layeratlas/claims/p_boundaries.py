"""Boundaries keep their place over sizes in a strongly dominated family (Llama) and vary in a weak one (Qwen)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.analysis.families import Spread, spread_of
from layeratlas.claim import Claim, Judgement, RunTables, undecided
from layeratlas.claims._judging import ZHANG, by_family
from layeratlas.records import Verdict

_FEWEST, _BLOCKS = 3, 8


class SteadyBoundaries(Claim):
    """Both of Llama's boundaries must vary less than boundary-free signals and random cuts, Qwen's as random cuts."""

    name = "P-boundaries"
    summary = "boundaries keep their relative place over sizes in Llama and vary in Qwen"
    citation = ZHANG
    published = "coefficient of variation 0.067-0.095 (Llama), 0.465-0.726 (Qwen), both of which noise alone can give"
    study = "segments"
    sizes = 6
    families = 2

    def decide(self, runs: Sequence[RunTables]) -> Judgement:
        """Return the verdict on the families whose names hold `llama` and `qwen`."""
        ask = f"layeratlas run segments on {_FEWEST} sizes of Llama and of Qwen, of {_BLOCKS} blocks or more"
        spreads: dict[str, list[Spread]] = {}
        count = 0
        for family, mine in by_family(runs).items():
            name = next((n for n in ("llama", "qwen") if n in family.lower()), "")
            cuts = [[row["estimate"] for row in run.found("boundary")] for run in mine]
            blocks = [int(run.manifest["model"].get("layers") or 0) for run in mine]
            if name and len(mine) >= _FEWEST and all(len(two) == 2 for two in cuts) and min(blocks) >= _BLOCKS:
                spreads[name] = spread_of(np.array(cuts), blocks)
                count += len(mine)
        if len(spreads) < 2:
            return undecided(ask)
        llama, qwen = spreads["llama"], spreads["qwen"]
        holds = all(one.stable for one in llama) and all(one.variable for one in qwen)
        fails = any(one.variable for one in llama) or all(one.stable for one in qwen)
        verdict: Verdict = "supported" if holds else "not supported" if fails else "inconclusive"
        each = "; ".join(f"{n} {a.cv:.2f} and {b.cv:.2f}" for n, (a, b) in spreads.items())
        ramp = llama[0].ramp
        text = f"Coefficients of variation: {each}; a smooth ramp without boundaries gives {ramp[0]:.2f}-{ramp[2]:.2f}."
        null = "two cuts of a smooth ramp, of white noise, and random cuts, of as many blocks"
        return Judgement(verdict, text, llama[0].cv, ramp[0], ramp[2], float("nan"), null, count)


PLUGIN = SteadyBoundaries()
