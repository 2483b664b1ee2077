"""What a report is drawn from, and its charts as files: the map beside every page, all of them on request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from layeratlas.report import figures
from layeratlas.report.inputs import checked_run
from layeratlas.report.view import View, view_of
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.study import Exhibit, Study


@dataclass(frozen=True, kw_only=True)
class Drawable:
    """A run with its tables checked, its study (None if its package is not installed here), curves and exhibits."""

    run: FinishedRun
    study: Study | None
    view: View
    exhibits: list[Exhibit]

    @property
    def has_curves(self) -> bool:
        """Whether the report draws the run's curves by level."""
        return self.study is None or self.study.curves

    @property
    def lead(self) -> Exhibit | None:
        """The chart with which the report of a study without such curves starts; None if it has none."""
        return None if self.has_curves else next((exhibit for exhibit in self.exhibits if exhibit.chart), None)


def drawable(folder: str | Path, study: Study | None) -> Drawable:
    """Return what a run's report is drawn from; raises StoreError if a table is missing or unreadable."""
    run = checked_run(Path(folder))
    return Drawable(
        run=run,
        study=study,
        view=view_of(run, study),
        exhibits=study.exhibits(run.folder) if study else [],
    )


def draw(folder: str | Path, study: Study | None) -> Path:
    """Write every chart of a run as SVG and PNG into its `figures/`, and return that folder; errors of `drawable`."""
    return write_figures(drawable(folder, study))


def write_figures(of: Drawable) -> Path:
    """Write every chart of a run as SVG and PNG into its `figures/`, and return that folder."""
    if of.has_curves:
        figures.write_figures(of.run.folder, of.view)
    for exhibit in of.exhibits:
        figures.write_exhibit(of.run.folder, exhibit)
    return of.run.folder / figures.FOLDER


def write_beside(of: Drawable) -> None:
    """Write what belongs beside a page: its first chart, for lists of runs; all figures if they were drawn before."""
    if figures.are_drawn(of.run.folder):
        write_figures(of)
    elif of.has_curves:
        figures.write_map(of.run.folder, of.view)
    elif of.lead is not None:
        figures.write_svg(of.run.folder, of.lead.name, figures.exhibit_svg(of.lead))


def main_figure(folder: str | Path, study: Study | None) -> str:
    """Return a run's curves as SVG, or else the first chart of its study; '' if it has none."""
    of = drawable(folder, study)
    if of.has_curves:
        return figures.main_figure(of.view)
    return next(filter(None, map(figures.exhibit_svg, of.exhibits)), "")
