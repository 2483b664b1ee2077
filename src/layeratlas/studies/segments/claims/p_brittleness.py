"""Brittleness of the Local segment depends on the model family more than on model size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.runs.claim import Claim, Judgement, undecided
from layeratlas.runs.finished import FinishedRun
from layeratlas.stats.families import Parts, least_partial, variance_parts
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.verdicts import could_have_seen, decide
from layeratlas.studies.segments.citation import ZHANG
from layeratlas.studies.segments.claims._brittleness import ASKED, local_brittleness


class LocalBrittlenessClaim(Claim):
    """Family must explain more of the variance of log10 B than size, by an exact permutation test over models."""

    name = "P-brittleness"
    summary = "brittleness of the Local segment goes with the family, beyond size"
    citation = ZHANG
    published = "a ratio of 493 between families; definition not visible, and absolute noise alone can give it"
    study = "segments"
    sizes = 6
    families = 2
    joins = True

    def chosen(self, runs: Sequence[FinishedRun]) -> Sequence[FinishedRun]:
        """Return the runs of models of known size."""
        return [run for run in runs if run.parameters > 0]

    def decide(self, runs: Sequence[FinishedRun]) -> Judgement:
        """Return the verdict over all models with a Local segment."""
        local = [(run, b) for run in runs if (b := local_brittleness(run)) is not None]
        if not local:
            return undecided(ASKED)
        log_b = np.log10([[b] for _, b in local])
        log_size = np.log10([run.parameters for run, _ in local])
        families = [run.family for run, _ in local]
        parts = variance_parts(log_b, families, log_size)
        if not parts:
            return undecided(ASKED)
        return self._judged(parts[0], [b for _, b in local], len(set(families)))

    def _judged(self, part: Parts, values: Sequence[float], families: int) -> Judgement:
        """Return the verdict; `not supported` if size has an effect and always explains more than family."""
        size_explains_more = part.size >= least_partial(2, len(values) - families + 2) and part.hi < part.size
        verdict = decide(
            shown=part.p <= ALPHA and part.family > part.size and not size_explains_more, refuted=size_explains_more
        )
        seen = could_have_seen(f"a partial R² of about {least_partial(families, len(values)):.2f} with family")
        text = (
            f"Over {len(values)} models log10 B has partial R² {part.family:.2f} with family, {part.size:.2f} with "
            f"size; p = {part.p:.3f}, the smallest possible {part.smallest:.3f} ({seen}); largest over smallest B "
            f"{max(values) / min(values):.3g} (published: 493)."
        )
        return Judgement(
            verdict=verdict,
            statement=text,
            estimate=part.family,
            lo=part.lo,
            hi=part.hi,
            p=part.p,
            null="families assigned to models at random (exact permutation)",
            n=len(values),
            needs=ASKED if verdict == "inconclusive" else "",
        )


PLUGIN = LocalBrittlenessClaim()
