"""Brittleness of the Local stretch is set by the family, more than by size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.runs.claim import Claim, Judgement, undecided
from layeratlas.runs.finished import RunTables
from layeratlas.stats.families import variance_parts
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.segments.citation import ZHANG

# Noise relative to the stream's size. Absolute noise, scaling or ablation give B another meaning and another scale.
_METHOD = "noise"


class LocalBrittleness(Claim):
    """Family must explain more of log10 B than size does, by an exact permutation test over models."""

    name = "P-brittleness"
    summary = "brittleness of the Local stretch goes with the family, beyond size"
    citation = ZHANG
    published = "a ratio of 493 between families; definition not visible, and absolute noise alone can give it"
    study = "segments"
    sizes = 6
    families = 2
    joins = True

    def chosen(self, runs: Sequence[RunTables]) -> Sequence[RunTables]:
        """Return the runs of models of known size."""
        return [run for run in runs if run.parameters > 0]

    def decide(self, runs: Sequence[RunTables]) -> Judgement:
        """Return the verdict over all models with a Local stretch."""
        ask = "layeratlas run segments on four models of each of two families, with noise=relative"
        rows = [
            (run, float(row["estimate"]))
            for run in runs
            for row in run.found("brittleness", method=_METHOD)
            if str(row["level"]).lower() == "local" and row["estimate"] > 0
        ]
        if not rows:
            return undecided(ask)
        y = np.log10([[b] for _, b in rows])
        parts = variance_parts(y, [run.family for run, _ in rows], np.log10([run.parameters for run, _ in rows]))
        if not parts:
            return undecided(ask)
        one = parts[0]
        verdict: Verdict = "not supported" if one.smallest <= 0.05 else "inconclusive"
        if one.p <= 0.05:
            verdict = "supported" if one.family > one.size else "not supported"
        values = [b for _, b in rows]
        text = (
            f"Over {len(rows)} models log10 B has partial R² {one.family:.2f} with family, {one.size:.2f} with size; "
            f"p = {one.p:.3f}, the smallest possible {one.smallest:.3f}; largest over smallest B "
            f"{max(values) / min(values):.3g} (published: 493)."
        )
        null = "families assigned to models at random (exact permutation)"
        needs = ask if verdict == "inconclusive" else ""
        return Judgement(verdict, text, one.family, one.lo, one.hi, one.p, null, len(rows), needs)


PLUGIN = LocalBrittleness()
