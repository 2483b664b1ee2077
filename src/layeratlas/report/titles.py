"""Titles and keys of the charts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layeratlas.core.formatting import word
from layeratlas.report import theme
from layeratlas.report.names import Names
from layeratlas.runs.study import Words


def title(chosen: dict[str, str], start: str, names: Names) -> str:
    """Return a chart title such as `Levels by depth: accuracy, residual stream, ridge`."""
    by_kind = names.by_kind()
    words = [word(by_kind[kind], chosen[kind]) for kind in ("metric", "component", "method") if kind in chosen]
    return f"{start}: {', '.join(map(_uncapitalised, words))}"


def _uncapitalised(text: str) -> str:
    return text[0].lower() + text[1:] if text[1:2].islower() else text


def key(words: Words) -> tuple[str, str]:
    """Return the legend texts for the curves of the main chart."""
    return (
        f"Bands: 95 % intervals. Dashed grey: control ({words.control}) with its 95 % range. Thin line: chance.",
        f"Triangles at the right edge: baseline ({words.baseline}).",
    )


def header(text: str, subtitle: str | Sequence[str]) -> dict[str, Any]:
    """Return a title with its subtitle in Vega-Lite's format."""
    return {"text": text, "subtitle": subtitle if isinstance(subtitle, str) else list(subtitle), "anchor": "start"} | {
        "offset": 12
    }


def titled(chart: Any, text: str, subtitle: str | Sequence[str]) -> Any:
    """Return a fixed chart with its title and configuration."""
    return chart.properties(title=header(text, subtitle)).configure(**theme.config(False))
