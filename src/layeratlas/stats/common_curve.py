"""What the curves of a model's other labels say about the curve of one label (empirical Bayes)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.best_layers import Expected, alike, contrasts_of, noise_of, within

# The variance of the common curve, and that of every curve around it, in multiples of the typical noise.
_RATIOS: Floats = np.geomspace(0.1, 1e4, 8)


def common_curve(curves: Sequence[tuple[Floats, Floats]], *, ratios: Floats = _RATIOS) -> Expected | None:
    """Return what to expect of a curve of the same model from others, each (P,) with its bootstrap (B, P).

    The labels of one model rise and fall over similar layers. Every curve is a constant, a curve that all have in
    common, a deviation of its own, and noise; the common curve and deviations are Gaussian processes (`smoothed`). The
    result is the posterior of the common curve, the mean over both variances by their restricted likelihood. Where
    curves have nothing in common it is flat, and a curve is then chosen from as if it were alone. None without curves.

    Noise of different curves is taken as independent, of the curve that is judged too: one that shares texts or groups
    with it, such as that of another label of the same texts, must not be among them.
    """
    if not curves or len(curves[0][0]) < 2:
        return None
    points = len(curves[0][0])
    contrasts, prior = contrasts_of(points), alike(points)
    values = np.array([estimate for estimate, _ in curves]) @ contrasts.T
    errors = np.array([within(noise_of(draws), contrasts) for _, draws in curves])
    typical = np.median(np.trace(errors, axis1=1, axis2=2)) / (points - 1)
    inverse, size = np.linalg.inv(prior), np.linalg.slogdet(prior)[1]
    means, covariances, likelihoods = [], [], []
    for own in typical * ratios:
        precision = np.linalg.inv(own * prior + errors)
        solved = np.einsum("jkl,jl->jk", precision, values)
        fit, together = (values * solved).sum() - np.linalg.slogdet(precision)[1].sum(), solved.sum(0)
        for common in typical * ratios:
            covariance = np.linalg.inv(inverse / common + precision.sum(0))
            mean = covariance @ together
            ratio = size + (points - 1) * np.log(common) - np.linalg.slogdet(covariance)[1]
            likelihoods.append(-0.5 * (fit - mean @ together + ratio))
            means.append(mean)
            covariances.append(covariance)
    weights = np.exp(likelihoods - np.max(likelihoods))
    mean, spread = _mixture(weights / weights.sum(), np.array(means), np.array(covariances))
    return Expected(mean=mean @ contrasts, covariance=contrasts.T @ spread @ contrasts)


def _mixture(weights: Floats, means: Floats, covariances: Floats) -> tuple[Floats, Floats]:
    """Return the mean and the covariance of a mixture of Gaussians."""
    mean = weights @ means
    apart = means - mean
    return mean, np.einsum("k,kij->ij", weights, covariances) + (weights[:, None] * apart).T @ apart
