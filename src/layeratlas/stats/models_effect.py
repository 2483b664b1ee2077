"""The random effect of a model: the deviation of its value from what its size predicts.

With one model per size, it can be estimated only from the spread of models about a smooth dependence on size, pooled
over the available families. A variance from a few models is uncertain, so it is moderated (Smyth 2004): it is averaged
with a prior value, which counts as `_PRIOR_FREEDOM` degrees of freedom, and intervals use Student's t with the sum of
both degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.stats.shapes import line_projection, step_place, step_projection

# The prior: models of one size differ by three points of accuracy (standard deviation), with the weight of this many
# degrees of freedom.
_PRIOR_SPREAD, _PRIOR_FREEDOM = 0.03, 3


class ModelEffect(NamedTuple):
    """The variance of the random effect of a model, and the degrees of freedom that it was estimated with."""

    variance: float
    freedom: float


class SizedValues(NamedTuple):
    """The values (S,) of one family at S sizes, log10 of the parameters, and the covariance of the items' noise."""

    log_size: Floats
    values: Floats
    covariance: Floats


def model_effect(families: Iterable[SizedValues]) -> ModelEffect:
    """Return the random effect, from the spread of each family's values about their dependence on size.

    In each family the dependence is a line in log parameters or one step, whichever fits better. The noise of the items
    is subtracted from the residuals. A family of two sizes contributes nothing.
    """
    total, freedom = _PRIOR_FREEDOM * _PRIOR_SPREAD**2, float(_PRIOR_FREEDOM)
    for family in families:
        count = len(family.values)
        if count < 3:
            continue
        rest = min(_beyond_noise(projection, family) for projection in _shapes(family))
        total += max(rest, 0.0)
        freedom += count - 3
    return ModelEffect(variance=total / freedom, freedom=freedom)


def _shapes(family: SizedValues) -> tuple[Floats, Floats]:
    return line_projection(family.log_size), step_projection(len(family.values), step_place(family.values))


def _beyond_noise(projection: Floats, family: SizedValues) -> float:
    """Return the sum of squared residuals about a shape, minus its expectation from the noise of the items."""
    away = np.eye(len(projection)) - projection
    return float(((away @ family.values) ** 2).sum() - np.trace(away @ family.covariance))


def t_critical(effect: ModelEffect, share: float) -> float:
    """Return the 97.5th percentile of Student's t if models cause `share` of a variance (Satterthwaite)."""
    return float(scipy.stats.t.ppf(0.975, freedom_of(effect, share)))


def freedom_of(effect: ModelEffect, share: float) -> float:
    """Return the degrees of freedom of a variance of which models cause `share`, and the rest is known."""
    return effect.freedom / max(share, 1e-6) ** 2
