"""The variance that retraining the probe adds to a cross-validated accuracy.

A bootstrap over groups resamples the scores of fixed probes. But every group is both tested and used to train the
probes that test other groups, and other groups would change the accuracy in both roles. Intervals from the scores alone
are therefore too narrow (Bates, Hastie and Tibshirani 2024). If a probe is a weighted sum of its texts, the
contribution of text j to the score of text i equals that of i to the score of j, and the accuracy is close to a
U-statistic of order two (Hoeffding 1948). Its variance is estimated here from the out-of-fold scores, which every run
has.

Let nu be the share of the noise of the scores that comes from the training texts. This part consists of pairs of texts.
The bootstrap sees one side of each pair, and the other side is as large: nu is added. The rest, 1 - nu, is what a text
itself contributes along the true direction, with amplitude 1. As a training text it also turns the probe to the true
direction or away from it, with amplitude nu in the same sense: a probe without noise of training could not be improved.
Both amplitudes are of the same text, so the variance is (1 + nu)^2, and 2 nu + nu^2 is added. In total the added
share is nu + (1 - nu) (2 nu + nu^2) = 3 nu - nu^2 - nu^3, of the variance that goes with the scores.
"""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.stats.intervals import ROUNDING
from layeratlas.stats.measures import credit

# The share nu of training at which it adds most, 1.27 times what the bootstrap sees: the root of 3 - 2 nu - 3 nu^2.
_MOST = (10**0.5 - 1) / 3


def margins(scores: Floats, y: Floats) -> Floats:
    """Return the margins of the true class, (..., n), from scores (..., n, k), k = 1 for two classes; y (n,) codes."""
    if scores.shape[-1] == 1:
        ahead: Floats = scores[..., 0] * np.where(y == 1, 1.0, -1.0)
        return ahead
    codes = np.broadcast_to(y.astype(int), scores.shape[:-1])[..., None]
    true = np.take_along_axis(scores, codes, -1)[..., 0]
    others = scores.copy()
    np.put_along_axis(others, codes, -np.inf, -1)
    lead: Floats = true - others.max(-1)
    return lead


def training_factor(scores: Floats, y: Floats, groups: Ints, exchanged: float, tested: float = 1.0) -> Floats:
    """Return the factor (...) by which training widens the spread of a bootstrap over groups; 1 to 1.51.

    scores: (..., repeats, n, k) out of fold; y: (n,) class codes; groups: (n,) codes; `exchanged`: the share of its
    training texts that a probe exchanges from one repeat to another, 0 if unknown; `tested`: the share of them that
    are tested too.
    The squared factor is 1 + rho (3 nu - nu^2 - nu^3) (see above). rho is the share of the variance of the groups'
    right answers that is explained by their margins within the classes. nu, the share of the margins' variance that
    other training texts would change, is the variance between repeats divided by `exchanged`. This is at least the
    true share, because exchanged texts also change the weights of the others, so nu counts up to where training adds
    most; with one repeat it is taken to be there. Texts that are not tested have one role alone.
    """
    ahead = _within_classes(margins(scores, y), y)
    right, ahead = (_by_group(values, groups) for values in (credit(scores, y), ahead))
    right, mean = right.mean(-2), ahead.mean(-2)
    rho = _share((right * mean).sum(-1) ** 2, (right**2).sum(-1) * (mean**2).sum(-1))
    repeats = ahead.shape[-2]
    if repeats < 2 or exchanged <= 0:
        return np.sqrt(1 + rho * _added(np.full_like(rho, _MOST)) * tested)
    between = ahead.var(-2, ddof=1).sum(-1)
    # Averaging over repeats removes part of the variance between them; add it back.
    whole = (mean**2).sum(-1) + between * (1 - 1 / repeats)
    return np.sqrt(1 + rho * _added(_share(between / exchanged, whole)) * tested)


def _added(nu: Floats) -> Floats:
    """Return what training adds to the variance along the scores, as a multiple of it, if its share is nu or less."""
    nu = np.minimum(nu, _MOST)
    added: Floats = 3 * nu - nu**2 - nu**3
    return added


def _within_classes(values: Floats, y: Floats) -> Floats:
    """Return values (..., n) less their class's mean: by how much one class is ahead of another is not noise."""
    centred = values.copy()
    for code in np.unique(y):
        centred[..., y == code] -= values[..., y == code].mean(-1, keepdims=True)
    return centred


def _by_group(values: Floats, groups: Ints) -> Floats:
    """Return centred values (..., n) summed over the items of each group, (..., G), and centred again."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sums = np.add.reduceat((values - values.mean(-1, keepdims=True))[..., order], starts, axis=-1)
    centred: Floats = sums - sums.mean(-1, keepdims=True)
    return centred


def _share(part: Floats, whole: Floats) -> Floats:
    """Return part / whole, at most 1; 0 if the whole is 0."""
    share: Floats = np.divide(part, whole, out=np.zeros_like(whole), where=whole > ROUNDING)
    return np.minimum(share, 1.0)


def training_draws(differences: Floats, bootstrap: int, seed: int) -> Floats:
    """Return draws (B, ...) with mean 0 whose variance is what training adds to a sum over groups.

    differences: (G, ...), each group's sum as scored by one probe less that by another one, scaled so that its variance
    over groups is the part of the sum's variance that comes from training. A bootstrap of the groups' scores already
    contains that part once, and by symmetry of the pairs (see above) it is as large again. Every draw weights the
    groups by independent standard normal numbers, the same for all statistics, so that differences of statistics (of
    layers, of models on the same groups) have the variance of their own training (Mammen 1993, the wild bootstrap).
    """
    random = np.random.default_rng([seed, 13]).standard_normal((bootstrap, len(differences)))
    draws: Floats = np.tensordot(random, differences, 1)
    return draws
