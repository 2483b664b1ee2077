"""Fixed figures: for notebooks, and as SVG and PNG files for papers."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

import altair as alt
import polars as pl
import vl_convert

from layeratlas.core import formatting as wording
from layeratlas.core.errors import SpecError
from layeratlas.core.files import write_atomic
from layeratlas.report import charts, theme
from layeratlas.report.inputs import check_curves
from layeratlas.report.lens import lens
from layeratlas.report.view import Part, View, prepare
from layeratlas.runs.study import PROBED, Exhibit, Words

VERSION = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])


def key(words: Words) -> tuple[str, str]:
    """Return how the main chart is read."""
    return (
        f"Bands: 95 % intervals. Dashed grey: {words.control} with their 95 % range.",
        f"Thin line: chance. Triangles at the right: {words.baseline}. Below: peaks and their ranges.",
    )


def figure(
    curves: pl.DataFrame,
    level: str | None = None,
    component: str = "resid",
    method: str | None = None,
    metric: str | None = None,
    words: Words = PROBED,
) -> alt.VConcatChart:
    """Return the curves of the levels by depth, with intervals, controls and peaks, for a notebook.

    `curves` is a run's `curves.parquet`. Without `level` all levels are drawn; `method` and `metric` default to
    the report's own. Raises SpecError for a name that the curves do not hold, StoreError for other tables.
    """
    table = check_curves(curves, "the curves")
    if level is not None:
        _check("level", level, table["level"].unique(maintain_order=True).to_list())
        table = table.filter(pl.col("level") == level)
    view = prepare(table, words=words)
    asked = {"component": component, "method": method, "metric": metric}
    chosen = {name: value for name, value in asked.items() if value is not None}
    for name, value in chosen.items():
        _check(name, value, view.choices[name])
    look = lens(view, False, **chosen)
    chart = _titled(charts.hero(look), title(look.chosen, "Levels by depth"), key(words))
    chart.datasets = rows(view, look.chosen)
    return chart


def _check(kind: str, value: str, known: list[str]) -> None:
    if value not in known:
        raise SpecError(f"no {kind} named '{value}' in the curves", f"one of {', '.join(known)}")


def title(chosen: dict[str, str], start: str) -> str:
    """Return a chart title such as `Levels by depth: accuracy, residual stream, ridge`."""
    known = {"metric": wording.METRICS, "component": wording.COMPONENTS, "method": wording.METHODS}
    words = [wording.word(names, chosen[kind]) for kind, names in known.items() if kind in chosen]
    return f"{start}: {', '.join(w[0].lower() + w[1:] if w[1:2].islower() else w for w in words)}"


def rows(view: View, chosen: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows that a chart of these choices reads, by name."""
    return {name: table.to_dicts() for name, table in charts.rows_for(view, chosen).items()}


def _header(text: str, key: Any) -> dict[str, Any]:
    return {"text": text, "subtitle": key, "anchor": "start", "offset": 12}


def _titled(chart: Any, text: str, key: Any) -> Any:
    return chart.properties(title=alt.TitleParams(**_header(text, key))).configure(**theme.config(False))


def _grid(view: View, parts: list[Part], draw: Any, heading: str, key: Any) -> tuple[Any, dict[str, str]]:
    look = lens(view)
    kept = {k: v for k, v in look.chosen.items() if k != "component" or draw is charts.panel}
    # Written out, since alt.concat copies every chart again for each one that it adds.
    grid = {
        "$schema": alt.SCHEMA_URL,
        "title": _header(title(kept, heading), list(key) if isinstance(key, tuple) else key),
        "config": theme.config(False),
        "columns": 3,
        "spacing": 22,
        "resolve": {"scale": {"color": "shared"}},
        "concat": [_small(draw(look, part.code), part) for part in parts],
    }
    return grid, kept


def _small(chart: Any, part: Part) -> dict[str, Any]:
    spec: dict[str, Any] = chart.properties(title=_short(part)).to_dict(validate=False)
    return {name: value for name, value in spec.items() if name not in ("$schema", "config")}


def _short(part: Part) -> Any:
    text = part.level if part.kind == "level" else f"{part.level} · {part.label}"
    return alt.TitleParams(text=text, limit=190, offset=4)


def static(view: View) -> dict[str, tuple[Any, dict[str, str]]]:
    """Return the figures to be written and the choices whose rows each reads, by file name; only those with rows."""
    look = lens(view)
    chosen = look.chosen
    small = f"Dashed grey: {view.words.control}. Dotted: {view.words.baseline}. Dot: peak."
    heading = title(chosen, "Map of the levels and tasks")
    made = {
        "curves": (_titled(charts.hero(look), title(chosen, "Levels by depth"), key(view.words)), chosen),
        "map": (_titled(charts.heat(look), heading, "Dot: the peak of its row"), chosen),
    }
    shown = [p for p in view.of("task") if _has(view, p, chosen)]
    if len(shown) > 1:
        made["tasks"] = _grid(view, shown, charts.panel, "Tasks", small)
    shown = [p for p in view.of("stratum") if _has(view, p, chosen)]
    if shown:
        made["strata"] = _grid(view, shown, charts.panel, "Strata", small)
    shown = [p for p in view.of("level") if _has(view, p, chosen)]
    if len(view.choices["component"]) > 1 and shown:
        note = "Solid: residual stream. Dashed: attention output. Dotted: MLP output. Grey line: chance."
        made["components"] = _grid(view, shown, charts.components, "Components", note)
    return made


def _has(view: View, part: Part, chosen: dict[str, str]) -> bool:
    return not view.peaks.filter(part=part.code, **chosen).is_empty()


def fixed(exhibit: Exhibit) -> Any:
    """Return a study's own chart with its heading, in the light colours."""
    assert exhibit.chart is not None
    return _titled(exhibit.chart(partial(theme.colour, live=False)), exhibit.title, wrap(exhibit.text, 100))


def write(folder: Path, name: str, chart: Any, data: dict[str, list[dict[str, Any]]]) -> None:
    """Write a chart on these rows into a folder, as `figures/NAME.svg` and, at twice its size, `figures/NAME.png`."""
    spec = chart if isinstance(chart, dict) else chart.to_dict(validate=False)
    text = json.dumps({**spec, "datasets": {**spec.get("datasets", {}), **data}}, sort_keys=True)
    svg = vl_convert.vegalite_to_svg(text, vl_version=VERSION, allowed_base_urls=[])
    write_atomic(folder / "figures" / f"{name}.svg", svg.encode())
    write_atomic(folder / "figures" / f"{name}.png", vl_convert.svg_to_png(svg, scale=2.0))
