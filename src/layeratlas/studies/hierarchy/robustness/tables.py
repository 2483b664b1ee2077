"""The depths at which each level decodes under every variant, and their variation from each source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from layeratlas.probes import Probed
from layeratlas.stats.curves import Curve, level_curve
from layeratlas.stats.emergence import measure_emergence
from layeratlas.stats.intervals import Z95, percentile_interval
from layeratlas.stats.peaks import find_peak
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.hierarchy.curves import task_curves
from layeratlas.studies.hierarchy.findings.moved import Moved
from layeratlas.studies.hierarchy.names import WHOLE
from layeratlas.studies.hierarchy.robustness.variants import AS_RUN, BOOTSTRAP_SEEDS, SEED_STEP, Source, Variant

_BOOTSTRAP, _HALVES = 300, 50
SCHEMA = {
    "level": pl.String,
    "source": pl.String,
    "variant": pl.String,
    "n": pl.Int64,
    "value": pl.Float64,
    "peak_layer": pl.Int64,
    "peak": pl.Float64,
    "peak_error": pl.Float64,
    "emergence": pl.Float64,
    "emergence_error": pl.Float64,
}
# The summarised quantities, each with the column of its standard error.
QUANTITIES = {"peak": "peak_error", "emergence": "emergence_error"}


def variant_table(levels: Mapping[str, Mapping[Variant, Sequence[Probed]]], seed: int) -> pl.DataFrame:
    """Return one row per level and variant: peak and emergence as fractions of depth, with standard errors over groups.

    A variant must cover all data sets of its level, except that word lists cover those of which there are two. The
    run's own scores are also resampled with other seeds.
    """
    rows = []
    for level, variants in levels.items():
        tasks = len(variants[AS_RUN])
        for variant, probed in variants.items():
            if len(probed) == tasks or variant.source is Source.WORD_LIST:
                rows.append(_row(level, variant, level_curve_of(probed, seed)))
        for number in range(1, BOOTSTRAP_SEEDS + 1):
            other = level_curve_of(variants[AS_RUN], seed + SEED_STEP * number)
            rows.append(_row(level, Variant(source=Source.SEED, name=str(number + 1)), other))
    return pl.DataFrame(rows, schema=SCHEMA)


def level_curve_of(probed: Sequence[Probed], seed: int) -> Curve:
    """Return the mean curve of a level's data sets by their first measure."""
    names = [item.group for sweep in probed for item in sweep.design.data.items]
    sampler = Resampler(names, _BOOTSTRAP, seed, _HALVES)
    whole = [replace(sweep, design=replace(sweep.design, strata=(WHOLE,))) for sweep in probed]
    return level_curve([task_curves(sweep, sampler)[0] for sweep in whole], len(set(names)))


def _row(level: str, variant: Variant, curve: Curve) -> dict[str, object]:
    peak, emergence = find_peak(curve), measure_emergence(curve)
    lo, hi = percentile_interval(peak.depths)
    return {
        "level": level,
        "source": variant.source.value,
        "variant": variant.name,
        "n": curve.n,
        "value": peak.value,
        "peak_layer": peak.layer,
        "peak": float(curve.depth[peak.layer]),
        "peak_error": float(hi - lo) / (2 * Z95),
        "emergence": emergence.estimate,
        # Without what rests on an assumed share of training noise: it is the same for all variants.
        "emergence_error": float(np.hypot(emergence.draws.std(), emergence.bias_error)),
    }


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A quantity of a level in the run itself, and its standard error from each source.

    `groups` is the standard error from the bootstrap over groups. `sources` are the standard deviations over the
    variants of each source. Two word lists also differ by chance, since each is a sample of words: `lists` is the
    standard deviation that their bootstraps explain, and only the variance in excess of it is added.
    """

    level: str
    quantity: str
    estimate: float
    groups: float
    lists: float = 0.0
    sources: Mapping[Source, float]

    @property
    def total(self) -> float:
        """The standard error from all sources together."""
        parts = [value for source, value in self.sources.items() if source is not Source.WORD_LIST]
        excess = max(0.0, self.sources.get(Source.WORD_LIST, 0.0) ** 2 - self.lists**2)
        return float(np.sqrt(self.groups**2 + excess + np.sum(np.square(parts))))

    @property
    def beyond_groups(self) -> float:
        """The standard error from all sources except the groups."""
        return float(np.sqrt(max(self.total**2 - self.groups**2, 0.0)))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval from all sources together, clipped to relative depths 0 to 1."""
        return max(self.estimate - Z95 * self.total, 0.0), min(self.estimate + Z95 * self.total, 1.0)


def spreads(table: pl.DataFrame) -> Iterator[Spread]:
    """Yield how far each source moves the peak and the emergence of each level."""
    for level in table["level"].unique(maintain_order=True):
        rows = table.filter(level=level)
        own = rows.filter(source=Source.AS_RUN).row(0, named=True)
        for quantity, error in QUANTITIES.items():
            sources: dict[Source, float] = {
                source: _deviation(own[quantity], rows.filter(source=source)[quantity].to_list(), source)
                for source in Source
                if source is not Source.AS_RUN and not rows.filter(source=source).is_empty()
            }
            lists = rows.filter(source=Source.WORD_LIST)[error].to_numpy()
            yield Spread(
                level=level,
                quantity=quantity,
                estimate=own[quantity],
                groups=own[error],
                lists=float(np.sqrt(np.mean(lists**2))) if len(lists) else 0.0,
                sources=sources,
            )


def moved_by(table: pl.DataFrame) -> Moved:
    """Return how far all sources but the groups move each level."""
    found: dict[str, dict[str, float]] = {quantity: {} for quantity in QUANTITIES}
    for spread in spreads(table):
        found[spread.quantity][spread.level] = spread.beyond_groups
    return Moved(**found)


def _deviation(own: float, others: Sequence[float], source: Source) -> float:
    """Return the standard deviation over the run and its variants; of word lists, over the two lists."""
    return float(np.std(others if source is Source.WORD_LIST else [own, *others], ddof=1))
