"""P-values from a few label shuffles, finer than one shuffle among them.

S shuffles give no p-value below 1 / (1 + S), which a correction over a report of 140 findings would never pass at 40
shuffles. Up to that value p is the rank among the shuffles, which is exact. Below it, p is a prediction from the
shuffles' own distribution, so that no verdict at 0.05 without correction rests on a model of the tail.
"""

from __future__ import annotations

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ALPHA, ROUNDING

# No prediction goes below this: no correction over a report needs less, and no tail is known so far out.
LEAST = 1e-6


def shuffle_maxima(estimate: Floats, shuffles: Floats) -> Floats:
    """Return the largest z-score over P layers of a curve (P,) and of its S shuffles (S, P), (1 + S,).

    Each row's centre by layer and spread, pooled over layers, are those of the other rows: all rows are treated alike,
    so that under the null they are exchangeable, and a strong signal does not widen its own spread.
    """
    rows = np.concatenate([estimate[None], shuffles])
    others = len(rows) - 1
    centre = (rows.sum(0) - rows) / others
    squares = ((rows**2).sum(0) - rows**2) / others - centre**2
    spread = np.sqrt(np.maximum(squares.mean(1), 0.0) * (others + 1) / max(others - 1, 1)) + ROUNDING
    maxima: Floats = ((rows - centre) / spread[:, None]).max(1)
    return maxima


def shuffle_p(observed: float, null: Floats) -> float:
    """Return the p-value of a z-score, or a maximum of z-scores, from those of S shuffles (S,).

    Where a shuffle is as large, the rank among the shuffles. Where none is, at most 1 / (1 + S), and less as
    `predicted_tail` says.
    """
    shuffles = len(null)
    rank = (1 + int((null >= observed - ROUNDING).sum())) / (1 + shuffles)
    least = 1 / (1 + shuffles)
    if rank > least or least > ALPHA:
        return rank
    return min(rank, max(predicted_tail(observed, null), LEAST))


def predicted_tail(observed: float, null: Floats) -> float:
    """Return the probability of a maximum of at least `observed` after the S maxima `null` (S,) of z-scores.

    A maximum of k independent z-scores has the distribution function F^k, F that of one. Dependent ones act like fewer,
    and k is estimated: -log F of a maximum is exponential with rate k, so that the S maxima leave a probability of
    1 - (1 + e / sum(e_s))^-S for the next, e = -log F (the predictive, Lomax, distribution). F is Student's t with
    S - 1 degrees of freedom, the fewest that a spread estimated from S shuffles can have, and errs on the safe side.
    """
    shuffles = len(null)
    before, seen = (-np.log1p(-scipy.special.stdtr(shuffles - 1, -maxima)) for maxima in (null, observed))
    return float(-np.expm1(-shuffles * np.log1p(seen / before.sum())))
