"""What claims share that read findings of their own name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layeratlas.runs.claim import Claim, Judgement, first_decided
from layeratlas.runs.finished import RunTables
from layeratlas.stats.verdicts import Verdict


def all_of(rows: Sequence[dict[str, Any]], asked: int, needs: str) -> Judgement:
    """Return whether every row is supported; one that is not supported decides against, fewer than `asked` nothing.

    The effect shown is that of the weakest row: the first that is not supported, else the smallest.
    """
    against = [row for row in rows if row["verdict"] == "not supported"]
    open_ = [row for row in rows if row["verdict"] == "inconclusive"]
    verdict: Verdict = "supported"
    if against:
        verdict = "not supported"
    elif open_ or len(rows) < asked:
        verdict = "inconclusive"
    if not rows:
        return Judgement("inconclusive", "Nothing of the kind was judged.", needs=needs)
    weakest = (against or open_ or sorted(rows, key=lambda row: row["estimate"]))[0]
    says = " ".join(row["statement"] for row in rows)
    missing = needs if len(rows) < asked else ""
    estimate, lo, hi, p = (float(weakest[name]) for name in ("estimate", "lo", "hi", "p"))
    return Judgement(verdict, says, estimate, lo, hi, p, weakest["null"], sum(row["n"] for row in rows), missing)


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
