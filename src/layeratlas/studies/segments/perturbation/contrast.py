"""Does a segment's brittleness differ from that of the other blocks by more than the usual variation between blocks?

A rank test among spans of equal width would have little power, because few spans fit and they overlap. Instead, log B
by block is regressed on membership in the segment, with autoregressive errors (first order). The autocorrelation cannot
be estimated well from a few dozen blocks, so the test is averaged over all its values, weighted by their restricted
likelihood (Zellner and Tiao 1964; Harville 1974). Smooth change over depth looks like strong autocorrelation, under
which only a change at the segment's boundaries is evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.verdicts import least_seen
from layeratlas.studies.segments.perturbation.trials import Span

# The values of the autocorrelation to average over (uniform prior).
_AUTOCORRELATIONS = np.linspace(0.0, 0.98, 25)
# Added to sums of squares, so that equal blocks have no effect.
_TINY = 1e-24


@dataclass(frozen=True, kw_only=True)
class SegmentContrast:
    """B of a segment's blocks over that of the other blocks, geometric means, and its two-sided p-value.

    `error` is the standard error of log `ratio`, over blocks and passages, and `freedom` its degrees of freedom.
    """

    ratio: float
    error: float
    freedom: int
    p: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the ratio."""
        reach = scipy.stats.t.ppf(1 - ALPHA / 2, self.freedom) * self.error
        return float(self.ratio * np.exp(-reach)), float(self.ratio * np.exp(reach))

    def seen(self, tests: int) -> float:
        """Return the smallest ratio above 1 detectable with a power of 0.8 if `tests` segments are tested together."""
        return float(np.exp(least_seen(self.error, tests=tests, freedom=self.freedom)))


@dataclass(frozen=True, kw_only=True)
class _Regressions:
    """The data-independent terms of the regression on a segment at each autocorrelation (R).

    `residual` (R, L, L) is the quadratic form of the residual sum of squares, `effect` (R, L) gives the estimate,
    `variance` (R,) is its variance relative to that of an error, `log_weight` (R,) is the data-independent term of the
    log-likelihood.
    """

    residual: Floats
    effect: Floats
    variance: Floats
    log_weight: Floats


def segment_contrast(log_b: Floats, draws: Floats, span: Span) -> SegmentContrast:
    """Return the contrast of a segment with all other blocks, from log B by block (L,) and its draws (B, L)."""
    freedom = len(log_b) - 2
    if freedom < 1 or not 0 < span[1] - span[0] < len(log_b):
        return SegmentContrast(ratio=float("nan"), error=float("inf"), freedom=1, p=1.0)
    at = _regressions(len(log_b), span)
    squares = np.einsum("i,rij,j->r", log_b, at.residual, log_b) + _TINY
    log_weight = at.log_weight - freedom / 2 * np.log(squares)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    effects = at.effect @ log_b
    over_passages = (draws @ (weight @ at.effect)).var()
    variances = squares / freedom * at.variance + over_passages
    p = weight @ (2 * scipy.stats.t.sf(np.abs(effects) / np.sqrt(variances), freedom))
    mean = float(weight @ effects)
    # Adds the variance between the estimates at different autocorrelations.
    variance = weight @ variances + weight @ (effects - mean) ** 2
    return SegmentContrast(ratio=float(np.exp(mean)), error=float(np.sqrt(variance)), freedom=freedom, p=float(p))


@lru_cache(maxsize=256)
def _regressions(blocks: int, span: Span) -> _Regressions:
    design = np.ones((blocks, 2))
    design[:, 1] = (np.arange(blocks) >= span[0]) & (np.arange(blocks) < span[1])
    apart = np.abs(np.subtract.outer(np.arange(blocks), np.arange(blocks)))
    rows = []
    for rho in _AUTOCORRELATIONS:
        errors = rho**apart
        inverse = np.linalg.inv(errors)
        covariance = np.linalg.inv(design.T @ inverse @ design)
        fit = covariance @ design.T @ inverse
        log_weight = (np.linalg.slogdet(covariance)[1] - np.linalg.slogdet(errors)[1]) / 2
        rows.append((inverse - inverse @ design @ fit, fit[1], covariance[1, 1], log_weight))
    residual, effect, variance, log_weights = (np.array(column) for column in zip(*rows, strict=True))
    return _Regressions(residual=residual, effect=effect, variance=variance, log_weight=log_weights)
