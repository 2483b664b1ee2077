"""U1: information that a probe decodes need not be used by the model."""

from __future__ import annotations

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim
from layeratlas.stats.verdicts import any_holds
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
        findings = run.of_kind(CausalFinding.UNUSED)
        if not findings:
            return Judgement(verdict="inconclusive", statement="No such finding.", needs="layeratlas run causal")
        verdict = any_holds(finding.verdict for finding in findings)
        shown = [finding for finding in findings if finding.verdict == verdict] or findings
        clearest = min(shown, key=lambda finding: finding.p)
        return Judgement(
            verdict=verdict,
            statement=" ".join(finding.statement for finding in shown),
            estimate=clearest.estimate,
            lo=clearest.lo,
            hi=clearest.hi,
            p=clearest.p,
            null=clearest.null,
            n=sum(finding.n for finding in findings),
        )


PLUGIN = UnusedClaim()
