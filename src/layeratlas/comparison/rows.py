"""The rows that the charts of a comparison read, built from its tables alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from layeratlas.comparison.finished import FinishedComparison

# The separator between model and level (or study) in the name of a row of the map.
MARK = "\u241f"
# The charts' axis limits, slightly beyond 0 and 1.
_ATLAS_ENDS, _CKA_ENDS = (-0.02, 1.02), (-0.04, 1.04)


def chart_rows(comparison: FinishedComparison) -> dict[str, pl.DataFrame]:
    """Return the rows that the charts read, by name, rounded to display precision."""
    curves = comparison.curves
    curves = curves.join(curve_index(curves), on=["study", "entry", "component"], maintain_order="left")
    shown = pl.col("model").is_in(comparison.shown)
    curves = curves.filter(shown)
    cells = _cells(curves, comparison.marks)
    quantities = comparison.quantities
    places = quantities.filter(pl.col("quantity") == "peak depth", pl.col("component") == "resid", shown)
    rows = {
        "curves": curves.select("part", "entry", "model", "layer", "depth", "estimate", "lo", "hi", "chance"),
        "atlas": cells.drop("top"),
        "peaks": cells.filter("top").select("row", "depth"),
        "segments": comparison.segments.filter(shown).select(
            "model", "segment", "left", "right", row=pl.col("model") + MARK + pl.col("study")
        ),
        "marks": comparison.marks.filter(shown).select(
            *("model", "entry", "layer", "depth", "meaning", "size"), row=pl.col("model") + MARK + pl.col("entry")
        ),
        "places": places.select("study", "model", "level", "estimate", "lo", "hi"),
        "cka": _squares(comparison.similarity),
        "sizes": comparison.sizes,
        "training": _worded(comparison),
    }
    numbers = pl.selectors.float()
    rounded = pl.when(numbers.is_finite()).then(numbers.round(5)).name.keep()
    return {name: table.with_columns(rounded) for name, table in rows.items()}


def _worded(comparison: FinishedComparison) -> pl.DataFrame:
    """Return the courses of training with the words for their levels.

    `at` is the step on a logarithmic axis: the step itself, or one more if a training has a step 0.
    """
    words = comparison.manifest.get("levels", {})
    zero = (pl.col("step") == 0).any().cast(pl.Int64)
    return comparison.training.with_columns(level=pl.col("level").replace(words), at=pl.col("step") + zero)


def curve_index(curves: pl.DataFrame) -> pl.DataFrame:
    """Return a number, `part`, for each entry and component of each study, in order of occurrence."""
    return curves.select("study", "entry", "component").unique(maintain_order=True).with_row_index("part")


def _cells(curves: pl.DataFrame, marks: pl.DataFrame) -> pl.DataFrame:
    """Return the cells of the map: whole levels, in the residual stream (or the first component there is).

    `top` is the layer with the largest gain of a row with any. Rows that have marks have none: a dot there says that a
    level is used.
    """
    levels = curves.filter(pl.col("task") == "all")
    resid = (pl.col("component") == "resid").any().over("study", "entry")
    first = pl.col("component").first().over("study", "entry")
    levels = levels.filter(pl.col("component") == pl.when(resid).then(pl.lit("resid")).otherwise(first))
    row = ("study", "entry", "model")
    depth = pl.col("depth")
    half = 0.5 * (depth.max().over(row) - depth.min().over(row)) / (depth.n_unique().over(row) - 1).clip(1)
    before, after = ((depth + depth.shift(step).over(row)) / 2 for step in (1, -1))
    best = pl.int_range(pl.len()).over(row) == pl.col("shade").arg_max().over(row)
    return levels.select(
        *("model", "entry", "layer", "depth", "estimate", "lo", "hi", "chance", "shade"),
        row=pl.col("model") + MARK + pl.col("entry"),
        left=before.fill_null(depth - half).clip(_ATLAS_ENDS[0]),
        right=after.fill_null(depth + half).clip(None, _ATLAS_ENDS[1]),
        url=pl.lit("#c-") + pl.col("part").cast(pl.String),
        top=best & (pl.col("shade") > 0) & ~pl.col("entry").is_in(marks["entry"].unique().to_list()),
    )


def _squares(similarity: pl.DataFrame) -> pl.DataFrame:
    """Return the squares of each pair's similarity map, centred on the depths of its layers."""
    edges = []
    for depth, low, high in (("depth_a", "low", "high"), ("depth_b", "left", "right")):
        half = 0.5 / (pl.col(depth).n_unique().over("study", "model_a", "model_b") - 1).clip(1)
        edges += [(pl.col(depth) - half).clip(_CKA_ENDS[0]).alias(low)]
        edges += [(pl.col(depth) + half).clip(None, _CKA_ENDS[1]).alias(high)]
    return similarity.with_columns(*edges)


