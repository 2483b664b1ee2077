"""The peak of every curve, with the layers that are about as good."""

from __future__ import annotations

import math

import polars as pl

from layeratlas.runs.floors import FLOOR
from layeratlas.stats.intervals import Z95

CURVE_KEY = ("part", "component", "method", "metric")


def peaks_of(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per curve: the layer that gains most over its floor and the adjacent ones within one SE of it.

    They are `first` to `last`; where the floor is the same at every layer, or there is none, it is the highest layer.
    `first_depth` and `last_depth` are the same as fractions of depth. `rows` must be in order of layers.
    """
    peaks = []
    for curve in rows.partition_by(CURVE_KEY, maintain_order=True):
        gains = curve["estimate"] - curve[FLOOR].fill_null(0.0)
        top = int(gains.arg_max() or 0)
        first, last = _as_good(gains.to_list(), top, _standard_error(curve, top))
        layers = {"first": curve["layer"][first], "last": curve["layer"][last]}
        depths = {"first_depth": curve["depth"][first], "last_depth": curve["depth"][last]}
        peaks.append({**curve.row(top, named=True), **layers, **depths})
    return pl.DataFrame(peaks, infer_schema_length=None)


def _standard_error(curve: pl.DataFrame, place: int) -> float:
    """Return the standard error implied by the interval; 0 if there is no interval."""
    lo, hi = curve["lo"][place], curve["hi"][place]
    error = (hi - lo) / (2 * Z95) if lo is not None and hi is not None else 0.0
    return error if math.isfinite(error) else 0.0


def _as_good(values: list[float], top: int, error: float) -> tuple[int, int]:
    """Return the first and last index of the contiguous range around `top` that stays within one standard error."""
    floor = values[top] - error
    first = last = top
    while first > 0 and values[first - 1] >= floor:
        first -= 1
    while last < len(values) - 1 and values[last + 1] >= floor:
        last += 1
    return first, last
