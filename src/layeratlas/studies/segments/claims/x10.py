"""X10: attention differs between languages."""

from __future__ import annotations

from dataclasses import replace

from layeratlas.runs.claim import Judgement, undecided
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, any_of
from layeratlas.studies.segments.citation import CHEN
from layeratlas.studies.segments.names import SegmentFinding

_ASKED = "layeratlas run segments --task languages, or --data FILE.jsonl with a field language"


class AttentionLanguagesClaim(RunClaim):
    """Attention distance or entropy must differ between the languages of a run's passages, at some layer."""

    name = "X10"
    summary = "attention differs between languages"
    citation = CHEN
    published = "no statistic"
    study = "segments"

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict that either signal supports or both refute; p is the smallest (Holm over both)."""
        sets = run.manifest.get("datasets", [])
        findings = run.of_kind(SegmentFinding.ATTENTION_KINDS)
        if not findings or not all(data.get("languages") for data in sets):
            return undecided(_ASKED, "the passages of this run are not sorted by language")
        # Both findings are on the same passages.
        return replace(any_of(findings, _ASKED), n=findings[0].n)


PLUGIN = AttentionLanguagesClaim()
