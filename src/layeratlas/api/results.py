"""A finished run, opened from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from layeratlas.api.advice import find_recommendation, recommended_layer
from layeratlas.api.display import html_of, text_of
from layeratlas.api.folders import figures, folder_path, report, study_of
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.files import COMPARISON
from layeratlas.core.formatting import duration
from layeratlas.core.formatting import size as parameters_in_words
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.manifest import CURVES, FINDINGS, SUMMARY
from layeratlas.runs.recommendation import ALL, Purpose, Recommendation
from layeratlas.runs.recommendation import FILE as RECOMMENDATIONS

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
        """Rebuild the report from the run's tables alone, and return its path; figures drawn before are drawn again."""
        return report(self.folder)

    def draw_figures(self) -> Path:
        """Draw the report's charts as SVG and PNG files, and return their folder."""
        return figures(self.folder)

    def summary(self, width: int = 0) -> str:
        """Return the model, its map (if it fits in `width` columns), a few findings and the layers to use.

        There are at most five findings and two lines of layers; the last line gives the report's number of findings.
        """
        from layeratlas.report.text_map import TextRow, drawn

        blocks = f"{self.blocks} blocks, width {self.manifest['model'].get('width') or 'unknown'}"
        head = f"{self.model}: {blocks}; computed in {duration(self.seconds)}"
        known = self._summary()
        rows = [TextRow(**row) for row in known["map"]] if width else []
        more = f"{known['findings']} findings with intervals, p-values and nulls are in the report:"
        return "\n".join([head, *(f"  {line}" for line in (*drawn(rows, width - 2), *known["lines"], more))])

    def _summary(self) -> dict[str, Any]:
        """Return what the end of the run printed, if the tables are still those that it describes."""
        tables = (CURVES, FINDINGS)  # a missing one is refused by its reader
        if SUMMARY in self.manifest and all((self.folder / name).is_file() for name in tables):
            self.verify([*tables, RECOMMENDATIONS])
            return dict(self.manifest[SUMMARY])
        from layeratlas.report import summary_of  # a run of an earlier version, or a shared one

        return summary_of(self, study_of(self))

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

    def _heading(self) -> str:
        model = f"{self.model} ({self.blocks} blocks, {parameters_in_words(self.parameters)} parameters)"
        return f"{self.study} of {model}, size {self.size}"

    def __repr__(self) -> str:
        return text_of(f"Run of {self._heading()}, in '{self.folder}'", self.main_findings)

    def _repr_html_(self) -> str:
        return html_of(f"Run of {self._heading()}", self.main_findings, self._main_figure(), self.report_path)

    def _main_figure(self) -> str:
        from layeratlas.report import main_figure

        return main_figure(self.folder, study_of(self))


def load(folder: str | Path) -> Run | Comparison:
    """Open a finished run or a comparison; raises StoreError if the folder has neither."""
    folder = folder_path(folder)
    if not (folder / COMPARISON).exists():
        return Run(folder)
    from layeratlas.api.compared import Comparison

    return Comparison(folder)
