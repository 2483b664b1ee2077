"""What a claim of the literature is: a citation, what it needs, and how runs decide it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from layeratlas.core.errors import AtlasError
from layeratlas.runs.comparable import check_alike, identity_of
from layeratlas.runs.finished import RunTables
from layeratlas.stats.verdicts import Verdict

NAN = float("nan")


@dataclass(frozen=True)
class Judgement:
    """What runs say of a claim: a verdict with its effect, interval, p, null and n; `needs` is what to run, if more."""

    verdict: Verdict
    statement: str
    estimate: float = NAN
    lo: float = NAN
    hi: float = NAN
    p: float = NAN
    null: str = ""
    n: int = 0
    needs: str = ""


def undecided(needs: str, why: str = "") -> Judgement:
    """Return the judgement of a claim whose needs are not met, and why not."""
    return Judgement("inconclusive", f"Not judged: {why}." if why else "Not judged.", needs=needs)


class Claim(ABC):
    """A published claim about layers.

    `published` is what the source reports, in words. `study` is what each run must be; a claim on sizes or families
    needs so many models (`sizes`) or families (`families`). `about` are the numbers of parameters (least, most) of
    the models that it speaks of: a run of another model can be shown beside it and can never decide it. A claim that
    `joins` runs sets several models against each other, so that all it reads must be of the same texts, size,
    settings and versions, each of another model.
    """

    name: str = ""
    summary: str = ""
    citation: str = ""
    published: str = ""
    study: str = ""
    sizes: int = 1
    families: int = 1
    about: tuple[float, float] = (0.0, float("inf"))
    joins: bool = False

    def judge(self, runs: Sequence[RunTables]) -> Judgement:
        """Return the verdict of these runs, which may be of any studies and models.

        `inconclusive` with what to run where the needs are not met, or where runs that are joined are not comparable.
        """
        mine = self.chosen([run for run in runs if run.study == self.study])
        models = len({identity_of(run) for run in mine})
        families = len({run.family for run in mine})
        if models < self.sizes or families < self.families or not mine:
            what = f"layeratlas run {self.study}"
            if self.sizes > 1:
                what += f" on {self.sizes} sizes of a family (here {models})"
            if self.families > 1:
                what += f" on {self.families} families (here {families})"
            return undecided(what)
        if self.joins and len(mine) > 1:
            try:
                check_alike(mine)
            except AtlasError as error:
                return undecided(error.todo, error.found)
        return self.decide(mine)

    def chosen(self, runs: Sequence[RunTables]) -> Sequence[RunTables]:
        """Return those of the study's runs that the claim reads: all of them, unless it says otherwise."""
        return runs

    @abstractmethod
    def decide(self, runs: Sequence[RunTables]) -> Judgement:
        """Return the verdict of runs that meet the claim's needs."""

    def limited(self, run: RunTables, found: Judgement) -> Judgement:
        """Return a judgement of one run, `inconclusive` where the claim does not speak of such a model."""
        least, most = self.about
        if least <= run.parameters <= most:
            return found
        size = f"{run.parameters / 1e9:.2g} billion parameters"
        which = f"at least {least / 1e9:.0f}" if run.parameters < least else f"at most {most / 1e9:.0f}"
        says = f"{found.statement} The claim is about models of {which} billion; {run.model} has {size}."
        needs = f"layeratlas run {self.study} on a model of {which} billion parameters"
        return Judgement(
            "inconclusive", says, found.estimate, found.lo, found.hi, found.p, found.null, found.n, needs
        )  # fmt: skip


def first_decided(claim: Claim, runs: Sequence[RunTables], judge: Any) -> Judgement:
    """Return the judgement of the run that can say most: one that the claim speaks of, else the largest model.

    Of several runs it is said whose it is, and which others are decided otherwise.
    """
    ranked = sorted(runs, key=lambda run: run.parameters if run.parameters == run.parameters else 0.0, reverse=True)
    judged = [(run, claim.limited(run, judge(run))) for run in ranked]
    decided = [one for one in judged if one[1].verdict != "inconclusive"]
    mine, found = (decided or judged)[0]
    if len(ranked) == 1:
        return found
    others = [f"{run.model}: {one.verdict}" for run, one in decided if one.verdict != found.verdict]
    otherwise = f" Other models: {', '.join(others)}." if others else ""
    return replace(found, statement=f"{mine.model}: {found.statement}{otherwise}")


def table_of(claims: Sequence[Claim], runs: Sequence[RunTables]) -> pl.DataFrame:
    """Return one row a claim: what it says, what was published, what is found here, and the verdict."""
    rows = []
    for claim in claims:
        found = claim.judge(runs)
        rows.append(
            {
                "claim": claim.name,
                "says": claim.summary,
                "published": claim.published,
                "here": found.statement,
                "estimate": found.estimate,
                "lo": found.lo,
                "hi": found.hi,
                "p": found.p,
                "null": found.null,
                "n": found.n,
                "verdict": found.verdict,
                "to decide it": found.needs,
                "citation": claim.citation,
            }
        )
    return pl.DataFrame(rows)
