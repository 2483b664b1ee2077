"""What a claim of the literature is: a citation, what it needs, and how runs decide it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from layeratlas.comparable import check_alike, identity_of
from layeratlas.draws import Draws, draws_of
from layeratlas.errors import AtlasError, StoreError
from layeratlas.files import read_json
from layeratlas.records import Verdict

NAN = float("nan")
# Columns method (of cutting), draw, boundary (1, 2), layer: the cuts of passages drawn anew, in every run alike.
BOUNDARY_DRAWS = "boundary_draws.parquet"


@dataclass(frozen=True)
class RunTables:
    """A finished run as a claim sees it: `run.json`, `curves.parquet`, `findings.parquet`."""

    manifest: dict[str, Any]
    curves: pl.DataFrame
    findings: pl.DataFrame
    folder: Path = Path()

    @property
    def study(self) -> str:
        """The study's name."""
        return str(self.manifest["spec"]["study"])

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.manifest["model"].get("name", "unknown"))

    @property
    def parameters(self) -> float:
        """The number of the model's parameters; NaN where the manifest does not say."""
        return float(self.manifest["model"].get("parameters") or NAN)

    @property
    def family(self) -> str:
        """The model's family: its architecture's name, or that which `in_family` gave it."""
        return str(self.manifest["model"].get("family", "unknown"))

    def in_family(self, families: Mapping[str, str]) -> RunTables:
        """Return the run in the first family whose part (`{family: part}`) stands in its model's or folder's name."""
        name = f"{self.model} {self.folder}".lower()
        for family, part in families.items():
            if part.lower() in name:
                return replace(self, manifest=self.manifest | {"model": self.manifest["model"] | {"family": family}})
        return self

    @property
    def method(self) -> str:
        """The method that decides the findings: that of the first."""
        return str(self.findings["method"][0]) if len(self.findings) else ""

    @property
    def main(self) -> pl.DataFrame:
        """The findings of the first method on the residual stream."""
        return self.findings.filter(pl.col("method") == pl.col("method").first(), pl.col("component") == "resid")

    @cached_property
    def draws(self) -> Draws | None:
        """The run's bootstrap draws; None where it kept none."""
        return draws_of(self.folder)

    def boundary_draws(self, boundary: int) -> NDArray[np.float64] | None:
        """Return the draws (B,) of the first (1) or second (2) boundary, in blocks; None where none were kept.

        They are those of the method by which the run was cut.
        """
        try:
            table = pl.read_parquet(self.folder / BOUNDARY_DRAWS, columns=["method", "draw", "boundary", "layer"])
        except (OSError, pl.exceptions.PolarsError):
            return None
        own = self.manifest["spec"].get("settings", {}).get("method", "exact")
        mine = table.filter(pl.col("method") == own, pl.col("boundary") == boundary).sort("draw")
        return mine["layer"].cast(pl.Float64).to_numpy() if len(mine) else None

    def found(self, finding: str, component: str = "resid", method: str = "") -> list[dict[str, Any]]:
        """Return the findings of that name in a component: of one method, by default the first that is there."""
        mine = self.findings.filter(pl.col("finding") == finding, pl.col("component") == component)
        return mine.filter(pl.col("method") == (method or pl.col("method").first())).to_dicts()


def read_run(folder: Path) -> RunTables:
    """Read a finished run; raises StoreError, in one line, where it is none."""
    run = tables_of(folder)
    if run.manifest.get("status") != "complete":
        raise StoreError(f"the run in '{folder}' is not finished", "a finished run", "run it again to resume")
    return run


def tables_of(folder: Path) -> RunTables:
    """Read a run whose analysis is finished; raises StoreError where a file is missing or cannot be read."""
    return RunTables(read_json(folder / "run.json"), _table(folder, "curves"), _table(folder, "findings"), folder)


def _table(folder: Path, name: str) -> pl.DataFrame:
    try:
        return pl.read_parquet(folder / f"{name}.parquet")
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(
            f"{folder / name}.parquet cannot be read ({reason})", "a whole file", "run it again"
        ) from error


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
