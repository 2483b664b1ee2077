"""The tables of brittleness: rows of `curves.parquet` by layer, and one row per segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from layeratlas.core.edits import EMBEDDINGS
from layeratlas.studies.segments.names import BRITTLENESS, EVERY_LAYER, SKIP
from layeratlas.studies.segments.perturbation.brittleness import Brittleness
from layeratlas.studies.segments.perturbation.estimate import Estimate

_NAN = float("nan")
# Codes of the column `metric`.
STREAM_RMS, AGREEMENT, KL, NLL_RISE, HALF = "stream rms", "top-1 agreement", "kl", "nll rise", "sigma at half agreement"
UNPERTURBED = "none"


@dataclass(frozen=True, kw_only=True)
class LayerCurve:
    """One quantity by layer; `chance` is its value without a perturbation."""

    method: str
    metric: str
    estimate: Estimate
    chance: float = _NAN


def curve_rows(brittleness: Brittleness) -> list[dict[str, Any]]:
    """Return the rows of `curves.parquet` by layer, without the columns for model and study.

    They are `brittleness` (nats), `sigma at half agreement` and `stream rms` at every point, divergence and agreement
    at every strength, and the effect of skipping each block. The chance value of a divergence is 0 (unchanged model).
    A half-agreement strength above the largest measured one is NaN.
    """
    effects, spec, mean = brittleness.effects, brittleness.spec, brittleness.mean
    halves = [brittleness.half("point", (b, b + 1)) for b in range(EMBEDDINGS, effects.layers)]
    half = brittleness.estimate(np.array([h.value for h in halves]), np.stack([h.draws for h in halves], 1))
    curves = [
        LayerCurve(method=spec.noise, metric=BRITTLENESS, estimate=brittleness.at_points(), chance=0.0),
        LayerCurve(method=UNPERTURBED, metric=STREAM_RMS, estimate=mean(effects.sizes)),
        LayerCurve(method=SKIP, metric=KL, estimate=mean(effects.by_skip()), chance=0.0),
        LayerCurve(method=SKIP, metric=AGREEMENT, estimate=mean(1 - effects.by_skip("flips"), most=1.0), chance=1.0),
        LayerCurve(method=spec.noise, metric=HALF, estimate=half),
    ]
    for sigma in (*spec.small, *spec.large):
        method = f"{spec.noise} {sigma:g}"
        kl, nll, flips = (effects.by_point(sigma, outcome) for outcome in ("kl", "nll", "flips"))
        curves.append(LayerCurve(method=method, metric=KL, estimate=mean(kl), chance=0.0))
        curves.append(LayerCurve(method=method, metric=NLL_RISE, estimate=mean(nll), chance=0.0))
        curves.append(LayerCurve(method=method, metric=AGREEMENT, estimate=mean(1 - flips, most=1.0), chance=1.0))
    return [row for curve in curves for row in _rows(curve, effects.layers, effects.passages)]


def _rows(curve: LayerCurve, layers: int, passages: int) -> list[dict[str, Any]]:
    lo, hi = curve.estimate.interval
    first = layers + 1 - len(curve.estimate.value)  # a block's row is at the point after it
    return [
        {
            "level": BRITTLENESS,
            "task": EVERY_LAYER,
            "stratum": "all",
            "component": "resid",
            "layer": first + i,
            "depth": (first + i) / layers,
            "method": curve.method,
            "metric": curve.metric,
            "estimate": finite(value),
            "lo": finite(lo[i]),
            "hi": finite(hi[i]),
            "chance": curve.chance,
            "control": _NAN,
            "control_lo": _NAN,
            "control_hi": _NAN,
            "baseline": _NAN,
            "n": passages,
            "n_groups": passages,
        }
        for i, value in enumerate(curve.estimate.value)
    ]


def finite(value: Any) -> float:
    """Return a number, or NaN for infinity, which tables and charts cannot hold."""
    return float(value) if np.isfinite(value) else _NAN


def segment_rows(brittleness: Brittleness) -> list[dict[str, Any]]:
    """Return a table of the segments: blocks, stream rms, B with interval, and variants of B.

    `b` is from noise in all blocks at once, `b_added` is the mean of the blocks' B, `b_entry` is B of the first block
    alone, and `b_unshared` is with full noise in every block. `ratio` is the geometric mean of B over the segment's
    blocks relative to that over all others, with its 95 % interval and its uncorrected `p_ratio`.
    """
    effects, rows = brittleness.effects, []
    for name, span in effects.segments.items():
        start, stop = span
        b, lo, hi = brittleness.measured("segment", span).numbers
        half, half_lo, half_hi = brittleness.half("segment", span).numbers
        contrast = brittleness.contrast(span)
        ratio_lo, ratio_hi = contrast.interval
        rows.append(
            {
                "segment": name,
                "first": start,
                "last": stop - 1,
                "rms": float(effects.sizes[:, start + 1 : stop + 1].mean()),
                "b": b,
                "lo": lo,
                "hi": hi,
                "b_added": brittleness.of_span(span).numbers[0],
                "b_entry": brittleness.of_span((start, start + 1)).numbers[0],
                "b_unshared": brittleness.measured("unshared", span).numbers[0],
                "sigma_half": finite(half),
                "sigma_half_lo": finite(half_lo),
                "sigma_half_hi": finite(half_hi),
                "ratio": contrast.ratio,
                "ratio_lo": ratio_lo,
                "ratio_hi": finite(ratio_hi),
                "p_ratio": contrast.p,
            }
        )
    return rows
