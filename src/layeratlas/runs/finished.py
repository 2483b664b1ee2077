"""A finished run, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from layeratlas.core.errors import StoreError
from layeratlas.core.files import read_json
from layeratlas.runs.draws import Draws, draws_of

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
