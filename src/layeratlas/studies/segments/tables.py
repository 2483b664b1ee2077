"""The tables of a segments run's signals: one row per signal and layer, the settle depth, and the similarity map."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.metrics import SetMetric, Signal
from layeratlas.metrics.lens import settle_depth
from layeratlas.runs.finding import Finding
from layeratlas.runs.tables import CURVE_VALUES
from layeratlas.stats.intervals import mean_interval
from layeratlas.stats.jackknife import jackknife
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.segments.findings import boundary_finding
from layeratlas.studies.segments.names import PASSAGES, SegmentFinding

_DRAWS = 1000
_NUMBERS = [name for name in CURVE_VALUES if name not in ("n", "n_groups")]


class Band(NamedTuple):
    """Values by layer with their 95 % interval, each (layers,)."""

    value: Floats
    lo: Floats
    hi: Floats


def as_numbers(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of curves with every value as float64, so that tables can be concatenated."""
    return rows.with_columns(pl.col(_NUMBERS).cast(pl.Float64))


def passage_rows(signal: Signal, values: Floats, control: Floats | None, seed: int) -> pl.DataFrame:
    """Return the rows of a per-passage signal; `values` and `control` are (P, layers)."""
    band = None if control is None else mean_band(control, seed)
    return _signal_rows(signal, mean_band(values, seed), band, len(values))


def set_rows(metric: SetMetric, vectors: FloatArray, seed: int) -> list[pl.DataFrame]:
    """Return the rows of each signal of a metric of the whole set, with jackknife intervals."""
    names = [signal.name for signal in metric.signals]

    def measure(rows: NDArray[np.int64]) -> Floats:
        values = metric.measure(vectors[rows], seed)
        return np.stack([values[name] for name in names])

    value, lo, hi = jackknife(measure, len(vectors))
    return [
        _signal_rows(signal, Band(value[i], lo[i], hi[i]), None, len(vectors))
        for i, signal in enumerate(metric.signals)
    ]


def mean_band(values: Floats, seed: int) -> Band:
    """Return the mean over passages with its 95 % percentile interval."""
    random, n = np.random.default_rng(seed), len(values)
    weights = random.multinomial(n, np.full(n, 1 / n), size=_DRAWS) / n
    lo, hi = mean_interval(weights @ values, n)
    return Band(values.mean(0), lo, hi)


def _signal_rows(signal: Signal, band: Band, control: Band | None, n: int) -> pl.DataFrame:
    """Return a signal's rows; an edge between two points is listed at the later point."""
    points = len(band.value)
    missing = np.full(points, np.nan)
    control = control or Band(missing, missing, missing)
    is_block = signal.axis == "block"
    layer = np.arange(points) + int(signal.axis == "edge")
    columns = {
        "level": signal.group,
        "task": signal.name,
        "stratum": "all",
        "component": "attn" if is_block else "resid",
        "layer": layer,
        "depth": (layer + is_block) / (layer[-1] + is_block),
        "method": PASSAGES,
        "metric": signal.name,
        "estimate": band.value,
        "lo": band.lo,
        "hi": band.hi,
        "chance": np.full(points, signal.null),
        "control": control.value,
        "control_lo": control.lo,
        "control_hi": control.hi,
        "baseline": None,
        "n": n,
        "n_groups": n,
    }
    return as_numbers(pl.DataFrame(columns))


def settle_finding(settled: Floats, seed: int) -> Finding:
    """Return the finding on the mean settle depth of passages, from `settled` (P, L+1)."""
    depth = settle_depth(settled)
    band = mean_band(depth[:, None], seed)
    effect = Effect(estimate=float(depth.mean()), lo=float(band.lo[0]), hi=float(band.hi[0]))
    # Settling at most one layer before the last counts as settling at the last layer.
    verdict = effect.short_of(1).verdict(margin=1 / (settled.shape[1] - 1))
    statement = {
        "supported": "On average the most likely next token is settled",
        "not supported": "The most likely next token is settled at the last layer alone, on average",
        "inconclusive": "Whether the most likely next token is settled before the last layer is undecided: a mean of "
        f"{1 - (effect.hi - effect.estimate):.2f} or less would have shown it. On average it is settled",
    }[verdict]
    interval = f"{effect.estimate:.2f} [{effect.lo:.2f}, {effect.hi:.2f}]"
    return boundary_finding(
        SegmentFinding.SETTLE_DEPTH,
        f"{statement} at {interval} of the depth, read by the logit lens.",
        effect,
        null="settled only at the last layer (depth 1)",
        verdict=verdict,
        n=len(depth),
    )


def similarity_map(cka: FloatArray) -> pl.DataFrame:
    """Return the mean CKA of every pair of points, one row per pair, from (P, L+1, L+1)."""
    mean = cka.mean(0, dtype=np.float64)
    layer, other = np.indices(mean.shape)
    return pl.DataFrame({"layer": layer.ravel(), "other": other.ravel(), "cka": mean.ravel()})
