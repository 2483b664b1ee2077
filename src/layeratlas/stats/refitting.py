"""What training the probe anew adds to the spread of a cross-validated accuracy.

A bootstrap over groups resamples the scores of probes that stay as they are. Yet every group both is tested and trains
the probes that test the others, and the accuracy would differ with other groups in both places: intervals from the
scores alone are too narrow (Bates, Hastie and Tibshirani 2024). Where a probe is a weighted sum of its texts, the score
of text i from text j is also that of j from i. The accuracy is then close to a U-statistic of order two. The part of
its variance that comes from training is twice what one side of the pairs shows (Hoeffding 1948), and the bootstrap
sees one side. That part is measured here from what every run has, the scores out of fold of each repeat.
"""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.stats.intervals import ROUNDING
from layeratlas.stats.measures import credit

# What pairs do not tell, as a part of the variance that the bootstrap sees: probes of different training groups differ
# in how often they are right on all texts. In simulations at width 576 it was 6 to 12 %.
_FURTHER = 0.08


def margins(scores: Floats, y: Floats) -> Floats:
    """Return how far the true class is ahead: scores (..., n, k), k = 1 for two classes, y (n,) codes; (..., n)."""
    if scores.shape[-1] == 1:
        ahead: Floats = scores[..., 0] * np.where(y == 1, 1.0, -1.0)
        return ahead
    codes = np.broadcast_to(y.astype(int), scores.shape[:-1])[..., None]
    true = np.take_along_axis(scores, codes, -1)[..., 0]
    others = scores.copy()
    np.put_along_axis(others, codes, -np.inf, -1)
    lead: Floats = true - others.max(-1)
    return lead


def training_factor(scores: Floats, y: Floats, groups: Ints, folds: int) -> Floats:
    """Return by which factor (...) the spread of a bootstrap over groups is to be widened for training; 1.04 to 1.44.

    scores: (..., repeats, n, k) out of fold; y: (n,) class codes; groups: (n,) codes; `folds` parts of one repeat. The
    factor squared is 1.08 + rho nu. rho is the share of the variance of the groups' right answers that goes with their
    margins; nu the share of the margins' variance that other training groups would change. The probes of two repeats
    differ in 1 / folds of their groups, hence nu is `folds` times the variance between repeats. One repeat shows none
    of it, and all of the margins' variance is then taken to be of training, which is nearly so where a text has more
    dimensions than there are texts.
    """
    right, ahead = (_by_group(values, groups) for values in (credit(scores, y), margins(scores, y)))
    right, mean = right.mean(-2), ahead.mean(-2)
    rho = _share((right * mean).sum(-1) ** 2, (right**2).sum(-1) * (mean**2).sum(-1))
    repeats = ahead.shape[-2]
    if repeats < 2:
        return np.sqrt(1 + _FURTHER + rho)
    between = ahead.var(-2, ddof=1).sum(-1)
    # The mean over repeats has lost a part of what differs between them.
    whole = (mean**2).sum(-1) + between * (1 - 1 / repeats)
    return np.sqrt(1 + _FURTHER + rho * _share(folds * between, whole))


def _by_group(values: Floats, groups: Ints) -> Floats:
    """Return values (..., n), less their mean, summed over the items of each group (..., G), less the mean of these."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sums = np.add.reduceat((values - values.mean(-1, keepdims=True))[..., order], starts, axis=-1)
    centred: Floats = sums - sums.mean(-1, keepdims=True)
    return centred


def _share(part: Floats, whole: Floats) -> Floats:
    """Return a part of a whole, at most 1; 0 of nothing."""
    share: Floats = np.divide(part, whole, out=np.zeros_like(whole), where=whole > ROUNDING)
    return np.minimum(share, 1.0)
