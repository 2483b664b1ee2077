"""H1: in a small model items are read earlier than relations, and relations earlier than analogies."""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.runs.claim import Claim, Judgement, first_decided
from layeratlas.runs.finished import RunTables
from layeratlas.runs.judging import all_of
from layeratlas.studies.hierarchy.citation import CITATION, SMALL

_PAIRS = ("item < relation", "relation < analogy")


class Order(Claim):
    """Both steps of the order must hold; one that is reversed speaks against it."""

    name = "H1"
    summary = "items peak earlier than relations, relations than analogies, in a small model"
    citation = CITATION
    published = "3B: items 2-7, relations 8-12, analogies 10-15 of 28 layers; no interval"
    study = "hierarchy"
    about = SMALL

    def decide(self, runs: Sequence[RunTables]) -> Judgement:
        """Return the verdict on the order of peaks in the residual stream."""
        needs = "layeratlas run hierarchy with the tasks items, relations and analogies, at standard size or full"

        def one(run: RunTables) -> Judgement:
            return all_of([row for row in run.found("order") if row["level"] in _PAIRS], len(_PAIRS), needs)

        return first_decided(self, runs, one)


PLUGIN = Order()
