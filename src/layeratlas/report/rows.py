"""The rows that the charts read, by the names under which they read them."""

from __future__ import annotations

import polars as pl

from layeratlas.report.parts import ALL
from layeratlas.report.view import View

CURVES, PEAKS = "curves", "peaks"
_COLUMNS = (
    "part",
    "kind",
    "level",
    "row",
    "component",
    "method",
    "metric",
    "layer",
    "depth",
    "estimate",
    "lo",
    "hi",
    "chance",
    "control",
    "floor",
    "control_lo",
    "control_hi",
    "baseline",
    "selectivity",
    "selectivity_lo",
    "selectivity_hi",
    "random_weights",
    "n",
    "n_groups",
)
_ENDS = ("first", "last", "first_depth", "last_depth", "clear")
_DIGITS = 5


def chart_rows(view: View, chosen: dict[str, str] | None = None) -> dict[str, pl.DataFrame]:
    """Return the rows of curves and of peaks, all of them or those of the given choices.

    Numbers are rounded; `row` is null for curves without a row in the map.
    """
    mapped = (pl.col("stratum") == ALL) & pl.col("row").is_in(view.map_rows)
    numbers = pl.selectors.float()

    def trimmed(table: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
        return (
            table.filter(True, **(chosen or {}))
            .with_columns(pl.when(mapped).then("row").alias("row"))
            .select(columns)
            .with_columns(pl.when(numbers.is_finite()).then(numbers.round(_DIGITS)).name.keep())
        )

    return {CURVES: trimmed(view.rows, _COLUMNS), PEAKS: trimmed(view.peaks, _COLUMNS + _ENDS)}