def map_order(comparison: FinishedComparison, rows: dict[str, pl.DataFrame]) -> list[str]:
    """Return the rows of the map: each model's heading, then its levels', then its segments'."""
    levels = in_order(rows["atlas"]["entry"].unique(maintain_order=True).to_list(), comparison.levels)
    entries = [*levels, *comparison.segments["study"].unique(maintain_order=True).to_list()]
    present = {*rows["atlas"]["row"].to_list(), *rows["segments"]["row"].to_list()}
    order = []
    for model in comparison.shown:
        of_model = [row for entry in entries if (row := f"{model}{MARK}{entry}") in present]
        order += [model, *of_model] if of_model else []
    return order


def in_order(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return names in the order of `known`, followed by the others in order of occurrence."""
    places = {name: place for place, name in enumerate(known)}
    return sorted(names, key=lambda name: places.get(name, len(places)))


def placed_levels(comparison: FinishedComparison, rows: dict[str, pl.DataFrame]) -> list[str]:
    """Return the levels that have a peak, in reading order."""
    return in_order(rows["places"]["level"].unique(maintain_order=True).to_list(), comparison.levels)


def sized_levels(rows: dict[str, pl.DataFrame]) -> list[str]:
    """Return the levels shown by size, in order of occurrence."""
    return list(rows["sizes"]["level"].unique(maintain_order=True).to_list())


def trained_levels(comparison: FinishedComparison, rows: dict[str, pl.DataFrame]) -> list[str]:
    """Return the levels that are shown over training, in words and in reading order."""
    known = list(comparison.manifest.get("levels", {}).values())
    return in_order(rows["training"]["level"].unique(maintain_order=True).to_list(), known)


def trained_places(rows: dict[str, pl.DataFrame]) -> list[int]:
    """Return the places of all checkpoints on the axis of training, ascending; one place if there is no training."""
    return sorted(rows["training"]["at"].unique().to_list()) or [1]


def segment_names(comparison: FinishedComparison) -> list[str]:
    """Return the names of segments, in order of depth."""
    return list(comparison.segments["segment"].unique(maintain_order=True).to_list())


def curve_groups(comparison: FinishedComparison) -> list[dict[str, Any]]:
    """Return the charts of curves, by study and component: `study`, `component` and `charts`."""
    metrics = comparison.curves.group_by("study", "entry", "component", maintain_order=True).agg(
        metric=pl.col("metric").first()
    )
    index = curve_index(comparison.curves).join(metrics, on=["study", "entry", "component"], maintain_order="left")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for chart in index.to_dicts():
        groups.setdefault((chart["study"], chart["component"]), []).append(chart)
    ordered = []
    for (study, component), charts in groups.items():
        by_entry = {chart["entry"]: chart for chart in charts}
        kept = [by_entry[entry] for entry in in_order(list(by_entry), comparison.levels)]
        ordered.append({"study": study, "component": component, "charts": kept})
    return ordered
