"""A finished run, opened from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from layeratlas.api.advice import find_recommendation, recommended_layer
from layeratlas.api.display import figure_of, html_of, svg_of, text_of
from layeratlas.api.folders import folder_path, report, study_of
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.files import COMPARISON
from layeratlas.core.formatting import duration
from layeratlas.core.formatting import size as parameters_in_words
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.recommendation import ALL, Purpose, Recommendation, summary_lines
from layeratlas.runs.recommendation import FILE as RECOMMENDATIONS
from layeratlas.runs.study import Study

if TYPE_CHECKING:
    from altair import VConcatChart

    from layeratlas.api.compared import Comparison
    from layeratlas.core.spec import Component
    from layeratlas.directions import Direction


class Run(FinishedRun):
    """A finished run, read from its folder.

    `curves` and `findings` are polars data frames, `manifest` is the content of `run.json`, `report_path` the path of
    the page. Raises StoreError if the folder has no finished run.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder_path(folder))
        if not self.complete:
            raise StoreError(f"the run in '{folder}' is not finished", "a finished run", "run it again to resume")

    def plot(self, level: str | None = None, component: str = "resid") -> VConcatChart:
        """Return the Altair chart of all levels, or of one, by depth; raises SpecError for an unknown name."""
        from layeratlas.report import figure

        return figure(self, study=study_of(self), level=level, component=component)

    def rebuild_report(self) -> Path:
        """Rebuild the report and its figures from the run's tables alone, and return the report's path."""
        return report(self.folder)

    def summary(self, width: int = 0) -> str:
        """Return the model, its map (if it fits in `width` columns), a few findings and the layers to use.

        There are at most five findings and two lines of layers; the last line gives the report's number of findings.
        """
        from layeratlas.report.lead import headlines
        from layeratlas.report.overview import overview

        blocks = f"{self.blocks} blocks, width {self.manifest['model'].get('width') or 'unknown'}"
        head = f"{self.model}: {blocks}; computed in {duration(self.seconds)}"
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
        """Return the layer to use for a level or task, with the layers that are as good.

        `purpose` is probe, direction (where to take one from, steering untested), steer (tested by the causal study),
        embed, exit or prune; `name` is a level or a task, or `all` for purposes that cover all levels (embed, prune).
        `value` and its interval are read on groups that did not choose the layer. If no layer can be
        recommended, the record's `layer` is None and its `reason` says why. Raises SpecError for an unknown name, or
        for a purpose of another study, which the error names.
        """
        return find_recommendation(self, name, purpose, component)

    def direction(
        self, task: str, layer: int | None = None, component: Component = "resid", *, method: str = ""
    ) -> Direction:
        """Return the fitted direction of a task at a layer, in the coordinates of the model's activations.

        `task` is a task, or a level with a single task. `layer` is a point of `resid` or a block of `attn` or `mlp`; it
        defaults to the point recommended for directions (for `attn` and `mlp`, the block to probe). `method` is a probe
        of the run, by default its first. The run's cross-validation is repeated at the layer and its score compared
        with the run's curve. Raises SpecError if the run has no such direction or, without `layer`, recommends none.
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


def load(folder: str | Path) -> Run | Comparison:
    """Open a finished run or a comparison; raises StoreError if the folder has neither."""
    folder = folder_path(folder)
    if not (folder / COMPARISON).exists():
        return Run(folder)
    from layeratlas.api.compared import Comparison

    return Comparison(folder)
