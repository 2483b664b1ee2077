"""The variance that retraining the probe adds to a cross-validated accuracy.

A bootstrap over groups resamples the scores of fixed probes. But every group is both tested and used to train the
probes that test other groups, and other groups would change the accuracy in both roles. Intervals from the scores alone
are therefore too narrow (Bates, Hastie and Tibshirani 2024). If a probe is a weighted sum of its texts, the
contribution of text j to the score of text i equals that of i to the score of j, and the accuracy is close to a
U-statistic of order two. The part of its variance that comes from training is twice what one side of the pairs shows
(Hoeffding 1948), and the bootstrap sees one side. That part is estimated here from the out-of-fold scores of each
repeat, which every run has.
"""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.stats.intervals import ROUNDING
from layeratlas.stats.measures import credit

# Variance that the pairs do not show, as a fraction of the bootstrap variance: probes with different training groups
# differ in their accuracy on all texts. In simulations at width 576 it was 6 to 12 %.
_FURTHER = 0.08


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


def training_factor(scores: Floats, y: Floats, groups: Ints, folds: int, tested: float = 1.0) -> Floats:
    """Return the factor (...) by which training widens the spread of a bootstrap over groups; 1.04 to 1.44.

    scores: (..., repeats, n, k) out of fold; y: (n,) class codes; groups: (n,) codes; `folds`: test sets per repeat.
    The squared factor is 1.08 + rho nu. rho is the share of the variance of the groups' right answers that is explained
    by their margins. nu is the share of the margins' variance that other training groups would change. The probes of
    two repeats differ in 1 / folds of their groups, so nu is `folds` times the variance between repeats. With one
    repeat this is unknown, and nu is `tested`, the share of the training texts that are tested too. Without further
    texts this is all of the margins' variance, which is nearly right if there are more dimensions than texts.
    """
    right, ahead = (_by_group(values, groups) for values in (credit(scores, y), margins(scores, y)))
    right, mean = right.mean(-2), ahead.mean(-2)
    rho = _share((right * mean).sum(-1) ** 2, (right**2).sum(-1) * (mean**2).sum(-1))
    repeats = ahead.shape[-2]
    if repeats < 2:
        return np.sqrt(1 + _FURTHER + rho * tested)
    between = ahead.var(-2, ddof=1).sum(-1)
    # Averaging over repeats removes part of the variance between them; add it back.
    whole = (mean**2).sum(-1) + between * (1 - 1 / repeats)
    return np.sqrt(1 + _FURTHER + rho * _share(folds * between, whole))


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
