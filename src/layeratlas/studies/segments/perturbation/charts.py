"""The brittleness of each layer and segment, above a chart of the size of the stream."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.report import vega
from layeratlas.runs.study import Exhibit
from layeratlas.runs.tables import read_table
from layeratlas.studies.segments.charts.elements import DEPTH, Colour, data
from layeratlas.studies.segments.names import BRITTLENESS, BRITTLENESS_FILE, SKIP
from layeratlas.studies.segments.perturbation.tables import KL, STREAM_RMS
from layeratlas.studies.segments.record import SegmentsRecord

_COLUMNS = {
    "segment": "Segment",
    "first": "First block",
    "last": "Last block",
    "rms": "Stream rms",
    "b": "KL / strength²",
    "lo": "95 % from",
    "hi": "95 % to",
    "b_added": "Mean of its blocks",
    "b_entry": "First block alone",
    "b_unshared": "Full noise in every block",
    "sigma_half": "Strength at half agreement",
    "sigma_half_lo": "95 % from ",
    "sigma_half_hi": "95 % to ",
    "ratio": "Over other blocks",
    "ratio_lo": "95 % from  ",
    "ratio_hi": "95 % to  ",
    "p_ratio": "p",
}
_LOG = vega.Scale(type="log")
_WIDTH = 560
_TOOLTIP = ["layer:Q", "estimate:Q", "lo:Q", "hi:Q"]


def brittleness_exhibits(folder: Path, record: SegmentsRecord, curves: pl.DataFrame) -> list[Exhibit]:
    """Return the exhibits of each layer's and segment's brittleness; empty if it was not measured."""
    if not (folder / BRITTLENESS_FILE).exists():
        return []
    segments = read_table(folder / BRITTLENESS_FILE)
    rows = curves.filter(level=BRITTLENESS)
    absolute = "absolute noise" in rows["method"].to_list()
    scale = "on which the divergence above depends" if absolute else "which does not change the divergence above"
    text = (
        "Above: divergence (KL, nats) of the predictions from the unperturbed ones, over the squared strength of "
        f"{'absolute' if absolute else 'relative'} noise, after each point (line) and in all blocks of a segment at "
        "once (bars over the segment), with 95 % intervals over passages. Points: the divergence with one block left "
        f"out. Below: the size of the stream (root mean square), {scale}. Vertical lines: the boundaries."
    )
    return [
        Exhibit(
            name="brittleness",
            title="How brittle",
            text=text,
            chart=partial(_chart, record, rows, segments),
            table=segments.rename(_COLUMNS),
        )
    ]


def _chart(record: SegmentsRecord, rows: pl.DataFrame, segments: pl.DataFrame, colour: Colour) -> Any:
    places = data([{"at": boundary / record.blocks} for boundary in record.boundaries])
    boundaries = vega.chart(places).mark_rule(color=colour("soft"), strokeDash=[4, 3])
    boundaries = boundaries.encode(x=vega.X("at:Q", title=None))
    above = vega.layer(*_segment_bars(record, segments, colour), *_layer_curves(rows, colour), boundaries)
    below = vega.layer(_stream_size(rows, colour), boundaries)
    return vega.vconcat(
        above.properties(width=_WIDTH, height=240),
        below.properties(width=_WIDTH, height=90),
        spacing=10,
    )


def _layer_curves(rows: pl.DataFrame, colour: Colour) -> list[Any]:
    """Return charts of the divergence under noise at every point, and with each block skipped."""
    axis = vega.Axis(tickCount=5, format="~g", minExtent=44, grid=False)
    y = vega.Y("estimate:Q", title="nats", scale=_LOG, axis=axis)
    noise, skip = _points(rows.filter(metric=BRITTLENESS)), _points(rows.filter(metric=KL, method=SKIP))
    hue = colour("series-1")
    return [
        noise.mark_area(opacity=0.18, color=hue).encode(y=_low_end(), y2="hi:Q"),
        noise.mark_line(color=hue).encode(y=y, tooltip=_TOOLTIP),
        skip.mark_point(color=colour("series-2"), filled=True).encode(y=y, tooltip=_TOOLTIP),
    ]


def _low_end() -> Any:
    return vega.Y("lo:Q", title="nats", scale=_LOG)


def _points(rows: pl.DataFrame, title: str | None = None) -> Any:
    """Return a chart of one curve over depth."""
    x = vega.X("depth:Q", title=title, scale=DEPTH, axis=vega.Axis(values=[0, 0.25, 0.5, 0.75, 1]))
    return vega.chart(data(rows.select("depth", "layer", "estimate", "lo", "hi").to_dicts())).encode(x=x)


def _segment_bars(record: SegmentsRecord, segments: pl.DataFrame, colour: Colour) -> list[Any]:
    """Return a chart with a bar and its interval per segment."""
    bars = [
        {"from": row["first"] / record.blocks, "to": (row["last"] + 1) / record.blocks}
        | {name: row[name] for name in ("segment", "b", "lo", "hi")}
        for row in segments.to_dicts()
    ]
    base = vega.chart(data(bars)).encode(x=vega.X("from:Q", scale=DEPTH), x2="to:Q")
    hue = colour("series-3")
    y = vega.Y("b:Q", title="nats", scale=_LOG)
    tooltip = ["segment:N", "b:Q", "lo:Q", "hi:Q"]
    return [
        base.mark_rect(color=hue, opacity=0.35).encode(y=_low_end(), y2="hi:Q"),
        base.mark_rule(color=hue, strokeWidth=2).encode(y=y, tooltip=tooltip),
    ]


def _stream_size(rows: pl.DataFrame, colour: Colour) -> Any:
    axis = vega.Axis(tickCount=3, format="~g", minExtent=44, grid=False)
    y = vega.Y("estimate:Q", title="rms", scale=_LOG, axis=axis)
    size = _points(rows.filter(metric=STREAM_RMS), title="relative depth")
    return size.mark_line(color=colour("series-4")).encode(y=y, tooltip=_TOOLTIP)
