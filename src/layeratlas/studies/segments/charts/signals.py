"""Every signal over depth, as small multiples with the boundaries marked."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from layeratlas.metrics import GROUPS, Signal
from layeratlas.report import vega
from layeratlas.studies.segments.charts.elements import DEPTH, SEGMENT_HUES, Colour, data
from layeratlas.studies.segments.names import BRITTLENESS, SEGMENT_NAMES, readable
from layeratlas.studies.segments.record import SegmentsRecord
from layeratlas.studies.segments.signals import all_signals

_GROUP_HUES = {group: f"series-{i + 1}" for i, group in enumerate(GROUPS)}
_OTHER_HUE = "series-8"
# If the first layer would stretch the vertical scale by more than this factor, it is clipped.
_FLATTENED = 3.0


def signal_text(record: SegmentsRecord) -> str:
    """Return the caption."""
    text = (
        "Mean over passages (or one value for the set, from the copies of passages), with its 95 % interval. Dashed "
        "grey: a model of the same architecture with random weights. Dotted: the null value of the signal. "
        f"Shaded: the {', '.join(SEGMENT_NAMES[:-1])} and {SEGMENT_NAMES[-1]} segments; vertical lines: the "
        "boundaries, with their 90 % intervals as bands. A first layer that would flatten the rest is cropped. Signals "
        f"used for the boundaries: {', '.join(map(readable, record.signals))}."
    )
    if record.missing:
        text += f" Not measured: {', '.join(map(readable, record.missing))}."
    return text


def signal_charts(record: SegmentsRecord, curves: pl.DataFrame, colour: Colour) -> Any:
    """Return one small chart per signal, by group."""
    known = all_signals()
    curves = curves.filter(pl.col("level") != BRITTLENESS)
    names = curves["task"].unique(maintain_order=True).to_list()
    order = sorted(names, key=lambda name: GROUPS.index(known[name].group) if name in known else len(GROUPS))
    charts = [_signal_chart(record, curves.filter(task=name), known.get(name), colour) for name in order]
    return vega.concat(*charts, columns=3, spacing=14)


def _signal_chart(record: SegmentsRecord, rows: pl.DataFrame, signal: Signal | None, colour: Colour) -> Any:
    columns = ["depth", "estimate", "lo", "hi", "control", "chance"]
    values = rows.select(columns).with_columns(pl.col(columns).round_sig_figs(5).fill_nan(None)).to_dicts()
    base = vega.chart(data(values))
    x = vega.X("depth:Q", title=None, scale=DEPTH, axis=vega.Axis(values=[0, 0.5, 1]))
    y = vega.Y("estimate:Q", title=None, scale=_scale(rows), axis=vega.Axis(tickCount=4))
    hue = colour(_GROUP_HUES.get(signal.group, _OTHER_HUE) if signal else _OTHER_HUE)
    layers = [
        *_background(record, colour),
        base.mark_area(color=hue, opacity=0.25, clip=True).encode(x=x, y=vega.Y("lo:Q", title=None), y2="hi:Q"),
        base.mark_line(color=hue, strokeWidth=1.8, clip=True).encode(x=x, y=y),
    ]
    if rows["control"].is_finite().any():
        dashed = base.mark_line(color=colour("control"), strokeDash=[4, 3], strokeWidth=1.2, clip=True)
        layers.append(dashed.encode(x=x, y="control:Q"))
    if _null_is_near(rows):
        dotted = base.mark_line(color=colour("soft"), strokeDash=[1, 2], clip=True)
        layers.append(dotted.encode(x=x, y="chance:Q"))
    title = f"{signal.title} ({signal.unit})" if signal else str(rows["task"][0])
    return vega.layer(*layers).properties(width=215, height=110, title=vega.TitleParams(title, fontSize=11))


def _background(record: SegmentsRecord, colour: Colour) -> list[Any]:
    """Return the segments, and the boundaries with their intervals."""
    blocks, ends = record.blocks, record.ends
    spans = [
        {"from": ends[i] / blocks, "to": ends[i + 1] / blocks, "colour": colour(SEGMENT_HUES[name])}
        for i, name in enumerate(SEGMENT_NAMES)
    ]
    boundaries = vega.chart(
        data(
            [
                {"at": boundary / blocks, "lo": lo / blocks, "hi": hi / blocks}
                for boundary, (lo, hi) in zip(record.boundaries, record.intervals, strict=True)
            ]
        )
    )
    shaded = vega.chart(data(spans)).mark_rect(opacity=0.1)
    return [
        shaded.encode(x=vega.X("from:Q", scale=DEPTH), x2="to:Q", color=vega.Color("colour:N", scale=None)),
        boundaries.mark_rect(color=colour("control"), opacity=0.3).encode(x="lo:Q", x2="hi:Q"),
        boundaries.mark_rule(color=colour("control"), strokeWidth=1).encode(x="at:Q"),
    ]


def _null_is_near(rows: pl.DataFrame) -> bool:
    """Tell whether the null value can be plotted without flattening the curve."""
    low, high, null = float(rows["lo"].min()), float(rows["hi"].max()), float(rows["chance"].max())  # type: ignore[arg-type]
    return 2 * low - high <= null <= 2 * high - low


def _scale(rows: pl.DataFrame) -> Any:
    """Return the vertical scale; a first layer that would flatten the rest of the curve is clipped."""
    values = rows.sort("layer").select("estimate", "lo", "hi", "control").to_numpy()
    if not np.isfinite(values[1:]).any():
        return vega.Scale(zero=False)
    low, high = np.nanmin(values[1:]), np.nanmax(values[1:])
    if np.nanmax(values) - np.nanmin(values) < _FLATTENED * (high - low):
        return vega.Scale(zero=False)
    return vega.Scale(zero=False, domain=[float(low), float(high)], nice=True)
