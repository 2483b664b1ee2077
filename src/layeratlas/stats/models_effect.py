"""How far a model's value is from what its size gives: the random effect of the model, one model per size.

Nothing but the spread of models about a smooth dependence on size can tell it, pooled over the families at hand. A few
models estimate a variance badly, so that it is moderated (Smyth 2004): it is averaged with a prior value, which counts
as `_PRIOR_FREEDOM` degrees of freedom, and intervals use Student's t with the sum of both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.stats.shapes import line_projection, step_place, step_projection

# Models of one size differ by two points of accuracy in the prior: the smallest difference that matters.
_PRIOR_SPREAD, _PRIOR_FREEDOM = 0.03, 3


class ModelEffect(NamedTuple):
    """The variance of the random effect of a model, and the degrees of freedom that it was estimated with."""

    variance: float
    freedom: float


NO_EFFECT = ModelEffect(variance=0.0, freedom=float("inf"))


class SizedValues(NamedTuple):
    """The values (S,) of one family at S sizes, log10 of the parameters, and the covariance of the items' noise."""

    log_size: Floats
    values: Floats
    covariance: Floats


def model_effect(families: Iterable[SizedValues]) -> ModelEffect:
    """Return the random effect of the model from the spread of families about what their sizes give.

    In each family that is the better of a line in log parameters and one step; what the noise of the items leaves about
    it is subtracted. A family of two sizes has no spread.
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
    """Return the squared residuals about a shape, beyond those that the noise of the items leaves."""
    away = np.eye(len(projection)) - projection
    return float(((away @ family.values) ** 2).sum() - np.trace(away @ family.covariance))


def t_critical(effect: ModelEffect, share: float) -> float:
    """Return the 97.5th percentile of Student's t where `share` of a variance is that of models (Satterthwaite)."""
    return float(scipy.stats.t.ppf(0.975, freedom_of(effect, share)))


def freedom_of(effect: ModelEffect, share: float) -> float:
    """Return the degrees of freedom of a variance of which `share` is that of models, the rest known."""
    return effect.freedom / max(share, 1e-6) ** 2
