"""H1: in a small model, items are encoded before relations, and relations before analogies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finding import Finding
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, all_of
from layeratlas.studies.hierarchy.citation import CITATION, SMALL
from layeratlas.studies.hierarchy.names import HierarchyFinding

_PAIRS = ("item < relation", "relation < analogy")
_NEEDS = "layeratlas run hierarchy with the tasks items, relations and analogies, at standard size or full"


class OrderClaim(RunClaim):
    """Both steps of the order must hold in the residual stream; a single reversed step refutes the claim.

    The verdict uses the depth of emergence. The paper uses peaks, whose order is meaningless on a plateau, so the
    statement reports the order of peaks but the verdict does not depend on it.
    """

    name = "H1"
    summary = "items come earlier than relations, relations than analogies, in a small model"
    citation = CITATION
    published = "3B: items 2-7, relations 8-12, analogies 10-15 of 28 layers, by peak; no interval"
    study = "hierarchy"
    about = SMALL

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict on the order of emergence; its statement also reports the order of peaks."""
        emergence = all_of(_steps(run, HierarchyFinding.EMERGENCE_ORDER), len(_PAIRS), _NEEDS)
        peaks = all_of(_steps(run, HierarchyFinding.ORDER), len(_PAIRS), _NEEDS)
        statement = (
            f"By emergence, which decides ({emergence.verdict}): {emergence.statement} By peak ({peaks.verdict}): "
            f"{peaks.statement}"
        )
        return replace(emergence, statement=statement)


def _steps(run: FinishedRun, kind: HierarchyFinding) -> Sequence[Finding]:
    return [finding for finding in run.of_kind(kind) if finding.level in _PAIRS]


PLUGIN = OrderClaim()
