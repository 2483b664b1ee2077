"""What the report of a segments run shows of interventions: their effects on predictions and on generated text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from layeratlas.runs.study import Exhibit
from layeratlas.studies.segments.intervention.tables import EFFECTS, GENERATED

Colour = Callable[[str], str]
_SERIES = ("series-1", "series-3", "series-2", "series-4", "series-5", "series-6")
# Outcomes told beside the divergence, by their mean alone; the table that is kept has all with their intervals.
_BESIDE = {"nll": "Rise of the loss (nats)", "flips": "Top predictions changed"}
# What is left of a divergence below this is rounding, and a logarithm has no place for it.
_FLOOR = 1e-9


def edit_exhibits(folder: Path) -> list[Exhibit]:
    """Return the exhibits of the interventions that a run made."""
    made = []
    if (folder / EFFECTS).exists():
        table = pl.read_parquet(folder / EFFECTS)
        text = (
            "Divergence (KL, nats) of the predictions from the undisturbed ones under interventions on every block of "
            "a stretch at once, with its 95 % interval over passages. Hollow: the same on another stretch of the same "
            "width, the one that shares the fewest blocks with it (a random one of several; the mean where the table "
            "names several). No intervention gives exactly 0. The difference is the stretch less the other, on the "
            "same passages. Intervals are over passages only: a difference says that these two stretches differ, not "
            "that the stretch is special among all of its width. Every outcome's intervals are in "
            "interventions.parquet."
        )
        made.append(
            Exhibit("interventions", "What interventions do", text, chart=partial(_effects, table), table=_shown(table))
        )
    if (folder / GENERATED).exists():
        table = pl.read_parquet(folder / GENERATED)
        text = (
            "Prompts continued greedily under each intervention and without any (`unperturbed`): means over prompts. "
            "Effect: rank-biserial correlation with the unperturbed texts, -1 (all fall) to 1 (all rise), with its "
            "95 % interval; p by signed ranks, Holm over the whole table. `other stretch` is the same intervention "
            "on one other stretch of the same width, which shares the fewest blocks with it: what differs tells those "
            "two apart, and does not make the stretch special. The likeness of neighbouring sentences counts shared "
            "words."
        )
        made.append(Exhibit("generated", "Generated text under intervention", text, table=_generated(table)))
    return made


def _shown(table: pl.DataFrame) -> pl.DataFrame:
    """Return the table a reader sees: the divergences, other outcomes beside them, rounded, with words for columns."""
    number = pl.col(
        "estimate", "lo", "hi", "control", "control_lo", "control_hi", "difference", "difference_lo", "difference_hi"
    )
    place = ["edit", "span", "blocks"]
    rounded = table.with_columns(number.round_sig_figs(3))
    kept = rounded.filter(outcome="kl")
    for outcome, words in _BESIDE.items():
        other = rounded.filter(outcome=outcome).select(*place, pl.col("estimate").alias(words))
        kept = kept.join(other, on=place, how="left", maintain_order="left")
    return kept.select(
        pl.col("edit").alias("Intervention"), pl.col("span").alias("Stretch"), pl.col("blocks").alias("Blocks"),
        pl.col("estimate").alias("KL (nats)"), _ends("lo", "hi").alias("95 %"),
        pl.when(pl.col("control_blocks") == "").then(pl.lit("–")).otherwise("control_blocks").alias("Against blocks"),
        pl.col("control").alias("KL there (nats)"), _ends("control_lo", "control_hi").alias("95 % "),
        pl.col("difference").alias("Difference"), _ends("difference_lo", "difference_hi").alias("95 %  "),
        *_BESIDE.values(), pl.col("n").alias("Passages"),
    )  # fmt: skip


def _ends(lo: str, hi: str) -> pl.Expr:
    said = pl.format("{} to {}", pl.col(lo), pl.col(hi))
    return pl.when(pl.col(lo).is_finite()).then(said).otherwise(pl.lit("–"))


def _generated(table: pl.DataFrame) -> pl.DataFrame:
    names = [c for c, kind in table.schema.items() if kind == pl.Float64]
    table = table.with_columns(pl.col(names).round_sig_figs(3))
    return table.select(
        pl.col("edit").alias("Intervention"), pl.col("span").alias("Stretch"), pl.col("blocks").alias("Blocks"),
        pl.col("measure").alias("Measure"), pl.col("clean").alias("Unperturbed"), pl.col("edited").alias("Here"),
        _ends("edited_lo", "edited_hi").alias("95 %"), pl.col("control").alias("Other stretch"),
        pl.col("effect").alias("Effect"), _ends("effect_lo", "effect_hi").alias("95 % "), pl.col("p").alias("p"),
        pl.col("control_effect").alias("Effect there"), pl.col("n").alias("Prompts"),
    )  # fmt: skip


def _effects(table: pl.DataFrame, colour: Colour) -> Any:
    """Return a row for each intervention, a mark for each stretch, the other stretches hollow."""
    kept = table.filter(outcome="kl")
    order = kept["edit"].unique(maintain_order=True).to_list()
    spans = kept["span"].unique(maintain_order=True).to_list()
    rows = [
        {"edit": row["edit"], "span": row["span"], "what": what, **_clipped(row, keys)}
        for row in kept.to_dicts()
        for what, keys in (
            ("stretch", ("estimate", "lo", "hi")), ("other", ("control", "control_lo", "control_hi"))
        )
        if np.isfinite(row[keys[0]])
    ]  # fmt: skip
    base = alt.Chart(alt.Data(values=rows))
    y = alt.Y("edit:N", sort=order, title=None, axis=alt.Axis(labelLimit=150))
    log = alt.Scale(type="log")
    x = alt.X("value:Q", title="KL, nats", scale=log, axis=alt.Axis(tickCount=4, format="~g", grid=False))
    scale = alt.Scale(domain=spans, range=[colour(_SERIES[i % len(_SERIES)]) for i in range(len(spans))])
    hue = alt.Color("span:N", scale=scale, title=None, sort=None, legend=alt.Legend(orient="top", columns=3))
    shift = alt.YOffset("span:N", sort=spans)
    own, other = base.transform_filter("datum.what === 'stretch'"), base.transform_filter("datum.what === 'other'")
    tooltip = ["edit:N", "span:N", "value:Q", "lo:Q", "hi:Q"]
    return alt.layer(
        own.mark_rule(strokeWidth=1.5).encode(
            y=y, yOffset=shift, x=alt.X("lo:Q", title="KL, nats", scale=log), x2="hi:Q", color=hue
        ),
        own.mark_point(filled=True, size=45, opacity=1).encode(y=y, yOffset=shift, x=x, color=hue, tooltip=tooltip),
        other.mark_point(filled=False, size=45).encode(y=y, yOffset=shift, x=x, color=hue, tooltip=tooltip),
    ).properties(width=420, height=max(60, 12 * len(spans) * len(order)))


def _clipped(row: dict[str, Any], keys: tuple[str, str, str]) -> dict[str, float]:
    value, lo, hi = (max(float(row[key]), _FLOOR) for key in keys)
    return {"value": value, "lo": lo, "hi": hi}
