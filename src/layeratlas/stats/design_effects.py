"""What the answers of groups say about their design effect, and the interval of a share that follows.

The design effect D is the variance of a share of right answers divided by that of independent answers (Kish 1965):
1 + (m - 1) rho, if the m answers of a group correlate by rho. From few groups or few wrong answers it is hardly known:
one wrong answer always gives the estimate 1. An interval that takes the estimate for the truth is then too sure. So D
is integrated out, with the prior 1 / D of a scale (Jeffreys 1961), and what is outside 1 to m counts as the nearer end.
Where neither end matters this gives Student's t, and where each group is one item it gives Wilson's interval.

The likelihood of an estimated D is that of beta-binomial groups (Skellam 1948) with the accuracy under test, given the
share that was seen. The condition matters near 0 and 1: groups that fail by bad luck look more alike than they are. The
moments under it are those of exponentially tilted groups (the saddlepoint, Daniels 1954), and the density is a gamma
with the same mean and variance. The groups' model decides how sure D is. It moves neither the estimate nor, with many
groups, the width.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy

from layeratlas.core.arrays import Floats, Ints

# The tables of moments: logits of the accuracies under test and seen, correlations (denser near 0), tilts. Larger
# groups have nearly the correlations of 64 answers.
_LOGITS = np.linspace(-6.5, 6.5, 27)
_KNOTS = np.linspace(0, 1, 15) ** 2
_TILTS = 16 * np.sinh(np.linspace(-7, 7, 161)) / np.sinh(7)
_LARGEST = 64
# The correlations over which D is integrated, as positions between the knots, and their steps.
_PLACES = (np.arange(96) + 0.5) / 96
_CORRELATIONS, _STEPS = _PLACES**2, 2 * _PLACES / len(_PLACES)
# Candidates for the effective D are at most this factor from its estimate.
_CANDIDATES, _FURTHEST = 17, 100.0
_TINY = 1e-6


class Effective(NamedTuple):
    """Effective numbers of items and of groups: those of equal weight that would have the same variance (Kish 1965)."""

    items: float
    groups: float


class Shares(NamedTuple):
    """Shares (P,), their estimated design effects (P,), what they are of, and further factors (P,) of their errors."""

    seen: Floats
    design: Floats
    of: Effective
    times: Floats


def effective(weights: Floats, groups: Ints) -> Effective:
    """Return the effective numbers for items with weights (n,) in groups (n,): 1 / sum of squared shares of weight."""
    shares = weights / weights.sum()
    return Effective(1 / float((shares**2).sum()), 1 / float((np.bincount(groups, shares) ** 2).sum()))


def credit_factor(credit: Floats) -> Floats:
    """Return the factor (...) by which errors of mean credit (..., n), 0 to 1 per item, are smaller than a share's.

    It is 1 for items that are right or wrong, and smaller if ties share credit or several repeats are averaged.
    """
    mean = credit.mean(-1)
    whole = mean * (1 - mean)
    return np.sqrt(np.where(whole > _TINY, credit.var(-1) / np.where(whole > _TINY, whole, 1), 1))


def classes_factor(credit: Floats, y: Floats) -> Floats:
    """Return the factor (...) by which errors of a balanced accuracy are smaller than those of a share equal to it.

    `credit` (..., n), 0 to 1 per item; `y` (n,), class codes. Accuracies that differ between classes do not add to the
    error, because each class has a fixed weight. A class without errors is not known to have none: each is taken with
    two right answers and two wrong ones more (Agresti and Coull 1998). At most 1.
    """
    classes = [credit[..., y == code] for code in np.unique(y)]
    means = np.stack([right.mean(-1) for right in classes], -1)
    n = np.array([right.shape[-1] for right in classes])
    more = (means * n + 2) / (n + 4)
    whole = means.mean(-1) * (1 - means.mean(-1))
    within = (more * (1 - more)) @ (1 / n) / (1 / n).sum()
    return np.sqrt(np.where(within < whole, within / np.maximum(whole, _TINY), 1))


def wilson(share: Floats, n: Floats | float, z: float) -> tuple[Floats, Floats]:
    """Return Wilson's (1927) interval of shares (...) of n independent items, z standard errors wide."""
    ratio = z**2 / n
    centre = (share + ratio / 2) / (1 + ratio)
    reach = np.sqrt(ratio * share * (1 - share) + ratio**2 / 4) / (1 + ratio)
    return centre - reach, centre + reach


def integrated_wilson(shares: Shares, z: float) -> tuple[Floats, Floats]:
    """Return the interval of shares, lo and hi each (P,): Wilson's with the design effect integrated out.

    At each end the tail beyond the estimate, averaged over what the groups say about D, is that of z standard errors.
    """
    size = max(shares.of.items / shares.of.groups, 1.0)
    if size < 1 + _TINY:
        return wilson(shares.seen, shares.of.items / shares.times**2, z)
    least = np.clip(shares.design / _FURTHEST, 1, size)
    most = np.clip(shares.design * _FURTHEST, np.minimum(_FURTHEST, size), size)
    effects = least * (most / least) ** np.linspace(0, 1, _CANDIDATES)[:, None]
    ends = wilson(shares.seen, shares.of.items / (effects * shares.times**2), z)
    low, high = (_crossing(np.abs(_deviates(truth, shares, size)), truth, z) for truth in ends)
    return low, high


