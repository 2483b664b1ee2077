"""One palette for page and charts: Okabe-Ito hues, each with a light and a dark variant.

Charts in the page use CSS variables, so that dark mode and print need no redrawing; figures and notebooks use the
light colours directly.
"""

from __future__ import annotations

from typing import Any

COLOURS: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#14171a"),
    "raised": ("#f6f7f8", "#1d2126"),
    "ink": ("#1a1d21", "#e8eaed"),
    "soft": ("#565d66", "#a9b1ba"),
    "line": ("#d9dde2", "#363d45"),
    "link": ("#005a8f", "#7cc4f0"),
    "control": ("#7a8087", "#949ca5"),
    "heat": ("#08386b", "#a8d8ff"),
    "good": ("#00664b", "#5fd3ad"),
    "bad": ("#a34100", "#f5a26f"),
    "series-1": ("#0072b2", "#5ab4e8"),
    "series-2": ("#d55e00", "#f38b4a"),
    "series-3": ("#009e73", "#35c79d"),
    "series-4": ("#b5578c", "#e39ac6"),
    "series-5": ("#c28500", "#f0bd4a"),
    "series-6": ("#3a9bd1", "#a5dafc"),
    "series-7": ("#6b4ba3", "#b9a2e6"),
    "series-8": ("#5c6670", "#c3cad2"),
}
DASHES: tuple[list[int], ...] = ([1, 0], [6, 2], [2, 2], [8, 2, 2, 2])
SERIES = tuple(f"series-{i}" for i in range(1, 9))
FONT = 'system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, "Liberation Sans", sans-serif'
_STATIC_FONT = "Helvetica Neue, Arial, Liberation Sans, sans-serif"


def colour(name: str, live: bool) -> str:
    """Return a CSS variable for the page (`live`), or the light colour itself."""
    return f"var(--{name})" if live else COLOURS[name][0]


def series(live: bool) -> list[str]:
    """Return the colours of levels, in order."""
    return [colour(name, live) for name in SERIES]


def components(names: list[str], live: bool) -> list[str]:
    """Return one colour per component, distinct from the first colours of levels."""
    hues = ("ink", "series-4", "series-5", "series-6", "series-7", "series-8")
    return [colour(hues[i % len(hues)], live) for i in range(len(names))]


def config(live: bool) -> dict[str, Any]:
    """Return the Vega-Lite configuration: quiet axes, no frame, labels in the page's own type."""
    ink, soft, line = (colour(name, live) for name in ("ink", "soft", "line"))
    return {
        "background": "transparent" if live else COLOURS["paper"][0],
        "font": FONT if live else _STATIC_FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": soft,
            "titleColor": soft,
            "tickColor": line,
            "domainColor": soft,
            "gridColor": line,
            "gridOpacity": 0.7,
            "labelFontSize": 11,
            "titleFontSize": 11.5,
            "titleFontWeight": "normal",
            "tickSize": 4,
            "labelPadding": 4,
        },
        "axisY": {"domain": False, "ticks": False},
        "axisX": {"grid": False, "labelFlush": False},
        "title": {
            "color": ink,
            "subtitleColor": soft,
            "anchor": "start",
            "fontSize": 12,
            "fontWeight": 600,
            "subtitleFontSize": 10.5,
            "offset": 8,
        },
        "legend": {"labelColor": soft, "titleColor": soft, "titleFontWeight": "normal", "labelFontSize": 11},
        "text": {"color": ink, "fontSize": 11},
        "mark": {"aria": False},
        "range": {"category": series(live)},
    }
