"""A comparison, read from its folder."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core.checksums import check_digest, read_vouched
from layeratlas.core.files import COMPARISON, COMPARISON_PAGE
from layeratlas.runs.finding_table import with_later_columns
from layeratlas.runs.tables import read_table

_AGAIN = "compare the runs again with the same --out"
TABLES = (
    "curves",
    "quantities",
    "differences",
    "similarity",
    "sizes",
    "training",
    "segments",
    "marks",
    "findings",
    "claims",
)


class FinishedComparison:
    """A comparison of finished runs: its folder, its manifest, and its tables, which are read on first access.

    Raises StoreError if the manifest is damaged. Access to a table raises StoreError if its file is missing, unreadable
    or not the one that the comparison wrote.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest: dict[str, Any] = read_vouched(self.folder / COMPARISON, _AGAIN)

    def verify(self) -> None:
        """Raise StoreError if a table is missing or is not the one that the comparison wrote."""
        for name in TABLES:
            self._table(name)

    def _table(self, name: str) -> pl.DataFrame:
        path = self.folder / f"{name}.parquet"
        digest = self.manifest.get("sha256", {}).get(path.name)
        if digest is not None and path.exists():
            check_digest(path, digest, _AGAIN)
        return read_table(path, _AGAIN)

    @cached_property
    def curves(self) -> pl.DataFrame:
        """One row per model, level (or signal), component and layer."""
        return self._table("curves")

    @cached_property
    def quantities(self) -> pl.DataFrame:
        """One row per model and quantity, with its own interval."""
        return self._table("quantities")

    @cached_property
    def differences(self) -> pl.DataFrame:
        """One row per pair of models and quantity."""
        return self._table("differences")

    @cached_property
    def similarity(self) -> pl.DataFrame:
        """One row per pair of models and pair of layers: their CKA."""
        return self._table("similarity")

    @cached_property
    def sizes(self) -> pl.DataFrame:
        """One row per family, level, position on the curve (peak, last layer, half depth) and model."""
        return self._table("sizes")

    @cached_property
    def training(self) -> pl.DataFrame:
        """One row per training, level, quantity and checkpoint."""
        return self._table("training")

    @cached_property
    def segments(self) -> pl.DataFrame:
        """One row per study, model and segment, with its ends as fractions of depth."""
        return self._table("segments")

    @cached_property
    def marks(self) -> pl.DataFrame:
        """One row per study, model and mark on the map: what is used, at the layers of the causal study."""
        return self._table("marks")

    @cached_property
    def findings(self) -> pl.DataFrame:
        """One row per finding, with the same columns as a run's findings."""
        return with_later_columns(self._table("findings"))

    @cached_property
    def claims(self) -> pl.DataFrame:
        """One row per published claim, judged on all runs together."""
        return self._table("claims")

    @property
    def overview(self) -> list[dict[str, str]]:
        """The first lines about several models (`study`, `says`, `text`); empty for one model or an older folder."""
        return list(self.manifest.get("overview", []))

    @property
    def page_path(self) -> Path:
        """The path of the page."""
        return self.folder / COMPARISON_PAGE

    @property
    def levels(self) -> list[str]:
        """The codes of all levels, in reading order."""
        return list(self.manifest.get("levels", []))

    @property
    def models(self) -> list[str]:
        """The models' names, by family, size and step of training."""
        return list(dict.fromkeys(run["name"] for run in self._by_place))

    @property
    def subjects(self) -> list[str]:
        """The models' names, with one name for all checkpoints of a training, such as `small (8 checkpoints)`."""
        steps: dict[str, dict[str, None]] = {}
        for run in self._by_place:
            series = (run.get("checkpoint") or {}).get("series") or run["name"]
            steps.setdefault(series, {})[run["name"]] = None
        return [
            f"{series} ({len(names)} checkpoints)" if len(names) > 1 else min(names) for series, names in steps.items()
        ]

    @property
    def shown(self) -> list[str]:
        """The models whose maps and curves are drawn: of several trainings only the last checkpoint of each."""
        if len(self.subjects) == 1:
            return self.models
        last = {(run.get("checkpoint") or {}).get("series") or run["name"]: run["name"] for run in self._by_place}
        return [name for name in self.models if name in last.values()]

    @property
    def _by_place(self) -> list[dict[str, Any]]:
        return sorted(self.manifest["runs"], key=_place)


def _place(run: dict[str, Any]) -> tuple[Any, ...]:
    """Return the sort key of a run."""
    checkpoint = run.get("checkpoint") or {"series": run["name"], "step": 0}
    return run["family"], run["parameters"] or 0, checkpoint["series"], checkpoint["step"], run["name"]
