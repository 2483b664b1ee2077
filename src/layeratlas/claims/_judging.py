"""What claims share that read findings of their own name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layeratlas.claim import Claim, Judgement, RunTables, first_decided
from layeratlas.claims._hierarchy import all_of

CHEN = "Chen et al. (2023), arXiv 2312.04333"
ZHANG = "Zhang, Dong and Xu (2025), arXiv 2505.18244"


class Found(Claim):
    """A claim that a study judges itself, in findings named `findings`; every one must hold.

    `asked` is what to run where a run has none of them.
    """

    findings: tuple[str, ...] = ()
    asked: str = ""

    def decide(self, runs: Sequence[RunTables]) -> Judgement:
        """Return the verdict of the run that can say most."""

        def one(run: RunTables) -> Judgement:
            rows: list[dict[str, Any]] = next((found for name in self.findings if (found := run.found(name))), [])
            return all_of(rows, 1, self.asked)

        return first_decided(self, runs, one)


def by_family(runs: Sequence[RunTables]) -> dict[str, list[RunTables]]:
    """Return the runs of each family by size; models of unknown size are left out."""
    ordered = sorted((run for run in runs if run.parameters > 0), key=lambda run: run.parameters)
    return {family: [r for r in ordered if r.family == family] for family in dict.fromkeys(r.family for r in ordered)}


def largest_family(runs: Sequence[RunTables]) -> list[RunTables]:
    """Return the runs of the family with the most sizes, smallest model first."""
    return max(by_family(runs).values(), key=lambda mine: len({run.parameters for run in mine}), default=[])
