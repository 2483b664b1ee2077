"""The common shell of all pages: frame, style, script, chart library, and rows packed for the script."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any, get_args

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined

from layeratlas.core import formatting
from layeratlas.report import theme
from layeratlas.report.library import library
from layeratlas.stats.verdicts import Verdict

_FILTERS = {
    "num": formatting.num,
    "interval": formatting.interval,
    "pvalue": formatting.pvalue,
    "small": formatting.small,
    "count": formatting.count,
    "size": formatting.size,
    "duration": formatting.duration,
    "cell": formatting.cell,
    "ranges": formatting.ranges,
    "in_words": formatting.in_words,
}


def rendered(
    page: str, data: dict[str, Any], *, names: Mapping[str, Mapping[str, str]] | None = None, **values: Any
) -> str:
    """Return the page of template `PAGE.html` and script `PAGE.js` as one file that loads nothing.

    `data` is the input of the script. The template can use `values`, the verdicts, and the words for codes by kind
    (component, method, metric), from `names` or else for components alone.
    """
    environment = _environment()
    light = {name: pair[0] for name, pair in theme.COLOURS.items()}
    css, *scripts = (
        _source(environment, file) for file in ("page.css", "shared.js", "taking.js", "mistakes.js", f"{page}.js")
    )
    return environment.get_template(f"{page}.html").render(
        **values,
        names=names or {"component": formatting.COMPONENTS, "method": {}, "metric": {}},
        verdicts=get_args(Verdict),
        colours=_colours(),
        css=css,
        library=inline(library()),
        data=inline(json.dumps(data | {"colours": light}, separators=(",", ":"))),
        scripts=scripts,
    )


def page_alone(page: str, **values: Any) -> str:
    """Return the page of template `PAGE.html` without charts: only the style is added."""
    environment = _environment()
    template = environment.get_template(f"{page}.html")
    return template.render(**values, colours=_colours(), css=_source(environment, "page.css"))


def _environment() -> Environment:
    loader = PackageLoader("layeratlas", "report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= _FILTERS
    return environment


def _source(environment: Environment, file: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, file)[0]


def inline(text: str) -> str:
    """Return a text compressed for a page, as base64 of gzip; the result is deterministic.

    This reduces chart library and rows to a quarter of their size, and base64 cannot close its script element.
    """
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode("ascii")


def _colours() -> str:
    """Return the palette as CSS variables: light by default, dark if the reader's system prefers it."""
    light, dark = ("".join(f"--{n}:{pair[i]};" for n, pair in theme.COLOURS.items()) for i in (0, 1))
    return f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def packed(table: pl.DataFrame) -> dict[str, Any]:
    """Return a table by column; each distinct text is stored once, and rows hold its index (-1 for null)."""
    columns: dict[str, Any] = {}
    for column in table.iter_columns():
        if column.dtype == pl.String:
            names = column.drop_nulls().unique(maintain_order=True).to_list()
            places = {name: place for place, name in enumerate(names)}
            columns[column.name] = {"names": names, "places": [places.get(name, -1) for name in column]}
        else:
            columns[column.name] = column.to_list()
    return columns
