"""The floor of every curve: what a layer must exceed to have gained anything."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

FLOOR = "floor"
_CURVE = ("level", "task", "stratum", "component", "method", "metric")


def with_floor(curves: pl.DataFrame) -> pl.DataFrame:
    """Return a table of curves with the column `floor`: the larger of chance and the mean control over all layers.

    It is null for a curve with neither, and the same at every layer, as for the depth of emergence
    (`stats.gains.gains_of`): the noise of a control at single layers moves no peak.
    """
    control = pl.col("control").fill_nan(None).mean().over(_CURVE)
    return curves.with_columns(pl.max_horizontal(pl.col("chance").fill_nan(None), control).alias(FLOOR))


def with_floor_by_layer(
    curves: pl.DataFrame, free: Collection[tuple[str, str]] = (), bound: Collection[str] = ()
) -> pl.DataFrame:
    """Return a table of curves with the column `floor`: the best of chance, the baseline and each layer's control.

    `free` are the levels and tasks (or `all`) whose control is drawn and is no part of the floor, except by the metrics
    that are `bound`.
    """
    pairs = [f"{level}\n{task}" for level, task in free]
    counted = ~pl.concat_str("level", "task", separator="\n").is_in(pairs) | pl.col("metric").is_in(list(bound))
    control = pl.when(counted).then(pl.col("control").fill_nan(None))
    fixed = (pl.col(name).fill_nan(None) for name in ("chance", "baseline"))
    return curves.with_columns(pl.max_horizontal(*fixed, control).alias(FLOOR))