def _crossing(deviates: Floats, truth: Floats, z: float) -> Floats:
    """Return the truth (P,) of candidates (C, P) at which their deviates, which increase, reach z."""
    rising = np.maximum.accumulate(deviates, axis=0)
    return np.array([np.interp(z, *pair) for pair in zip(rising.T, truth.T, strict=True)])


def _deviates(truth: Floats, shares: Shares, size: float) -> Floats:
    """Return the normal deviates (C, P) of what was seen, for truths (C, P), averaged over D."""
    truth = np.clip(truth, _TINY, 1 - _TINY)
    items, groups = shares.of
    correlation, excess = _moments_at(truth, shares.seen, size)
    mean = 1 + (size - 1) * correlation
    mean = mean * items / np.maximum(items - mean, 1)
    shape = 1 / (2 / max(groups - 1, _TINY) + np.maximum(excess, -2) / groups)
    ratio = np.maximum(shares.design, 0.01)[:, None] / mean
    log = shape * np.log(shape * ratio) - scipy.special.gammaln(shape) - shape * ratio
    design = 1 + (size - 1) * _CORRELATIONS
    log = log + np.log((size - 1) * _STEPS / design)
    # Any D below 1 counts as 1, as negative components of variance do, and above m as m: closed forms of the gamma.
    below = scipy.special.gammaincc(shape[..., 0], (shape * ratio)[..., 0])
    above = scipy.special.gammainc(shape[..., -1], (shape * ratio)[..., -1])
    for end, beyond in ((0, below), (-1, above)):
        log[..., end] = np.logaddexp(log[..., end], np.log(np.maximum(beyond, 1e-300)))
    weights = np.exp(log - log.max(-1, keepdims=True))
    error = np.sqrt(truth * (1 - truth) / items) * shares.times
    tails = scipy.special.ndtr(-np.abs(shares.seen - truth)[..., None] / (error[..., None] * np.sqrt(design)))
    deviates: Floats = scipy.special.ndtri((weights * tails).sum(-1) / weights.sum(-1))
    return deviates


def _moments_at(truth: Floats, seen: Floats, size: float) -> tuple[Floats, Floats]:
    """Return the moments of groups for truths (C, P) and shares (P,), at the correlations of the integral (C, P, K)."""
    at = (_steps(truth, _LOGITS), _steps(np.broadcast_to(seen, truth.shape), _LOGITS))
    knots = np.minimum((_PLACES * (len(_KNOTS) - 1)).astype(int), len(_KNOTS) - 2)
    part = _PLACES * (len(_KNOTS) - 1) - knots
    values = []
    for table in _moments(min(int(np.ceil(size - _TINY)), _LARGEST)):
        (i, x), (j, y) = at
        below = (1 - y) * table[i, j] + y * table[i, j + 1]
        above = (1 - y) * table[i + 1, j] + y * table[i + 1, j + 1]
        coarse = (1 - x) * below + x * above
        values.append(coarse[..., knots] * (1 - part) + coarse[..., knots + 1] * part)
    return np.clip(values[0] * _CORRELATIONS, 0, 1), values[1]


def _steps(shares: Floats, logits: Floats) -> tuple[Ints, Floats]:
    """Return the entries of a table below the logits of shares (...), and the way to the next ones, (..., 1)."""
    at = (scipy.special.logit(np.clip(shares, _TINY, 1 - _TINY)) - logits[0]) / (logits[1] - logits[0])
    at = np.clip(at, 0, len(logits) - 1 - _TINY)
    return at.astype(int), (at % 1)[..., None]


@lru_cache(maxsize=64)
def _moments(size: int) -> tuple[Floats, Floats]:
    """Return moments of groups of `size` answers, each (truth, seen, knot).

    The groups are beta-binomial with the accuracy `truth` and the knot's correlation, tilted to the mean `seen`. The
    moments are their correlation then, as a multiple of the knot's, and their kurtosis less the squared skewness.
    """
    count, shape = np.arange(size + 1.0), (len(_LOGITS), len(_LOGITS), len(_KNOTS))
    times, excess = np.ones(shape), np.full(shape, -2 / size)  # binomial at correlation 0
    excess[..., -1] = -2  # all or nothing at correlation 1
    total = (1 / _KNOTS[1:-1] - 1)[:, None, None]
    ways = -scipy.special.betaln(count + 1, size - count + 1)
    for i, share in enumerate(scipy.special.expit(_LOGITS)):
        a, b = share * total, (1 - share) * total
        mass = ways + scipy.special.betaln(count + a, size - count + b) + _TILTS[:, None] * count
        mass = np.exp(mass - mass.max(-1, keepdims=True))
        mass /= mass.sum(-1, keepdims=True)
        mean = mass @ count
        centred = count - mean[..., None]
        second, third, fourth = ((mass * centred**power).sum(-1) for power in (2, 3, 4))
        alike = (second * size / (mean * (size - mean)) - 1) / max(size - 1, 1)
        beyond = fourth / second**2 - 3 - third**2 / second**3
        for k in range(len(total)):
            logits = scipy.special.logit(mean[k] / size)
            times[i, :, k + 1] = np.interp(_LOGITS, logits, alike[k]) / _KNOTS[k + 1]
            excess[i, :, k + 1] = np.interp(_LOGITS, logits, beyond[k])
    times[..., 0] = times[..., 1]
    return times, np.maximum(excess, -2)
