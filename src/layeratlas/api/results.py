"""What is finished: a run and a comparison, opened from their folders."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from layeratlas.api.advice import find_recommendation, recommended_layer
from layeratlas.api.display import figure_of, html_of, svg_of, text_of
from layeratlas.core import registry
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.formatting import size as parameters_in_words
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.recommendation import ALL, Purpose, Recommendation, summary_lines
from layeratlas.runs.recommendation import FILE as RECOMMENDATIONS
from layeratlas.runs.study import Study

if TYPE_CHECKING:
    from altair import VConcatChart

    from layeratlas.core.spec import Component
    from layeratlas.directions import Direction

_COMPARISON = "comparison.json"
# Characters of a folder's name in a message.
_SHOWN = 60


class Run(FinishedRun):
    """A finished run, read from its folder.

    `curves` and `findings` are polars data frames, `manifest` is `run.json`, `report_path` the page. Raises StoreError
    where the folder holds no finished run.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder_path(folder))
        if not self.complete:
            raise StoreError(f"the run in '{folder}' is not finished", "a finished run", "run it again to resume")

    def plot(self, level: str | None = None, component: str = "resid") -> VConcatChart:
        """Return the Altair chart of all levels, or of one, by depth; raises SpecError for a name that is not there."""
        from layeratlas.report import figure

        return figure(self, study=study_of(self), level=level, component=component)

    def rebuild_report(self) -> Path:
        """Write the report and its figures again, from the run's tables alone, and return the report's path."""
        return report(self.folder)

    def summary(self, width: int = 0) -> str:
        """Return the model, its map where there is `width` for it (in columns), a few findings and the layers to use.

        At most five findings and two lines of layers; the last line says how many findings the report has.
        """
        from layeratlas.report.lead import headlines
        from layeratlas.report.overview import overview

        blocks = f"{self.blocks} blocks, width {self.manifest['model'].get('width') or 'unknown'}"
        head = f"{self.model}: {blocks}; computed in {self.seconds:.0f} s"
        study = study_of(self)
        first = [f"[{row['verdict']}] {row['plain']}" for row in headlines(overview(self.findings, study))]
        more = f"{self.findings.height} findings with intervals, p-values and nulls are in the report:"
        lines = [*self._map(study, width), *first, *self._advice(), more]
        return "\n".join([head, *(f"  {line}" for line in lines)])

    def _map(self, study: Study | None, width: int) -> list[str]:
        if not width or (study is not None and not study.curves):
            return []
        from layeratlas.report.names import names_of
        from layeratlas.report.text_map import drawn, level_rows
        from layeratlas.report.view import prepare

        found = self.of_kind(study.presence) if study and study.presence else []
        absent = {finding.level for finding in found if finding.verdict != "supported"}
        view = prepare(self.curves, self.blocks, names_of(self, study))
        return drawn(level_rows(view, absent), width - 2)

    def best_layer(self, name: str = ALL, *, purpose: str = Purpose.PROBE, component: str = "resid") -> Recommendation:
        """Return the layer to use for a level or task, with those that are as good.

        `purpose` is probe, steer, embed, exit or prune; `name` is a level or a task, and `all` for purposes that cover
        all levels (embed, prune). The record's `layer` is None where no layer can be recommended, and its `reason` says
        why. Raises SpecError for an unknown name, and for a purpose that runs of another study answer, which it names.
        """
        return find_recommendation(self, name, purpose, component)

    def direction(
        self, task: str, layer: int | None = None, component: Component = "resid", *, method: str = ""
    ) -> Direction:
        """Return the fitted direction of a task at a layer, in the model's own coordinates.

        `task` is a task, or a level that has one task; `layer` a point of `resid` or a block of `attn` and `mlp`, by
        default the one to steer (of `attn` and `mlp`, to probe); `method` a probe of the run, by default its first.
        The run's cross-validation is repeated at the layer and its score compared with the run's curve. Raises
        SpecError where the run has no such direction or, without `layer`, recommends none.
        """
        from layeratlas.studies.hierarchy.directing import fit_direction

        if self.study != "hierarchy":
            raise SpecError(
                f"a run of {self.study} fits no directions", "a run of hierarchy", "layeratlas run hierarchy"
            )
        layer = recommended_layer(self, task, component) if layer is None else layer
        return fit_direction(self, task, layer, component, method)

    def _advice(self) -> list[str]:
        return summary_lines(self.recommendations) if (self.folder / RECOMMENDATIONS).exists() else []

    def _heading(self) -> str:
        model = f"{self.model} ({self.blocks} blocks, {parameters_in_words(self.parameters)} parameters)"
        return f"{self.study} of {model}, size {self.size}"

    def __repr__(self) -> str:
        return text_of(f"Run of {self._heading()}, in '{self.folder}'", self.main_findings)

    def _repr_html_(self) -> str:
        return html_of(f"Run of {self._heading()}", self.main_findings, self._main_figure(), self.report_path)

    def _main_figure(self) -> str:
        study = study_of(self)
        if study is None or study.curves:
            return figure_of(self.folder, ["curves"]) or svg_of(self.plot())
        return figure_of(self.folder, [exhibit.name for exhibit in study.exhibits(self.folder) if exhibit.chart])


