"""How well a linear probe would read a label at each layer with unlimited training texts: its signal-to-noise ratio.

Accuracy is a poor scale for the depth at which levels emerge. It saturates, so that of two levels whose signal grows
alike over the layers the easier one seems to emerge earlier; and it depends on the number of training texts, with which
weak signals gain more than strong ones. The squared ratio s^2 of signal to noise depends on neither: levels whose
signals are proportional over the layers have the same shares of their rise.

For two classes s is half the distance of their means along the best direction, in standard deviations within the
classes; the best possible probe has the accuracy Phi(s) if classes are equal in size and noise is normal. A trained
probe has z^2 = s^2 (1 - nu), where nu is the share of the noise of its scores that comes from its training texts. If
the noise c that training adds is the same at all layers, nu = c / (s^2 + c) and z^2 = s^4 / (s^2 + c) (Raudys and
Young 2004, of the classifier by distances of means). c is estimated from all layers together, since at a layer without
signal nu says nothing about it.
"""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ROUNDING

# The largest z that counts: the probe is right on 99 of 100 texts. More says little, and has no limit where a label is
# exact. A limit of s^2 would cut off the rise of levels with few texts, whose s^2 is far above what their scores show.
HIGHEST = 2.33
# Correlations of scores and labels are at most this: perfect ones have no ratio.
_MOST_ALIKE = 0.999
# The share of the noise at the strongest layer that is taken to come from training where it was not measured, and the
# ends of one standard error: those of a share that may be anywhere between 0 and 1.
ASSUMED, ASSUMED_ENDS = 0.5, (0.5 - 12**-0.5, 0.5 + 12**-0.5)
# The largest share at the strongest layer. If nearly all noise comes from training, there is hardly a signal, and the
# scores say nothing of c: unlimited, it turns the noise of a task without a signal into the largest signal of a level.
MOST = 0.9
# The measure of a curve of s^2.
SIGNAL = "signal"


def ratio(scores: Floats, targets: Floats, weights: Floats) -> Floats:
    """Return z = r / sqrt(1 - r^2), (B, P), with r the correlation of scores and targets over all columns.

    scores: (P, repeats, n, k); targets: (n, k), such as -1 and 1, or numbers; weights: (B, n). For two classes of equal
    size z is half the distance of the classes' mean scores in standard deviations within the classes. It is NaN under
    weights that leave no item, or none of all but one class.
    """
    share = _shares(weights)
    columns = range(targets.shape[1])
    means = [_mean(scores[..., c].mean(1), share) for c in columns]
    aims = [_mean(targets[:, c], share)[:, None] for c in columns]
    together = _mean((scores * targets).sum(-1).mean(1), share) - sum(m * a for m, a in zip(means, aims, strict=True))
    of_scores = _mean((scores**2).sum(-1).mean(1), share) - sum(mean**2 for mean in means)
    of_targets = _mean((targets**2).sum(-1), share)[:, None] - sum(aim**2 for aim in aims)
    spread = of_scores * of_targets
    r = np.divide(together, np.sqrt(np.maximum(spread, ROUNDING)), out=np.zeros_like(spread), where=spread > ROUNDING)
    r = np.clip(r, -_MOST_ALIKE, _MOST_ALIKE)
    z: Floats = np.where(of_targets > ROUNDING, r / np.sqrt(1 - r**2), np.nan)
    return z


def training_share(scores: Floats, targets: Floats, weights: Floats, folds: int) -> Floats:
    """Return the share nu of the noise of scores that other training texts would change, (B, P), from 0 to 1.

    Arguments are as for `ratio`, with two repeats or more. The training sets of two repeats differ in 1 / `folds` of
    their texts, so nu is `folds` times the variance between repeats over the variance within the classes.
    """
    share = _shares(weights)
    slope = (scores * targets).sum((-2, -1), keepdims=True) / np.maximum((targets**2).sum(), ROUNDING)
    noise = scores - slope * targets
    between, whole = noise.var(1, ddof=1).sum(-1), (noise**2).mean(1).sum(-1)
    part, all_of_it = folds * _mean(between, share), _mean(whole, share)
    nu: Floats = np.divide(part, all_of_it, out=np.ones_like(part), where=all_of_it > ROUNDING)
    return np.clip(nu, 0.0, 1.0)


def untrained(z: Floats, noise: Floats) -> Floats:
    """Return s^2 (..., P), with the sign of z, from z (..., P) and the noise c of training, broadcast to it.

    It solves z^2 = s^4 / (s^2 + c), with z at most `HIGHEST`.
    """
    z = np.minimum(z, HIGHEST)
    squared: Floats = z * (np.abs(z) + np.sqrt(z**2 + 4 * noise)) / 2
    return squared


def training_noise(z: Floats, nu: Floats) -> Floats:
    """Return the noise c of training, (B, 1), from z and nu (B, P) of all layers; layers with a signal count most.

    It is at most that of a share of `MOST` at the strongest layer.
    """
    clear = ((1 - nu) ** 2).sum(-1, keepdims=True)
    noise: Floats = (nu * z**2).sum(-1, keepdims=True) / np.maximum(clear, ROUNDING)
    return np.minimum(noise, assumed_noise(z, MOST))


def assumed_noise(z: Floats, share: float) -> Floats:
    """Return c, (..., 1), if `share` of the noise at the strongest of the layers z (..., P) comes from training."""
    strongest: Floats = np.clip(z, 0.0, HIGHEST).max(-1, keepdims=True)
    return share / (1 - share) ** 2 * strongest**2


def _shares(weights: Floats) -> Floats:
    """Return weights (B, n) with sum 1, or 0 where all are 0."""
    shares: Floats = weights / np.maximum(weights.sum(1, keepdims=True), ROUNDING)
    return shares


def _mean(values: Floats, share: Floats) -> Floats:
    """Return weighted means (B, ...) of values (..., n)."""
    mean: Floats = np.moveaxis(values @ share.T, -1, 0)
    return mean
