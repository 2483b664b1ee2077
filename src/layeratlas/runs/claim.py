"""The interface of a published claim: its citation, its requirements, and how runs decide it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import polars as pl

from layeratlas.core.errors import AtlasError
from layeratlas.runs.comparable import check_alike, identity_of
from layeratlas.runs.finished import FinishedRun
from layeratlas.stats.verdicts import Verdict

NAN = float("nan")


class ModelSizes(NamedTuple):
    """A range of model sizes, in parameters."""

    least: float = 0.0
    most: float = float("inf")


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The verdict on a claim from one or more runs, with its effect, interval, p, null and n.

    `needs` is the command that would decide the claim, if these runs do not.
    """

    verdict: Verdict
    statement: str
    estimate: float = NAN
    lo: float = NAN
    hi: float = NAN
    p: float = NAN
    null: str = ""
    n: int = 0
    needs: str = ""


def undecided(needs: str, reason: str = "") -> Judgement:
    """Return the judgement of a claim whose requirements are not met, with the reason."""
    statement = f"Not judged: {reason}." if reason else "Not judged."
    return Judgement(verdict="inconclusive", statement=statement, needs=needs)


class Claim(ABC):
    """A published claim about layers.

    - `name`, `summary`, `citation`: the claim and its source; `published` is what the source reports, in words;
    - `study`: the study whose runs decide it;
    - `sizes`, `families`: the minimum number of models and of families;
    - `about`: the model sizes that it is about; runs of other sizes are shown but do not decide;
    - `joins`: whether it compares models; all runs must then have the same texts, size, settings and versions, and
      different models.
    """

    name: str = ""
    summary: str = ""
    citation: str = ""
    published: str = ""
    study: str = ""
    sizes: int = 1
    families: int = 1
    about: ModelSizes = ModelSizes()
    joins: bool = False

    def judge(self, runs: Sequence[FinishedRun]) -> Judgement:
        """Return the verdict from these runs, which may be of any studies and models.

        The verdict is `inconclusive`, with the command to run, if the requirements are not met or if joined runs are
        not comparable.
        """
        chosen = self.chosen([run for run in runs if run.study == self.study])
        models = len({identity_of(run) for run in chosen})
        families = len({run.family for run in chosen})
        if models < self.sizes or families < self.families or not chosen:
            return undecided(self._command(models, families))
        if self.joins and len(chosen) > 1:
            try:
                check_alike(chosen)
            except AtlasError as error:
                return undecided(error.todo, error.problem)
        return self.decide(chosen)

    def _command(self, models: int, families: int) -> str:
        command = f"layeratlas run {self.study}"
        if self.sizes > 1:
            command += f" on {self.sizes} sizes of a family (here {models})"
        if self.families > 1:
            command += f" on {self.families} families (here {families})"
        return command

    def chosen(self, runs: Sequence[FinishedRun]) -> Sequence[FinishedRun]:
        """Return the runs of the study that the claim reads: all, unless overridden."""
        return runs

    @abstractmethod
    def decide(self, runs: Sequence[FinishedRun]) -> Judgement:
        """Return the verdict from runs that meet the claim's requirements."""

    def speaks_of(self, run: FinishedRun) -> bool:
        """Return whether the size of a run's model is within the claim's `about`."""
        return self.about.least <= run.parameters <= self.about.most

    def in_scope(self, run: FinishedRun, judgement: Judgement) -> Judgement:
        """Return a run's judgement; `inconclusive` if the claim is not about models of that size."""
        if self.speaks_of(run):
            return judgement
        least, most = self.about
        sizes = f"at least {least / 1e9:.0f}" if run.parameters < least else f"at most {most / 1e9:.0f}"
        scope = (
            f"The claim is about models of {sizes} billion parameters; {run.model} has "
            f"{run.parameters / 1e9:.2g} billion parameters."
        )
        return replace(
            judgement,
            verdict="inconclusive",
            statement=f"{judgement.statement} {scope}",
            needs=f"layeratlas run {self.study} on a model of {sizes} billion parameters",
        )


def rested(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of `judgement_table` whose claims rest on findings of the runs, and those that need other runs.

    A claim of the first part may still be undecided: from too few texts, from one of two levels, or by a model of
    another size.
    """
    rests = pl.col("n") > 0
    return table.filter(rests), table.filter(~rests)


def others_in_words(count: int) -> str:
    """Return in one sentence how many claims need other runs, and where these are named; empty for none."""
    if not count:
        return ""
    claims = "1 claim that is not listed needs" if count == 1 else f"{count} claims that are not listed need"
    return f"{claims} other tasks, models or studies: 'layeratlas claims DIR' names the command that decides each."


def judgement_table(claims: Sequence[Claim], runs: Sequence[FinishedRun]) -> pl.DataFrame:
    """Return one row per claim: its summary, the published result, the result here and the verdict."""
    rows = []
    for claim in claims:
        judgement = claim.judge(runs)
        rows.append(
            {
                "claim": claim.name,
                "says": claim.summary,
                "published": claim.published,
                "here": judgement.statement,
                "estimate": judgement.estimate,
                "lo": judgement.lo,
                "hi": judgement.hi,
                "p": judgement.p,
                "null": judgement.null,
                "n": judgement.n,
                "verdict": judgement.verdict,
                "to decide it": judgement.needs,
                "citation": claim.citation,
            }
        )
    return pl.DataFrame(rows)
