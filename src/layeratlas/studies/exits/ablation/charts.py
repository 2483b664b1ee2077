"""The report's exhibits on ablations: a map of levels by block, and a table of halves and spans."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core.edits import blocks_named
from layeratlas.core.formatting import interval, num
from layeratlas.report import vega
from layeratlas.runs.study import Exhibit
from layeratlas.runs.tables import read_table
from layeratlas.studies.exits.ablation.findings import groups_needed
from layeratlas.studies.exits.ablation.plan import WIDE, Role
from layeratlas.studies.exits.names import ABLATION_FILE

Colour = Callable[[str], str]
# Panels of the map, by kind and component.
_PANELS = {
    ("skip", "resid"): "Block skipped",
    ("mean", "attn"): "Attention set to its mean",
    ("mean", "mlp"): "MLP set to its mean",
    ("zero", "attn"): "Attention set to zero",
    ("zero", "mlp"): "MLP set to zero",
}
_COMPONENTS = {"resid": "", "attn": "the attention of ", "mlp": "the MLP of "}
_LOWER, _HIGHER = "lower without", "higher without"


def exhibits(folder: Path) -> list[Exhibit]:
    """Return the map and the table of halves and spans; empty for a run without ablations."""
    if not (folder / ABLATION_FILE).exists():
        return []
    # Version 0.1 called the column of levels `ability`.
    table = read_table(folder / ABLATION_FILE).rename({"ability": "level"}, strict=False)
    single = table.filter(role=Role.LAYER.value)
    wide = table.filter(pl.col("role").is_in([role.value for role in WIDE]))
    return [
        Exhibit(
            name="ablation",
            title="What each block is needed for",
            text=_map_text(single),
            chart=partial(_map, _plotted(single)),
        ),
        Exhibit(
            name="ablation-spans",
            title="Halves and thirds ablated",
            text="Accuracy with a range of blocks skipped, beside random ranges of the same width. A range is special "
            "only where few of these cost as much: the last column is their share, the range itself included. p: exact "
            "sign flips of groups, Holm over the halves and thirds of the ability.",
            table=_wide_table(wide),
        ),
    ]


def _plotted(single: pl.DataFrame) -> pl.DataFrame:
    """Return skipped blocks, and sublayers set to their mean (to zero if the run has no mean ablations).

    Unlike zero, the mean keeps the residual stream close to the activations that the model was trained on.
    """
    replacement = "mean" if "mean" in single["kind"] else "zero"
    return single.filter(pl.col("kind").is_in(["skip", replacement]))


def _map_text(single: pl.DataFrame) -> str:
    parts = [
        "Change in accuracy at the last exit on the same questions. Outlined: a supported loss (exact sign flips of "
        "the groups' changes, Holm over the single blocks and sublayers of the ability). The table of all ablations is "
        "ablation.parquet."
    ]
    for (level,), rows in single.group_by("level", maintain_order=True):
        first = rows.row(0, named=True)
        whole = f"{num(first['clean'], 2)} [{num(first['clean_lo'], 2)}, {num(first['clean_hi'], 2)}]"
        size = f"{first['n']} questions in {first['n_groups']} groups"
        parts.append(
            f"{level} ({size}; {whole} for the whole model, chance {num(first['chance'], 2)}): "
            f"{_needed(_plotted(rows))}.{_cautions(rows)}"
        )
    return " ".join(parts)


def _needed(rows: pl.DataFrame) -> str:
    lost = rows.filter(verdict="supported")
    needed = []
    for component, words in _COMPONENTS.items():
        blocks = lost.filter(component=component)["start"].to_list()
        needed += [words + blocks_named(blocks)] if blocks else []
    return f"lower without {'; without '.join(needed)}" if needed else "no single loss is supported"


def _cautions(rows: pl.DataFrame) -> str:
    first, needed = rows.row(0, named=True), groups_needed(len(rows))
    cautions = ""
    if first["n_groups"] < needed:
        cautions += (
            f" {first['n_groups']} groups cannot support a single loss: {needed} are needed (--set ablate_questions)."
        )
    if first["clean_lo"] <= first["chance"]:
        cautions += " The whole model is not shown to be above chance here: a loss cannot be seen."
    return cautions


def _wide_table(wide: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "Ability": row["level"],
            "Ablated": row["name"],
            "Blocks": f"{row['start']}–{row['stop'] - 1}",
            "n": row["n"],
            "Groups": row["n_groups"],
            "Chance": row["chance"],
            "Whole model": row["clean"],
            "Ablated model": row["edited"],
            "Change": num(row["change"]),
            "95 % interval": interval(row["lo"], row["hi"]),
            "p": row["p"],
            "Random ranges": row["controls"],
            "Their mean change": num(row["control"]),
            "Their smallest and largest": interval(row["control_lo"], row["control_hi"]),
            "Share that costs as much": row["p_span"],
        }
        for row in wide.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _map(single: pl.DataFrame, colour: Colour) -> Any:
    values = [_cell(row) for row in single.iter_rows(named=True) if (row["kind"], row["component"]) in _PANELS]
    largest = max([value["size"] for value in values] + [0.1])
    names = [name for name in _PANELS.values() if any(value["panel"] == name for value in values)]
    panels = [_panel([v for v in values if v["panel"] == name], name, largest, colour) for name in names]
    return (
        vega.vconcat(*panels, spacing=16)
        .resolve_scale(fill="shared", opacity="shared")
        .properties(
            usermeta={"aside": 290}  # ability names on the left, legends on the right
        )
    )


def _cell(row: dict[str, Any]) -> dict[str, Any]:
    """Return what one cell of the map shows, its numbers rounded."""
    numbers = {name: round(row[name], 4) for name in ("change", "lo", "hi", "edited", "p")}
    return {
        "level": row["level"],
        **numbers,
        "panel": _PANELS[row["kind"], row["component"]],
        "block": row["start"],
        "size": abs(numbers["change"]),
        "way": _HIGHER if row["change"] > 0 else _LOWER,
        "supported": row["verdict"] == "supported",
    }


def _panel(values: list[dict[str, Any]], name: str, largest: float, colour: Colour) -> Any:
    ways = vega.Scale(domain=[_LOWER, _HIGHER], range=[colour("bad"), colour("series-1")])
    # The page's colours are CSS variables, which a Vega scale cannot interpolate, so opacity is varied instead.
    strength = vega.Scale(domain=[0, largest], range=[0, 1], clamp=True)
    key = vega.Legend(
        format=".2f",
        tickCount=4,
        symbolType="square",
        symbolSize=170,
        symbolStrokeWidth=0,
        symbolFillColor=colour("bad"),
    )
    base = vega.chart(vega.Data(values=values)).encode(
        x=vega.X("block:O", title="block", axis=vega.Axis(labelOverlap=True, labelAngle=0)),
        y=vega.Y("level:N", title=None, sort=None, axis=vega.Axis(labelLimit=150)),
    )
    cells = base.mark_rect().encode(
        fill=vega.Fill("way:N", scale=ways, title="accuracy", sort=None),
        opacity=vega.Opacity("size:Q", scale=strength, title="change", legend=key),
        tooltip=["level:N", "block:O", "edited:Q", "change:Q", "lo:Q", "hi:Q", "p:Q"],
    )
    # The outline is a separate chart layer, so that the cells' opacity does not apply to it.
    outline = base.transform_filter("datum.supported").mark_rect(
        fill="transparent", stroke=colour("ink"), strokeWidth=1.6
    )
    title = vega.TitleParams(name, fontSize=12, anchor="start")
    return vega.layer(cells, outline).properties(width=520, height=vega.Step(24), title=title)
