"""P-values from a few label shuffles, with a resolution finer than 1 / (1 + S).

The rank among S shuffles gives no p-value below 1 / (1 + S). With 40 shuffles, such p-values never pass a correction
over a report of 140 findings. The exact rank is used if p is above that value. Below it, p is predicted from the
distribution of the shuffles, so that no uncorrected verdict at 0.05 depends on a model of the tail.
"""

from __future__ import annotations

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ALPHA, ROUNDING
from layeratlas.stats.tests import rank_p

# Lower bound of predictions: no correction needs less, and the tail is unknown beyond it.
LEAST = 1e-6


def shuffle_maxima(estimate: Floats, shuffles: Floats) -> Floats:
    """Return the largest z-score over P layers of a curve (P,) and of its S shuffles (S, P), (1 + S,).

    Each row is standardised by the centre (by layer) and the spread (pooled over layers) of the other rows. All rows
    are treated alike, so under the null they are exchangeable, and a strong signal does not widen its own spread.
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

    If a shuffle is as large, p is the rank among the shuffles. Otherwise it is at most 1 / (1 + S), as given by
    `predicted_tail`.
    """
    shuffles = len(null)
    rank = rank_p(observed, null)
    least = 1 / (1 + shuffles)
    if rank > least or least > ALPHA:
        return rank
    return min(rank, max(predicted_tail(observed, null), LEAST))


def predicted_tail(observed: float, null: Floats) -> float:
    """Return the probability of a maximum of at least `observed` after the S maxima `null` (S,) of z-scores.

    A maximum of k independent z-scores has the distribution function F^k, where F is that of one score. Dependent
    scores act like fewer independent ones, so k is estimated. -log F of a maximum is exponential with rate k; given S
    maxima, the next one exceeds `observed` with probability 1 - (1 + e / sum(e_s))^-S, with e = -log F (the predictive
    Lomax distribution). F is Student's t with S - 1 degrees of freedom, the fewest that a spread estimated from S
    shuffles can have, which is conservative.
    """
    shuffles = len(null)
    before, seen = (-np.log1p(-scipy.special.stdtr(shuffles - 1, -maxima)) for maxima in (null, observed))
    return float(-np.expm1(-shuffles * np.log1p(seen / before.sum())))
