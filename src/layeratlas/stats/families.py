"""Family and size: shares of the variance over models, with exact permutation tests.

Families differ in tokenizer, data, width and more at once, so the result is an association.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial, prod
from typing import NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ALPHA

# Up to this many assignments are enumerated; beyond it, they are sampled.
_MOST = 20_000
_SAMPLED = 9_999


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The share of a quantity's variance over models that family and log10 parameters explain.

    - `family`, `size`: partial R², each given the other; `omega2`: the bias-corrected share of family (type II sums
      of squares, may be below 0);
    - `p`: permutation test of `family` over the `assignments` of models to families (all, or a sample); `p_all`:
      corrected for all quantities together; `smallest`: the smallest p possible with these models;
    - `lo`, `hi`: the smallest and largest partial R² of family with one model left out (NaN with too few models).
    """

    family: float
    size: float
    omega2: float
    p: float
    p_all: float
    smallest: float
    assignments: int
    lo: float
    hi: float


def variance_parts(y: Floats, families: Sequence[str], log_size: Floats, seed: int = 0) -> list[Parts]:
    """Return the variance shares for each column of y (M, Q), for M models.

    Empty if there are too few models: at least two families of two models each, and one more model, are needed. Each
    permutation assigns models to families in all columns at once, and `p_all` uses the largest value over columns
    (Westfall and Young 1993).
    """
    counts = Counter(families)
    if len(counts) < 2 or min(counts.values()) < 2 or len(y) < len(counts) + 2 or not np.isfinite(y).all():
        return []
    names = np.array(families)
    explained = _explained(y, names, log_size)
    null = np.stack([_explained(y, assigned, log_size).family for assigned in _assignments(names, seed)])
    left_out = np.stack([_without(y, names, log_size, model) for model in range(len(y))])
    sampled = int(_count(counts) > _MOST)  # a sample must add the observed assignment
    parts = []
    for column, observed in enumerate(explained.family):
        known = left_out[np.isfinite(left_out[:, column]), column]
        single = (null[:, column] >= observed - 1e-9).sum()
        largest = (null.max(1) >= observed - 1e-9).sum()
        parts.append(
            Parts(
                family=float(observed),
                size=float(explained.size[column]),
                omega2=float(explained.omega2[column]),
                p=float(sampled + single) / (sampled + len(null)),
                p_all=float(sampled + largest) / (sampled + len(null)),
                smallest=_smallest_p(counts, len(null)),
                assignments=len(null),
                lo=float(known.min()) if len(known) else float("nan"),
                hi=float(known.max()) if len(known) else float("nan"),
            )
        )
    return parts


def least_partial(families: int, models: int) -> float:
    """Return the partial R² of family, given size, at which an F test over `models` models has p = 0.05."""
    between, within = families - 1, models - families - 1
    critical = scipy.stats.f.ppf(1 - ALPHA, between, within)
    return float(between * critical / (between * critical + within))


def _smallest_p(counts: Counter[str], assignments: int) -> float:
    """Return the smallest possible p; families of equal sizes can swap their names without changing the statistic."""
    if _count(counts) > _MOST:
        return 1 / (1 + assignments)
    return prod(factorial(equal) for equal in Counter(counts.values()).values()) / _count(counts)


class _Explained(NamedTuple):
    """Partial R² of family and of size, and omega² of family, each (Q,)."""

    family: Floats
    size: Floats
    omega2: Floats


def _without(y: Floats, names: NDArray[np.str_], log_size: Floats, model: int) -> Floats:
    """Return the partial R² of family (Q,) without one model; NaN if too few are left."""
    rest = np.arange(len(y)) != model
    families = len(set(names[rest]))
    if families < 2 or rest.sum() < families + 2:
        return np.full(y.shape[1], np.nan)
    return _explained(y[rest], names[rest], log_size[rest]).family


def _explained(y: Floats, names: NDArray[np.str_], log_size: Floats) -> _Explained:
    ones = np.ones((len(y), 1))
    family = (names[:, None] == np.unique(names)[None]).astype(float)
    size = (log_size - log_size.mean())[:, None]
    both, only_size, only_family = (
        _rest(y, np.concatenate(design, 1)) for design in ((ones, family, size), (ones, size), (ones, family))
    )
    total = ((y - y.mean(0)) ** 2).sum(0)
    df = family.shape[1] - 1
    error = both / max(len(y) - df - 2, 1)
    omega2: Floats = (only_size - both - df * error) / np.maximum(total + error, 1e-300)
    return _Explained(_share(only_size, both), _share(only_family, both), omega2)


def _share(reduced: Floats, full: Floats) -> Floats:
    """Return the share of the reduced model's error that the full model explains."""
    share: Floats = np.where(reduced > 1e-12, (reduced - full) / np.maximum(reduced, 1e-12), 0.0)
    return share


def _rest(y: Floats, x: Floats) -> Floats:
    """Return the residual sums of squares of y (M, Q) on x, which may be rank deficient."""
    u, values, _ = np.linalg.svd(x, full_matrices=False)
    basis = u[:, values > 1e-10 * values[0]]
    rest: Floats = (y**2).sum(0) - ((basis.T @ y) ** 2).sum(0)
    return np.maximum(rest, 0.0)


def _count(counts: Counter[str]) -> int:
    """Return the number of assignments of models to families of these sizes."""
    return factorial(sum(counts.values())) // prod(factorial(n) for n in counts.values())


def _assignments(names: NDArray[np.str_], seed: int) -> Iterator[NDArray[np.str_]]:
    """Yield every assignment of models to families of the same sizes; a random sample if there are too many."""
    counts = Counter(names.tolist())
    if _count(counts) > _MOST:
        rng = np.random.default_rng([seed, 43])
        for _ in range(_SAMPLED):
            yield rng.permutation(names)
        return
    labels = sorted(counts)

    def fill(assigned: NDArray[np.str_], free: tuple[int, ...], rest: list[str]) -> Iterator[NDArray[np.str_]]:
        if not rest:
            yield assigned.copy()
            return
        for chosen in combinations(free, counts[rest[0]]):
            assigned[list(chosen)] = rest[0]
            yield from fill(assigned, tuple(i for i in free if i not in chosen), rest[1:])

    yield from fill(names.copy(), tuple(range(len(names))), labels)
