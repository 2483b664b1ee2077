"""What the report shows of ablations: the map of abilities by block, halves and spans, and both in words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl

from layeratlas.core.edits import blocks_named
from layeratlas.core.formatting import interval, num
from layeratlas.runs.study import Exhibit
from layeratlas.studies.exits.ablation.effects import groups_needed
from layeratlas.studies.exits.ablation.tables import FILE

Colour = Callable[[str], str]
_PANELS = {
    ("skip", "resid"): "Block skipped",
    ("mean", "attn"): "Attention set to its mean",
    ("mean", "mlp"): "MLP set to its mean",
    ("zero", "attn"): "Attention set to zero",
    ("zero", "mlp"): "MLP set to zero",
}
_SAID = {"resid": "", "attn": "the attention of ", "mlp": "the MLP of "}


def exhibits(folder: Path) -> list[Exhibit]:
    """Return the map and the table of halves and spans, where the run made ablations."""
    if not (folder / FILE).exists():
        return []
    found = pl.read_parquet(folder / FILE)
    single = found.filter(role="layer")
    wide = found.filter(pl.col("role").is_in(["half", "span"]))
    return [
        Exhibit(
            "ablation", "What each block is needed for", _in_words(single), chart=partial(_map, _drawn(single))
        ),
        Exhibit(
            "ablation-spans", "Halves and thirds left out",
            "Accuracy with a stretch of blocks skipped, beside random stretches of the same width. A stretch is "
            "special only where few of these cost as much: the last column is their share, itself included. p: exact "
            "sign flips of groups, Holm over the ability's stretches.",
            table=_wide_table(wide),
        ),
    ]  # fmt: skip


def _drawn(single: pl.DataFrame) -> pl.DataFrame:
    """Of a sublayer its mean, which leaves the stream where the model has learnt to find it, if the run has that."""
    means = "mean" in single["kind"]
    return single.filter(pl.col("kind").is_in(["skip", "mean" if means else "zero"]))


def _in_words(single: pl.DataFrame) -> str:
    parts = [
        "Change in accuracy at the last exit, the same questions with and without. Outlined: lower, where the signs of "
        "the groups' changes tell (exact sign flips, Holm over the ability's single blocks and sublayers). "
        "What was set to zero besides is in ablation.parquet."
    ]
    for (ability,), rows in single.group_by("ability", maintain_order=True):
        first = rows.row(0, named=True)
        whole = f"{num(first['clean'], 2)} [{num(first['clean_lo'], 2)}, {num(first['clean_hi'], 2)}]"
        said = f"{ability} ({first['n']} questions in {first['n_groups']} groups; {whole} whole, chance "
        parts.append(f"{said}{num(first['chance'], 2)}): {_needed(_drawn(rows))}.{_caution(rows)}")
    return " ".join(parts)


def _needed(rows: pl.DataFrame) -> str:
    lost = rows.filter(verdict="supported")
    named = []
    for component, what in _SAID.items():
        blocks = lost.filter(component=component)["start"].to_list()
        named += [what + blocks_named(blocks)] if blocks else []
    return f"lower without {'; without '.join(named)}" if named else "no single loss is supported"


def _caution(rows: pl.DataFrame) -> str:
    first, needed = rows.row(0, named=True), groups_needed(len(rows))
    said = ""
    if first["n_groups"] < needed:
        said += f" So few groups cannot support one: {needed} or more can (--set ablate_questions)."
    if first["clean_lo"] <= first["chance"]:
        said += " The whole model is not above chance here, so that there is nothing to lose."
    return said


def _wide_table(wide: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for row in wide.iter_rows(named=True):
        rows.append(
            {
                "Ability": row["ability"],
                "Left out": row["name"],
                "Blocks": f"{row['start']}–{row['stop'] - 1}",
                "n": row["n"],
                "Groups": row["n_groups"],
                "Chance": row["chance"],
                "Whole": row["clean"],
                "Without": row["edited"],
                "Change": num(row["change"]),
                "95 % interval": interval(row["lo"], row["hi"]),
                "p": row["p"],
                "Random stretches": row["controls"],
                "Their mean change": num(row["control"]),
                "Their range": interval(row["control_lo"], row["control_hi"]),
                "Share that costs as much": row["p_span"],
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def _map(single: pl.DataFrame, colour: Colour) -> Any:
    values = []
    for row in single.iter_rows(named=True):
        panel = _PANELS.get((row["kind"], row["component"]))
        if panel:
            keys = ("ability", "change", "lo", "hi", "edited", "p")
            values.append(
                {key: row[key] if isinstance(row[key], str) else round(row[key], 4) for key in keys}
                | {"panel": panel, "block": row["start"], "size": abs(round(row["change"], 4)),
                   "way": "higher without" if row["change"] > 0 else "lower without",
                   "supported": row["verdict"] == "supported"}
            )  # fmt: skip
    most = max([value["size"] for value in values] + [0.1])
    names = [name for name in _PANELS.values() if any(v["panel"] == name for v in values)]
    panels = [_panel([v for v in values if v["panel"] == name], name, most, colour) for name in names]
    return (
        alt.vconcat(*panels, spacing=16)
        .resolve_scale(fill="shared", opacity="shared")
        .properties(
            usermeta={"aside": 290}  # the abilities' names at the left, the keys at the right
        )
    )


def _panel(values: list[dict[str, Any]], name: str, most: float, colour: Colour) -> Any:
    ways = alt.Scale(domain=["lower without", "higher without"], range=[colour("bad"), colour("series-1")])
    # A colour of the page is a CSS variable, which a scale cannot mix: it is made fainter instead.
    strength = alt.Scale(domain=[0, most], range=[0, 1], clamp=True)
    key = alt.Legend(
        format=".2f", tickCount=4, symbolType="square", symbolSize=170, symbolStrokeWidth=0,
        symbolFillColor=colour("bad"),
    )  # fmt: skip
    base = alt.Chart(alt.Data(values=values)).encode(
        x=alt.X("block:O", title="block", axis=alt.Axis(labelOverlap=True, labelAngle=0)),
        y=alt.Y("ability:N", title=None, sort=None, axis=alt.Axis(labelLimit=150)),
    )
    cells = base.mark_rect().encode(
        fill=alt.Fill("way:N", scale=ways, title="accuracy", sort=None),
        opacity=alt.Opacity("size:Q", scale=strength, title="change", legend=key),
        tooltip=["ability:N", "block:O", "edited:Q", "change:Q", "lo:Q", "hi:Q", "p:Q"],
    )
    # Apart from the cells, whose opacity would make an outline fainter too.
    outline = base.transform_filter("datum.supported").mark_rect(
        fill="transparent", stroke=colour("ink"), strokeWidth=1.6
    )
    title = alt.TitleParams(name, fontSize=12, anchor="start")
    return alt.layer(cells, outline).properties(width=520, height=alt.Step(24), title=title)
