"""Profiles over layers: z-scored curves, smoothed or differenced."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import ROUNDING
from layeratlas.studies.hierarchy.names import WHOLE


def z_scores(values: Floats, component: str) -> Floats:
    """Return curves (..., P) as z-scores over layers, without point 0 of the residual stream.

    Point 0 is the token embedding, which is often at chance and would inflate the standard deviation.
    """
    inner = values[..., 1:] if component == "resid" else values
    spread = inner.std(-1, keepdims=True)
    z: Floats = (inner - inner.mean(-1, keepdims=True)) / np.maximum(spread, ROUNDING)
    return z


def smooth(values: Floats) -> Floats:
    """Return the running mean (..., P) over three layers (two at the ends)."""
    padded = np.concatenate([values[..., :1], values, values[..., -1:]], -1)
    counts = np.full(values.shape[-1], 3.0)
    total = padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]
    total[..., 0] -= padded[..., 0]
    total[..., -1] -= padded[..., -1]
    counts[[0, -1]] = 2
    mean: Floats = total / counts
    return mean


def profile_table(curves: Sequence[Curve]) -> pl.DataFrame:
    """Return, for every curve over all texts, the z-scores over layers and their first and second differences."""
    return pl.concat([_profile(curve) for curve in curves if curve.stratum == WHOLE])


def _profile(curve: Curve) -> pl.DataFrame:
    z = z_scores(curve.estimate, curve.component)
    first = len(curve.estimate) - len(z)
    return pl.DataFrame(
        {
            "level": curve.level,
            "task": curve.task,
            "component": curve.component,
            "method": curve.method,
            "metric": curve.metric,
            "layer": np.arange(first, len(curve.estimate)),
            "depth": curve.depth[first:],
            "z": z,
            "difference": np.diff(z, prepend=np.nan),
            "second_difference": np.diff(z, n=2, prepend=[np.nan] * 2),
        }
    )
