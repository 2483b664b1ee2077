"""Claims that a single run decides, and what claims share: the weakest finding decides, families by size."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace

from layeratlas.runs.claim import Claim, Judgement
from layeratlas.runs.finding import Finding
from layeratlas.runs.finished import FinishedRun
from layeratlas.stats.verdicts import Verdict


class RunClaim(Claim):
    """A claim that each run decides by itself."""

    @abstractmethod
    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict of one run, whatever the size of its model."""

    def decide(self, runs: Sequence[FinishedRun]) -> Judgement:
        """Return the judgement of the largest model that decides the claim, else of the largest of all.

        With several runs, the statement names the model, and the models with other verdicts.
        """
        by_size = sorted(runs, key=lambda run: run.parameters if run.parameters > 0 else 0.0, reverse=True)
        judged = [(run, self.in_scope(run, self.judge_run(run))) for run in by_size]
        decided = [(run, judgement) for run, judgement in judged if judgement.verdict != "inconclusive"]
        speaker, judgement = (decided or judged)[0]
        if len(runs) == 1:
            return judgement
        others = [f"{run.model}: {other.verdict}" for run, other in decided if other.verdict != judgement.verdict]
        differ = f" Other models: {', '.join(others)}." if others else ""
        return replace(judgement, statement=f"{speaker.model}: {judgement.statement}{differ}")


class FindingClaim(RunClaim):
    """A claim that its study judges itself, as findings of one `kind`, which must all hold.

    `asked` is what to run where a run has none.
    """

    kind: str = ""
    asked: str = ""

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict of a run's findings together."""
        return all_of(run.of_kind(self.kind), 1, self.asked)


def all_of(findings: Sequence[Finding], asked: int, needs: str) -> Judgement:
    """Return whether every finding is supported.

    `not supported` where one is not; `inconclusive` where one is, or where there are fewer than `asked`. The effect is
    that of the weakest: the first that is not supported, else the first inconclusive one, else the smallest.
    """
    if not findings:
        return Judgement(verdict="inconclusive", statement="No such finding in this run.", needs=needs)
    against = [finding for finding in findings if finding.verdict == "not supported"]
    unclear = [finding for finding in findings if finding.verdict == "inconclusive"]
    verdict: Verdict = "supported"
    if against:
        verdict = "not supported"
    elif unclear or len(findings) < asked:
        verdict = "inconclusive"
    weakest = (against or unclear or sorted(findings, key=lambda finding: finding.estimate))[0]
    return Judgement(
        verdict=verdict,
        statement=" ".join(finding.statement for finding in findings),
        estimate=weakest.estimate,
        lo=weakest.lo,
        hi=weakest.hi,
        p=weakest.p,
        null=weakest.null,
        n=sum(finding.n for finding in findings),
        needs=needs if len(findings) < asked else "",
    )


def by_family(runs: Iterable[FinishedRun]) -> dict[str, list[FinishedRun]]:
    """Return the runs of each family by size, families as they come; models of unknown size are left out."""
    families: dict[str, list[FinishedRun]] = {}
    for run in runs:
        if run.parameters > 0:
            families.setdefault(run.family, []).append(run)
    return {name: sorted(members, key=lambda run: run.parameters) for name, members in families.items()}


def largest_family(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Return the runs of the family with the most sizes, smallest model first; of two, that of the smallest model."""
    families = by_family(sorted(runs, key=lambda run: run.parameters)).values()
    return max(families, key=lambda family: len({run.parameters for run in family}), default=[])
