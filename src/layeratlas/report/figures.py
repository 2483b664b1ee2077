"""The charts of a report as files for papers: the map with every page, all of them as SVG and PNG on request."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

import vl_convert

from layeratlas.core.files import write_atomic
from layeratlas.report import theme, vega
from layeratlas.report.heat import heat
from layeratlas.report.hero import controls_key, hero
from layeratlas.report.lens import Lens, lens
from layeratlas.report.panels import components, panel
from layeratlas.report.parts import Part, PartKind
from layeratlas.report.rows import chart_rows
from layeratlas.report.titles import key, title, titled
from layeratlas.report.view import View
from layeratlas.runs.study import Exhibit

FOLDER = "figures"
# The figure that stands for a run in lists of runs; it is drawn with every page.
MAP = "map"
COMPONENTS_KEY = "Solid: residual stream. Dashed: attention output. Dotted: MLP output. Grey line: chance."
_COLUMNS = 3

Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart with its title and the choices that select its rows."""

    name: str
    chart: Any
    chosen: dict[str, str]


def write_map(folder: Path, view: View) -> None:
    """Write the map of a run's levels as `figures/map.svg`."""
    figure = next(figure for figure in figures_of(view) if figure.name == MAP)
    write_svg(folder, MAP, svg(figure.chart, _rows(view, figure)))


def write_figures(folder: Path, view: View) -> None:
    """Write the figures of the curves into a run's folder, except empty ones."""
    for figure in figures_of(view):
        write(folder, figure.name, figure.chart, _rows(view, figure))


def main_figure(view: View) -> str:
    """Return the curves of all levels as SVG."""
    first = figures_of(view)[0]
    return svg(first.chart, _rows(view, first))


def are_drawn(folder: Path) -> bool:
    """Tell whether all figures of a folder have been drawn, and not the map alone."""
    return any((folder / FOLDER).glob("*.png"))


def _rows(view: View, figure: Figure) -> Rows:
    return {name: table.to_dicts() for name, table in chart_rows(view, figure.chosen).items()}


def figures_of(view: View) -> list[Figure]:
    """Return the figures of a run's curves, for the report's default choices."""
    look = lens(view)
    chosen, names = look.chosen, view.names
    curves = titled(hero(look), title(chosen, "Levels by depth", names), [*key(names.study), *controls_key(view)])
    levels_map = titled(
        heat(look), title(chosen, "Map of levels and tasks", names), "Dot: the peak of the row, if shown"
    )
    figures = [
        Figure(name="curves", chart=curves, chosen=chosen),
        Figure(name=MAP, chart=levels_map, chosen=chosen),
    ]
    small = f"Dashed grey: control ({names.study.control}). Dotted: baseline ({names.study.baseline}). Dot: the peak."
    tasks, strata, levels = (
        [part for part in view.of(kind) if view.has(part, **chosen)]
        for kind in (PartKind.TASK, PartKind.STRATUM, PartKind.LEVEL)
    )
    if len(tasks) > 1:
        figures.append(Figure(name="tasks", chart=_grid(look, tasks, panel, "Tasks", small), chosen=chosen))
    if strata:
        figures.append(Figure(name="strata", chart=_grid(look, strata, panel, "Strata", small), chosen=chosen))
    if len(view.choices["component"]) > 1 and levels:
        compared = {name: code for name, code in chosen.items() if name != "component"}
        grid = _grid(look, levels, components, "Components", COMPONENTS_KEY, compared)
        figures.append(Figure(name="components", chart=grid, chosen=compared))
    return figures


def _grid(
    look: Lens,
    parts: Sequence[Part],
    draw: Callable[[Lens, int], vega.Chart],
    heading: str,
    subtitle: str,
    chosen: dict[str, str] | None = None,
) -> vega.Chart:
    """Return small charts side by side."""
    charts = [draw(look, part.code).properties(title=_heading(part)) for part in parts]
    grid = vega.concat(*charts, columns=_COLUMNS, spacing=22).resolve_scale(color="shared")
    whole: vega.Chart = titled(grid, title(chosen or look.chosen, heading, look.view.names), subtitle)
    return whole


def _heading(part: Part) -> vega.Spec:
    text = part.level if part.kind is PartKind.LEVEL else f"{part.level} · {part.label}"
    return vega.TitleParams(text, limit=190, offset=4)


def write_exhibit(folder: Path, exhibit: Exhibit) -> None:
    """Write a study's own chart with its heading, in light colours; nothing for an exhibit with only a table."""
    if exhibit.chart is not None:
        write(folder, exhibit.name, _of_exhibit(exhibit), {})


def exhibit_svg(exhibit: Exhibit) -> str:
    """Return a study's own chart with its heading as SVG; '' for an exhibit with only a table."""
    return svg(_of_exhibit(exhibit), {}) if exhibit.chart is not None else ""


def _of_exhibit(exhibit: Exhibit) -> Any:
    assert exhibit.chart is not None
    return titled(exhibit.chart(partial(theme.colour, live=False)), exhibit.title, wrap(exhibit.text, 100))


def svg(chart: Any, data: Rows) -> str:
    """Draw a chart with its rows as SVG, without the network."""
    spec = chart if isinstance(chart, dict) else chart.to_dict()
    text = json.dumps({**spec, "datasets": {**spec.get("datasets", {}), **data}}, sort_keys=True)
    return str(vl_convert.vegalite_to_svg(text, vl_version=vega.VERSION, allowed_base_urls=[]))


def write(folder: Path, name: str, chart: Any, data: Rows) -> None:
    """Write a chart with its rows into a folder, as `figures/NAME.svg` and, at twice the size, `figures/NAME.png`."""
    drawn = svg(chart, data)
    write_svg(folder, name, drawn)
    write_atomic(folder / FOLDER / f"{name}.png", vl_convert.svg_to_png(drawn, scale=2.0))


def write_svg(folder: Path, name: str, drawn: str) -> None:
    """Write a drawn chart into a folder as `figures/NAME.svg`."""
    write_atomic(folder / FOLDER / f"{name}.svg", drawn.encode())
