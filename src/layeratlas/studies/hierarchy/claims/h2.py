"""H2: deep layers hold early, narrow content that is merely compressed, not abstracted."""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.runs.claim import Claim, Judgement, first_decided
from layeratlas.runs.finished import RunTables
from layeratlas.runs.judging import all_of
from layeratlas.studies.hierarchy.citation import CITATION


class Compression(Claim):
    """Deep layers must read buried items and relations, and better than abstractions at the same place."""

    name = "H2"
    summary = "deep layers keep narrow content of long ago, compressed rather than abstracted"
    citation = CITATION
    published = "buried relations are read at layer 35 (of 80, presumably 70B); no interval"
    study = "hierarchy"

    def decide(self, runs: Sequence[RunTables]) -> Judgement:
        """Return the verdict on the deep layers of the residual stream."""
        needs = "layeratlas run hierarchy with the tasks buried and documents"

        def one(run: RunTables) -> Judgement:
            return all_of([*run.found("deep content"), *run.found("deep compression")], 2, needs)

        return first_decided(self, runs, one)


PLUGIN = Compression()