class Comparison:
    """A comparison of finished runs, or the atlas of one model, read from its folder.

    Its tables are polars data frames, `manifest` is `comparison.json`, `report_path` the page. Raises StoreError where
    the folder holds no comparison; every table does where it is not the one that the comparison wrote.
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
        """How each quantity changes with the number of parameters."""
        return self._finished.sizes

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
        """Where the page of all runs is."""
        return self.folder / "comparison.html"

    def rebuild_report(self) -> Path:
        """Write the page and its figures again, from the tables alone, and return its path."""
        return report(self.folder)

    def summary(self, width: int = 0) -> str:
        """Return the heading, of one model its map where there is `width` for it (in columns), and the first findings.

        At most ten of them; those that are decided come before the inconclusive ones.
        """
        head, *found = text_of(self._heading(), self._ranked(), 10).splitlines()
        lines = self._map(width) if width and len(self.models) == 1 else []
        return "\n".join([head, *(f"  {line}" for line in lines), *found])

    def _map(self, width: int) -> list[str]:
        from layeratlas.report.text_map import TextRow, drawn

        curves = self.curves.filter(pl.col("component") == pl.col("component").first().over("study", "entry"))
        rows = []
        for curve in curves.partition_by("study", "entry", maintain_order=True):
            top = int(curve["layer"][curve["estimate"].arg_max() or 0])
            best = top if curve["shade"].max() else None
            rows.append(TextRow(name=curve["entry"][0], shares=curve.sort("layer")["shade"].to_list(), best=best))
        return drawn(rows, width - 2)

    def _ranked(self) -> pl.DataFrame:
        return self.findings.sort(pl.col("verdict") == "inconclusive", maintain_order=True)

    def _heading(self) -> str:
        kind = "Comparison" if len(self.models) > 1 else "Atlas"
        studies = ", ".join(self.manifest["studies"])
        return f"{kind} of {', '.join(self.models)} ({studies}), size {self.manifest['size']}"

    def __repr__(self) -> str:
        return text_of(f"{self._heading()}, in '{self.folder}'", self._ranked())

    def _repr_html_(self) -> str:
        return html_of(self._heading(), self._ranked(), figure_of(self.folder, ["atlas"]), self.report_path)


def load(folder: str | Path) -> Run | Comparison:
    """Open a finished run or a comparison; raises StoreError where the folder holds neither."""
    folder = folder_path(folder)
    return Comparison(folder) if (folder / _COMPARISON).exists() else Run(folder)


def report(folder: str | Path) -> Path:
    """Build the page of a finished run or of a comparison again, from its tables alone, and return its path."""
    folder = folder_path(folder)
    if (folder / _COMPARISON).exists():
        from layeratlas.comparison.page import build_comparison

        return build_comparison(folder)
    from layeratlas.report import build

    return build(folder, study_of(FinishedRun(folder)))


def index(folder: str | Path) -> Path:
    """Write the page that lists every run and comparison below a folder and return its path, FOLDER/index.html.

    Raises StoreError where the folder holds no run, or is a sweep, which has an index of its own.
    """
    from layeratlas.report.index import write_index

    return write_index(folder_path(folder))


def study_of(run: FinishedRun) -> Study | None:
    """Return a run's study; None where it belongs to a package that is not installed here."""
    with suppress(SpecError):
        study: Study = registry.get("studies", run.study)
        return study
    return None


def folder_path(folder: object) -> Path:
    """Return a folder's path; raises SpecError for what is no path, is not UTF-8 or is a name that no file can have."""
    if not isinstance(folder, str | Path):
        raise SpecError(f"a folder is {folder!r}", "a path")
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise SpecError(f"the folder name {str(folder)!a} is not UTF-8", "", "rename the folder") from None
    try:
        Path(folder).stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return Path(folder)  # to be made, or refused by who reads or writes it
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError(f"the folder {_brief(folder)} cannot be used ({reason})", "a path", "check it") from None
    return Path(folder)


def _brief(folder: object) -> str:
    name = str(folder)
    return ascii(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")
