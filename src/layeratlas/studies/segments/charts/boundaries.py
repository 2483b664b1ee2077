"""A chart and a table of the boundaries under every choice of signals, passages and rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from layeratlas.report import vega
from layeratlas.studies.segments.charts.elements import SEGMENT_HUES, Colour, data
from layeratlas.studies.segments.names import EXACT, SEGMENT_NAMES, readable
from layeratlas.studies.segments.record import Interval, Pair, SegmentsRecord

_COLUMNS = (
    "Boundaries of",
    "First boundary at block",
    "Depth",
    "90 % interval",
    "Second boundary at block",
    "Depth ",
    "90 % interval ",
)


@dataclass(frozen=True, kw_only=True)
class _Row:
    """Two boundaries for one choice of signals, passages or rule, with 90 % intervals if available."""

    name: str
    boundaries: Pair
    intervals: tuple[Interval, ...] = ()


def _rows(record: SegmentsRecord) -> list[_Row]:
    rows = [_Row(name="all passages", boundaries=record.boundaries, intervals=record.intervals)]
    if record.kinds:
        rows += [
            _Row(name=kind, boundaries=of_kind.boundaries, intervals=of_kind.intervals)
            for kind, of_kind in record.kinds.by_kind.items()
        ]
    rows += [_Row(name=f"without {readable(name)}", boundaries=moved) for name, moved in record.leave_one_out.items()]
    if record.method != EXACT:
        rows.append(_Row(name="exact boundaries of all signals", boundaries=record.exact.boundaries))
    elif record.v1:
        rows.append(_Row(name="rule of the first version", boundaries=record.v1.boundaries))
    if record.untrained:
        rows.append(_Row(name="random weights", boundaries=record.untrained.boundaries))
    return rows


def boundary_table(record: SegmentsRecord) -> pl.DataFrame:
    """Return the boundaries as a table with readable columns."""
    rows = []
    for row in _rows(record):
        intervals = [f"{lo} to {hi}" for lo, hi in row.intervals] or ["–", "–"]
        cells = [row.name]
        for boundary, interval in zip(row.boundaries, intervals, strict=True):
            cells += [str(boundary), f"{boundary / record.blocks:.2f}", interval]
        rows.append(cells)
    return pl.DataFrame(rows, schema=dict.fromkeys(_COLUMNS, pl.String), orient="row")


def boundary_chart(record: SegmentsRecord, colour: Colour) -> Any:
    """Return the three segments as bars, one row per choice, with the 90 % intervals of the boundaries."""
    blocks, rows, bars, bands = record.blocks, _rows(record), [], []
    for row in rows:
        ends = [0, *row.boundaries, blocks]
        bars += [
            {"row": row.name, "from": ends[i], "to": ends[i + 1], "segment": name}
            for i, name in enumerate(SEGMENT_NAMES)
        ]
        bands += [{"row": row.name, "from": lo, "to": hi} for lo, hi in row.intervals]
    y = vega.Y("row:N", sort=[row.name for row in rows], title=None, axis=vega.Axis(labelLimit=190))
    x = vega.X("from:Q", title="block", scale=vega.Scale(domain=[0, blocks], nice=False))
    scale = vega.Scale(domain=list(SEGMENT_NAMES), range=[colour(SEGMENT_HUES[name]) for name in SEGMENT_NAMES])
    hue = vega.Color("segment:N", scale=scale, title=None, sort=None, legend=vega.Legend(orient="top"))
    segments = vega.chart(data(bars)).mark_bar(height=13, opacity=0.75).encode(x=x, x2="to:Q", y=y, color=hue)
    intervals = vega.chart(data(bands)).mark_rule(color=colour("ink"), strokeWidth=3)
    layers = vega.layer(segments, intervals.encode(x="from:Q", x2="to:Q", y=y))
    return layers.properties(width=470, height=21 * len(rows))


def cost_chart(record: SegmentsRecord, colour: Colour) -> Any:
    """Return the chart of the signals' variation that remains with K boundaries, with that of surrogates."""
    test, control = record.existence, record.untrained
    rows = [
        {"boundaries": k, "left": left, "lo": test.null_lo[k], "hi": test.null_hi[k]}
        | ({"untrained": control.existence.curve[k]} if control else {})
        for k, left in enumerate(test.curve)
    ]
    base = vega.chart(data(rows))
    x = vega.X("boundaries:O", title="boundaries K", axis=vega.Axis(labelAngle=0))
    y = vega.Y("lo:Q", title="variation left", scale=vega.Scale(domain=[0, 1]))
    line = base.mark_line(color=colour("series-1"), point=vega.OverlayMarkDef(color=colour("series-1")))
    layers = [
        base.mark_area(color=colour("control"), opacity=0.25).encode(x=x, y=y, y2="hi:Q"),
        line.encode(x=x, y="left:Q"),
    ]
    if control:
        dashed = base.mark_line(color=colour("control"), strokeDash=[4, 3])
        layers.append(dashed.encode(x=x, y="untrained:Q"))
    return vega.layer(*layers).properties(width=420, height=220)
