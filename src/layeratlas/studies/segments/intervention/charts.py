"""The report's exhibits on interventions: effects on predictions (chart, table) and on generated text (table)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.formatting import NONE
from layeratlas.report import vega
from layeratlas.runs.study import Exhibit
from layeratlas.runs.tables import read_table
from layeratlas.studies.segments.charts.elements import Colour, data
from layeratlas.studies.segments.names import GENERATED_FILE, INTERVENTIONS_FILE

_HUES = ("series-1", "series-3", "series-2", "series-4", "series-5", "series-6")
# Outcomes shown next to the divergence, without intervals; the file has all outcomes with their intervals.
_BESIDE = {"nll": "Rise of the loss (nats)", "flips": "Top predictions changed"}
# Divergences below this are rounding errors and cannot be plotted on a logarithmic axis.
_FLOOR = 1e-9
_PREDICTIONS = (
    "Divergence (KL, nats) of the predictions from the unperturbed ones under interventions on every block of a "
    "segment at once, with its 95 % interval over passages. Hollow: the same on another span of the same width, the "
    "one that shares the fewest blocks with the segment (one of several at random; the mean if the table names "
    "several). Without an intervention the divergence is exactly 0. The difference is the segment minus the other "
    "span, on the same passages. Intervals are over passages only: a difference says that these two spans differ, not "
    "that the segment is unusual among all spans of its width. All outcomes and their intervals are in "
    "interventions.parquet."
)
_TEXTS = (
    "Prompts continued greedily under each intervention and without any (`unperturbed`): means over prompts. Effect: "
    "rank-biserial correlation with the unperturbed texts, -1 (all fall) to 1 (all rise), with its 95 % interval; p by "
    "signed ranks, Holm over the whole table. `Other span` is the same intervention on one other span of the same "
    "width, which shares the fewest blocks with the segment: a difference says that these two differ. The similarity "
    "of neighbouring sentences counts shared words."
)


def intervention_exhibits(folder: Path) -> list[Exhibit]:
    """Return the exhibits of the interventions that a run made."""
    exhibits = []
    if (folder / INTERVENTIONS_FILE).exists():
        table = read_table(folder / INTERVENTIONS_FILE)
        exhibits.append(
            Exhibit(
                name="interventions",
                title="What interventions do",
                text=_PREDICTIONS,
                chart=partial(_effect_chart, table),
                table=_effect_table(table),
            )
        )
    if (folder / GENERATED_FILE).exists():
        table = _text_table(read_table(folder / GENERATED_FILE))
        exhibits.append(Exhibit(name="generated", title="Generated text under intervention", text=_TEXTS, table=table))
    return exhibits


def _effect_table(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table of the divergences and other outcomes, rounded, with readable column names."""
    key = ["edit", "span", "blocks"]
    rounded = _rounded(table)
    divergences = rounded.filter(outcome="kl")
    for outcome, words in _BESIDE.items():
        other = rounded.filter(outcome=outcome).select(*key, pl.col("estimate").alias(words))
        divergences = divergences.join(other, on=key, how="left", maintain_order="left")
    against = pl.when(pl.col("control_blocks") == "").then(pl.lit(NONE)).otherwise("control_blocks")
    return divergences.select(
        pl.col("edit").alias("Intervention"),
        pl.col("span").alias("Segment"),
        pl.col("blocks").alias("Blocks"),
        pl.col("estimate").alias("KL (nats)"),
        _interval("lo", "hi").alias("95 %"),
        against.alias("Against blocks"),
        pl.col("control").alias("KL there (nats)"),
        _interval("control_lo", "control_hi").alias("95 % "),
        pl.col("difference").alias("Difference"),
        _interval("difference_lo", "difference_hi").alias("95 %  "),
        *_BESIDE.values(),
        pl.col("n").alias("Passages"),
    )


def _text_table(table: pl.DataFrame) -> pl.DataFrame:
    return _rounded(table).select(
        pl.col("edit").alias("Intervention"),
        pl.col("span").alias("Segment"),
        pl.col("blocks").alias("Blocks"),
        pl.col("measure").alias("Measure"),
        pl.col("clean").alias("Unperturbed"),
        pl.col("edited").alias("Here"),
        _interval("edited_lo", "edited_hi").alias("95 %"),
        pl.col("control").alias("Other span"),
        pl.col("effect").alias("Effect"),
        _interval("effect_lo", "effect_hi").alias("95 % "),
        pl.col("p").alias("p"),
        pl.col("control_effect").alias("Effect there"),
        pl.col("n").alias("Prompts"),
    )


def _rounded(table: pl.DataFrame) -> pl.DataFrame:
    numbers = [name for name, dtype in table.schema.items() if dtype == pl.Float64 and name != "strength"]
    return table.with_columns(pl.col(numbers).round_sig_figs(3))


def _interval(lo: str, hi: str) -> pl.Expr:
    words = pl.format("{} to {}", pl.col(lo), pl.col(hi))
    return pl.when(pl.col(lo).is_finite()).then(words).otherwise(pl.lit(NONE))


def _effect_chart(table: pl.DataFrame, colour: Colour) -> Any:
    """Return a chart with one row per intervention and one mark per segment; control spans are hollow marks."""
    divergences = table.filter(outcome="kl")
    edits = divergences["edit"].unique(maintain_order=True).to_list()
    spans = divergences["span"].unique(maintain_order=True).to_list()
    base = vega.chart(data(_marks(divergences)))
    y = vega.Y("edit:N", sort=edits, title=None, axis=vega.Axis(labelLimit=150))
    log = vega.Scale(type="log")
    x = vega.X("value:Q", title="KL, nats", scale=log, axis=vega.Axis(tickCount=4, format="~g", grid=False))
    scale = vega.Scale(domain=spans, range=[colour(_HUES[i % len(_HUES)]) for i in range(len(spans))])
    hue = vega.Color("span:N", scale=scale, title=None, sort=None, legend=vega.Legend(orient="top", columns=3))
    at = {"y": y, "yOffset": vega.YOffset("span:N", sort=spans), "color": hue}
    tooltip = ["edit:N", "span:N", "value:Q", "lo:Q", "hi:Q"]
    segments, controls = (base.transform_filter(f"{'!' * (not control)}datum.control") for control in (False, True))
    interval = vega.X("lo:Q", title="KL, nats", scale=log)
    return vega.layer(
        segments.mark_rule(strokeWidth=1.5).encode(x=interval, x2="hi:Q", **at),
        segments.mark_point(filled=True, size=45, opacity=1).encode(x=x, tooltip=tooltip, **at),
        controls.mark_point(filled=False, size=45).encode(x=x, tooltip=tooltip, **at),
    ).properties(width=420, height=max(60, 12 * len(spans) * len(edits)))


def _marks(divergences: pl.DataFrame) -> list[dict[str, Any]]:
    """Return one mark per segment and one per control."""
    marks = []
    for row in divergences.to_dicts():
        for control, (value, lo, hi) in (
            (False, ("estimate", "lo", "hi")),
            (True, ("control", "control_lo", "control_hi")),
        ):
            if np.isfinite(row[value]):
                ends = {name: max(float(row[key]), _FLOOR) for name, key in (("value", value), ("lo", lo), ("hi", hi))}
                marks.append({"edit": row["edit"], "span": row["span"], "control": control, **ends})
    return marks
