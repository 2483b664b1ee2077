"""The layer-order control: statistics of the curves when the layers of all are put in one random order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.runs.study import Exhibit
from layeratlas.runs.tables import read_table
from layeratlas.stats.curves import Curve
from layeratlas.stats.emergence import emergence_depth
from layeratlas.stats.tests import rank_p

LAYER_ORDER = "layer_order.parquet"
_ORDERS = 999
_SCHEMA = {
    "quantity": pl.String,
    "estimate": pl.Float64,
    "random_lo": pl.Float64,
    "random_hi": pl.Float64,
    "p": pl.Float64,
}
_TEXT = (
    "The residual stream with its layers in one random order, the same for all levels: 95 % range and one-sided p over "
    "999 orders. Steps between neighbouring layers are smaller than in random orders where depth matters; a difference "
    "in emergence that random orders also give is not an effect of depth."
)


def layer_order_table(curves: Sequence[Curve], seed: int) -> pl.DataFrame:
    """Return the mean steps and emergence gaps of curves, with their distribution under common random orders.

    All curves have the same layers; gaps are between neighbouring curves in the given order.
    """
    rows = list(_rows(curves, seed)) if curves else []
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def _rows(curves: Sequence[Curve], seed: int) -> Iterator[tuple[str, float, float, float, float]]:
    points = len(curves[0].estimate)
    rng = np.random.default_rng([seed, 53])
    orders = np.stack([np.arange(points), *(rng.permutation(points) for _ in range(_ORDERS))])
    depths = {}
    for curve in curves:
        shuffled = curve.estimate[orders]
        steps = np.abs(np.diff(shuffled, axis=1)).mean(1)
        yield _row(f"mean step of {curve.level}", steps, -steps)
        gains = curve.estimate - curve.floor.max() if curve.signal is None else curve.signal.estimate
        depths[curve.level] = emergence_depth(gains[orders], curve.depth)
    for earlier, later in pairwise(depths):
        gaps = depths[later] - depths[earlier]
        yield _row(f"emergence of {later} minus {earlier}", gaps, gaps)


def _row(quantity: str, values: Floats, extremes: Floats) -> tuple[str, float, float, float, float]:
    """Return the table row of a statistic; `values[0]` is the true order, and `extremes` are large if unusual."""
    lo, hi = np.percentile(values[1:], [2.5, 97.5])
    return quantity, float(values[0]), float(lo), float(hi), rank_p(float(extremes[0]), extremes[1:])


def layer_order_exhibits(folder: Path) -> list[Exhibit]:
    """Return the control's table of a run, as exhibits; empty if the run has none."""
    if not (folder / LAYER_ORDER).is_file():
        return []
    table = read_table(folder / LAYER_ORDER)
    if table.is_empty():
        return []
    rows = [
        {
            "Quantity": row["quantity"],
            "As run": f"{row['estimate']:.3f}",
            "In random orders": f"{row['random_lo']:.3f} to {row['random_hi']:.3f}",
            "p": f"{row['p']:.3f}",
        }
        for row in table.iter_rows(named=True)
    ]
    return [Exhibit("layer-order", "Layers in a common random order", _TEXT, table=pl.DataFrame(rows))]
