"""Claims that a single run decides, and helpers for claims: joint judgements, runs of a family by size."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isfinite

from layeratlas.runs.claim import Claim, Judgement
from layeratlas.runs.finding import Finding
from layeratlas.runs.finished import FinishedRun
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Verdict, all_hold, any_holds


class RunClaim(Claim):
    """A claim that each run decides by itself."""

    @abstractmethod
    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict from one run, for a model of any size."""

    def decide(self, runs: Sequence[FinishedRun]) -> Judgement:
        """Return the joint judgement; if some models are of sizes that the claim is about, only these decide."""
        by_size = sorted(runs, key=lambda run: run.parameters if run.parameters > 0 else 0.0, reverse=True)
        judged = [(run, self.in_scope(run, self.judge_run(run))) for run in by_size]
        if len(judged) == 1:
            return judged[0][1]
        within = [(run, judgement) for run, judgement in judged if self.speaks_of(run)]
        return joined(within or judged, outside=len(judged) - len(within) if within else 0)


def joined(judged: Sequence[tuple[FinishedRun, Judgement]], outside: int = 0) -> Judgement:
    """Return the joint judgement of several runs; `outside` counts further runs that the claim is not about.

    P-values are corrected over the runs (Holm), and a run supports the claim only with its corrected p. If all runs
    that decide agree, theirs is the verdict; if they contradict each other, it is `inconclusive`, and the statement
    names both sides. The effect is that of the weakest run with the verdict: the smallest if the claim is supported,
    the largest if it is not supported, else the first run's.
    """
    corrected = _corrected([judgement for _, judgement in judged])
    names = [run.model for run, _ in judged]
    sides: dict[Verdict, list[int]] = {"supported": [], "not supported": [], "inconclusive": []}
    for i, judgement in enumerate(corrected):
        sides[judgement.verdict].append(i)
    verdict, weakest = _side(sides, corrected)
    members = sides[verdict] if verdict != "inconclusive" else range(len(corrected))
    decided = sides["supported"] or sides["not supported"]
    return replace(
        corrected[weakest],
        verdict=verdict,
        statement=" ".join([_agreement(sides, names, outside), *_statements(names, corrected)]),
        n=sum(corrected[i].n for i in members),
        needs="" if decided else next((judgement.needs for judgement in corrected if judgement.needs), ""),
    )


def _side(sides: Mapping[Verdict, Sequence[int]], judgements: Sequence[Judgement]) -> tuple[Verdict, int]:
    """Return the verdict that no run contradicts and the index of its weakest judgement; else `inconclusive` and 0."""
    supporting, opposing = sides["supported"], sides["not supported"]
    if supporting and not opposing:
        return "supported", min(supporting, key=lambda i: judgements[i].estimate)
    if opposing and not supporting:
        return "not supported", max(opposing, key=lambda i: judgements[i].estimate)
    return "inconclusive", 0


def _corrected(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Return the judgements with Holm's p-values; a verdict that loses its significance becomes inconclusive.

    As in a report (`runs.finding`), an opposite effect loses its verdict like support; an equivalence, whose p is
    large, does not rest on p.
    """
    tested = [i for i, judgement in enumerate(judgements) if isfinite(judgement.p)]
    corrected = list(judgements)
    for i, p in zip(tested, holm([judgements[i].p for i in tested]), strict=True):
        verdict = judgements[i].verdict
        rests = verdict == "supported" or (verdict == "not supported" and judgements[i].p <= ALPHA)
        lost = rests and p > ALPHA
        corrected[i] = replace(judgements[i], p=p, verdict="inconclusive" if lost else verdict)
        if lost:
            statement = f"{judgements[i].statement} After correction over {len(tested)} models, p = {p:.3f}."
            corrected[i] = replace(corrected[i], statement=statement)
    return corrected


def _agreement(sides: Mapping[Verdict, Sequence[int]], names: Sequence[str], outside: int) -> str:
    """Return how many models are on each side (`2 of 3 models: supported; 1 inconclusive.`)."""
    yes, no, unclear = sides["supported"], sides["not supported"], sides["inconclusive"]
    if yes and no:
        text = (
            f"Models contradict each other: supported by {', '.join(names[i] for i in yes)}; not supported by "
            f"{', '.join(names[i] for i in no)}"
        )
    elif yes or no:
        text = f"{len(yes or no)} of {len(names)} models: {'supported' if yes else 'not supported'}"
    else:
        text = f"0 of {len(names)} models decide the claim"
    if unclear and (yes or no):
        text += f"; {len(unclear)} inconclusive"
    return text + (f"; {outside} more are of sizes that the claim is not about." if outside else ".")


def _statements(names: Sequence[str], judgements: Sequence[Judgement]) -> list[str]:
    return [f"{name}: {judgement.statement}" for name, judgement in zip(names, judgements, strict=True)]


class FindingClaim(RunClaim):
    """A claim that its study already tests: all findings of one `kind` must be supported.

    `asked` is the command to run if a run has no such finding.
    """

    kind: str = ""
    asked: str = ""

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the joint verdict of a run's findings."""
        return all_of(run.of_kind(self.kind), 1, self.asked)


def all_of(findings: Sequence[Finding], asked: int, needs: str) -> Judgement:
    """Return whether every finding is supported.

    The verdict is `not supported` if one finding is, else `inconclusive` if one is or if there are fewer than `asked`.
    The effect is that of the weakest finding: the first that is not supported, else the first inconclusive one, else
    the smallest. The p-value of a supported claim is the largest of its findings (intersection-union test), so no
    correction is needed.
    """
    if not findings:
        return Judgement(verdict="inconclusive", statement="No such finding in this run.", needs=needs)
    against = [finding for finding in findings if finding.verdict == "not supported"]
    unclear = [finding for finding in findings if finding.verdict == "inconclusive"]
    verdict = all_hold([finding.verdict for finding in findings] + ["inconclusive"] * (asked - len(findings)))
    weakest = (against or unclear or sorted(findings, key=lambda finding: finding.estimate))[0]
    tested = [finding.p for finding in findings if isfinite(finding.p)]
    return Judgement(
        verdict=verdict,
        statement=" ".join(finding.statement for finding in findings),
        estimate=weakest.estimate,
        lo=weakest.lo,
        hi=weakest.hi,
        p=max(tested) if verdict == "supported" and tested else weakest.p,
        null=weakest.null,
        n=sum(finding.n for finding in findings),
        needs=needs if len(findings) < asked else "",
    )


def by_family(runs: Iterable[FinishedRun]) -> dict[str, list[FinishedRun]]:
    """Return the runs of each family by size, families in order of appearance; unknown sizes are left out."""
    families: dict[str, list[FinishedRun]] = {}
    for run in runs:
        if run.parameters > 0:
            families.setdefault(run.family, []).append(run)
    return {name: sorted(members, key=lambda run: run.parameters) for name, members in families.items()}


def largest_family(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Return the runs of the family with the most sizes, smallest first; in a tie, the family of the smallest model."""
    families = by_family(sorted(runs, key=lambda run: run.parameters)).values()
    return max(families, key=lambda family: len({run.parameters for run in family}), default=[])


def any_of(findings: Sequence[Finding], needs: str) -> Judgement:
    """Return whether some finding is supported; `not supported` if all are refuted.

    Statement and effect are those of the findings with the joint verdict, the effect of the one with the smallest p.
    """
    if not findings:
        return Judgement(verdict="inconclusive", statement="No such finding in this run.", needs=needs)
    verdict = any_holds(finding.verdict for finding in findings)
    shown = [finding for finding in findings if finding.verdict == verdict] or list(findings)
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
