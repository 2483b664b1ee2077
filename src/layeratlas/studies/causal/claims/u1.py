"""U1: information that a probe decodes need not be used by the model."""

from __future__ import annotations

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, any_of
from layeratlas.studies.causal.names import CausalFinding


class UnusedClaim(RunClaim):
    """At least one level must be encoded at a point where erasing it has a negligible cost."""

    name = "U1"
    summary = "what a probe reads at a layer need not be used there"
    citation = "Elazar et al. (2021), arXiv 2006.00995"
    published = "removing properties that probes read well changes word prediction of BERT little in some layers"
    study = "causal"

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return whether some level is encoded and not used at some point."""
        return any_of(run.of_kind(CausalFinding.UNUSED), "layeratlas run causal")


PLUGIN = UnusedClaim()
