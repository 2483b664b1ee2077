"""A comparison of finished runs, opened from its folder."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.api.display import figure_of, html_of, text_of
from layeratlas.api.folders import figures, folder_path, report
from layeratlas.core.files import COMPARISON_PAGE

# The rows of an atlas in a terminal: those of all studies with the built-in tasks.
_MOST_ROWS = 24


class Comparison:
    """A comparison of finished runs, or the atlas of one model, read from its folder.

    Its tables are polars data frames, `manifest` is the content of `comparison.json`, `report_path` the path of the
    page. Raises StoreError if the folder has no comparison. Access to a table raises StoreError if it is not the one
    that the comparison wrote.
    """

    def __init__(self, folder: str | Path) -> None:
        from layeratlas.comparison.finished import FinishedComparison

        self.folder = folder_path(folder)
        self._finished = FinishedComparison(self.folder)
        self.manifest: dict[str, Any] = self._finished.manifest

    @cached_property
    def curves(self) -> pl.DataFrame:
        """The curves of all runs."""
        return self._finished.curves

    @cached_property
    def findings(self) -> pl.DataFrame:
        """One row per finding, with estimate, interval, p-value, null and verdict."""
        return self._finished.findings

    @cached_property
    def differences(self) -> pl.DataFrame:
        """One row per pair of models and quantity."""
        return self._finished.differences

    @cached_property
    def quantities(self) -> pl.DataFrame:
        """One row per model and quantity."""
        return self._finished.quantities

    @cached_property
    def similarity(self) -> pl.DataFrame:
        """CKA of every pair of layers of two models."""
        return self._finished.similarity

    @cached_property
    def sizes(self) -> pl.DataFrame:
        """The change of each quantity with the number of parameters."""
        return self._finished.sizes

    @cached_property
    def training(self) -> pl.DataFrame:
        """Values and depths of every level at every checkpoint of a training."""
        return self._finished.training

    @cached_property
    def claims(self) -> pl.DataFrame:
        """Every published claim, judged on all the runs."""
        return self._finished.claims

    @property
    def models(self) -> list[str]:
        """The names of the models."""
        return list(dict.fromkeys(run["name"] for run in self.manifest["runs"]))

    @property
    def report_path(self) -> Path:
        """The path of the page of all runs."""
        return self.folder / COMPARISON_PAGE

    def rebuild_report(self) -> Path:
        """Rebuild the page from the tables alone, and return its path; figures drawn before are drawn again."""
        return report(self.folder)

    def draw_figures(self) -> Path:
        """Draw the page's charts as SVG and PNG files, and return their folder."""
        return figures(self.folder)

    def summary(self, width: int = 0) -> str:
        """Return the heading, then the map of a single model if it fits in `width` columns, and the first findings.

        There are at most ten findings; decided ones come before inconclusive ones. Of several models it is what they
        share, what differs most, what is equal and what is undecided; findings of other kinds follow.
        """
        one = len(self.models) == 1
        overview = [] if one else self._overview()
        lines = (self._map(width) if width else []) if one else overview
        told = self.differences["quantity"].unique().to_list() if overview else []
        rest = self._ranked().filter(~pl.col("finding").is_in(told), pl.col("estimate").is_finite() | (not told))
        head, *found = text_of(self._heading(), rest, 10).splitlines()
        more = f"{len(self.findings)} findings with intervals, p-values and nulls are on the page:"
        return "\n".join([head, *(f"  {line}" for line in lines), *found, *([f"  {more}"] if overview else [])])

    def _overview(self) -> list[str]:
        """Return the overview of several models, one line each; empty for one model."""
        lines = self._finished.overview
        if len(self.manifest["studies"]) == 1:
            return [f"{line['says']}: {line['text']}" for line in lines]
        return [f"{line['study']}, {line['says']}: {line['text']}" for line in lines]

    def _map(self, width: int) -> list[str]:
        from layeratlas.report.text_map import TextRow, drawn, spread

        levels = self.curves.filter(pl.col("task") == "all")  # the rows of the page's map
        curves = levels.filter(pl.col("component") == pl.col("component").first().over("study", "entry"))
        count = int(curves["layer"].cast(pl.Int64).max() or 0) + 1  # type: ignore[arg-type]
        rows = []
        for unsorted in curves.partition_by("study", "entry", maintain_order=True):
            curve = unsorted.sort("layer")
            name, shades = curve["entry"][0], curve["shade"].to_list()
            place = curve["shade"].arg_max() or 0
            best = int(curve["layer"][place]) if max(shades) else None
            shares = spread(curve["layer"].to_list(), shades, count)
            note, value = self._use(curve["study"][0], name), curve["estimate"][place]
            rows.append(TextRow(name=name, shares=shares, best=best, note=note, value=value))
        return drawn(rows, width - 2, most=_MOST_ROWS)

    def _use(self, study: str, entry: str) -> str:
        """Return the layers at which a row's level is used, in words; empty for a study that does not say."""
        from layeratlas.core.formatting import ranges
        from layeratlas.runs.quantity import USED

        marks = self._finished.marks.filter(study=study, entry=entry)
        used = marks.filter(meaning=USED)["layer"].to_list()
        return f"used at {ranges(used)}" if used else "use not shown" if len(marks) else ""

    def _ranked(self) -> pl.DataFrame:
        undecided = pl.col("verdict") == "inconclusive"
        ranked = self.findings.sort(undecided, maintain_order=True)
        if len(self.models) > 1:
            return ranked
        turn = pl.int_range(pl.len()).over("study", undecided)  # of an atlas, each study in turn
        return ranked.sort(undecided, turn, maintain_order=True)

    def _heading(self) -> str:
        kind = "Comparison" if len(self.models) > 1 else "Atlas"
        studies = ", ".join(self.manifest["studies"])
        return f"{kind} of {', '.join(self._finished.subjects)} ({studies}), size {self.manifest['size']}"

    def __repr__(self) -> str:
        return text_of(f"{self._heading()}, in '{self.folder}'", self._ranked())

    def _repr_html_(self) -> str:
        return html_of(self._heading(), self._ranked(), figure_of(self.folder, "atlas"), self.report_path)
