"""Family against size: variance parts with exact permutation tests, and the spread of boundaries beside its nulls.

Families differ in tokenizer, data, width and more at once: what is found is an association.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial, prod

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats
from layeratlas.stats.segmentation import two_boundaries

_MOST = 20_000
_SAMPLED = 9_999
_SETS = 400
_AT_ONCE = 5


@dataclass(frozen=True)
class Parts:
    """How much of a quantity's variance over models goes with family and with log10 parameters.

    `family`, `size`: partial R2 given the other; `omega2`: of family (type II, may be below 0). `p`: exact permutation
    test over the `assignments` of models to families (all, or as many drawn), `p_all` corrected for the quantities
    looked at together; `smallest`: the smallest p that so many models allow. `lo, hi`: the least and the most partial
    R2 of family with one model left out.
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
    """Return the parts of each column of y (M, Q), M models.

    Empty where there are too few models: two of each of two families, and one to spare. Models are assigned to
    families in all columns at once, so that `p_all` is corrected for the largest of them (Westfall and Young 1993).
    """
    counts = Counter(families)
    if len(counts) < 2 or min(counts.values()) < 2 or len(y) < len(counts) + 2 or not np.isfinite(y).all():
        return []
    names = np.array(families)
    family, size, omega2 = _parts(y, names, log_size)
    stats = np.stack([_parts(y, one, log_size)[0] for one in _assignments(names, seed)])
    count = _count(counts)
    exact = int(count > _MOST)  # a sample of assignments counts the one that is there
    alike = prod(factorial(n) for n in Counter(counts.values()).values())
    smallest = 1 / (1 + len(stats)) if exact else alike / count
    spare = np.stack([_without(y, names, log_size, i) for i in range(len(y))])
    out = []
    for q in range(y.shape[1]):
        hits = (stats[:, q] >= family[q] - 1e-9).sum(), (stats.max(1) >= family[q] - 1e-9).sum()
        p, p_all = (float(exact + n) / (exact + len(stats)) for n in hits)
        known = spare[np.isfinite(spare[:, q]), q]
        ends = (float(known.min()), float(known.max())) if len(known) else (float("nan"),) * 2
        part = float(family[q]), float(size[q]), float(omega2[q])
        out.append(Parts(*part, p, p_all, smallest, len(stats), *ends))
    return out


def _without(y: Floats, names: NDArray[np.str_], log_size: Floats, i: int) -> Floats:
    rest = np.arange(len(y)) != i
    left = len(set(names[rest]))
    if left < 2 or rest.sum() < left + 2:
        return np.full(y.shape[1], np.nan)
    return _parts(y[rest], names[rest], log_size[rest])[0]


def _parts(y: Floats, names: NDArray[np.str_], log_size: Floats) -> tuple[Floats, Floats, Floats]:
    """Return partial R2 of family and of size, and omega2 of family, each (Q,)."""
    ones = np.ones((len(y), 1))
    groups = (names[:, None] == np.unique(names)[None]).astype(float)
    size = (log_size - log_size.mean())[:, None]
    full, only_size, only_family = (
        _rest(y, np.concatenate(part, 1)) for part in ((ones, groups, size), (ones, size), (ones, groups))
    )
    total = ((y - y.mean(0)) ** 2).sum(0)
    df = groups.shape[1] - 1
    error = full / max(len(y) - df - 2, 1)
    omega2: Floats = (only_size - full - df * error) / np.maximum(total + error, 1e-300)
    return _share(only_size, full), _share(only_family, full), omega2


def _share(reduced: Floats, full: Floats) -> Floats:
    share: Floats = np.where(reduced > 1e-12, (reduced - full) / np.maximum(reduced, 1e-12), 0.0)
    return share


def _rest(y: Floats, x: Floats) -> Floats:
    """Return the residual sums of squares of y (M, Q) on x, which may be rank deficient."""
    u, values, _ = np.linalg.svd(x, full_matrices=False)
    basis = u[:, values > 1e-10 * values[0]]
    rest: Floats = (y**2).sum(0) - ((basis.T @ y) ** 2).sum(0)
    return np.maximum(rest, 0.0)


def _count(counts: Counter[str]) -> int:
    return factorial(sum(counts.values())) // prod(factorial(n) for n in counts.values())


def _assignments(names: NDArray[np.str_], seed: int) -> Iterator[NDArray[np.str_]]:
    """Yield every assignment of models to families of the same sizes; a random sample where they are too many."""
    counts = Counter(names.tolist())
    if _count(counts) > _MOST:
        rng = np.random.default_rng([seed, 43])
        for _ in range(_SAMPLED):
            yield rng.permutation(names)
        return
    labels = sorted(counts)

    def fill(made: NDArray[np.str_], free: tuple[int, ...], rest: list[str]) -> Iterator[NDArray[np.str_]]:
        if not rest:
            yield made.copy()
            return
        for chosen in combinations(free, counts[rest[0]]):
            made[list(chosen)] = rest[0]
            yield from fill(made, tuple(i for i in free if i not in chosen), rest[1:])

    yield from fill(names.copy(), tuple(range(len(names))), labels)


@dataclass(frozen=True)
class Spread:
    """The coefficient of variation (ddof = 1) of a family's boundary, as relative depth, beside three nulls.

    `ramp`, `white`, `random` hold the 5th, 50th and 95th percentile of the CV where models of the same numbers of
    blocks show a smooth ramp with 5 % noise or white noise in each of four signals, or are cut at random.
    """

    cv: float
    sd: float
    ramp: tuple[float, float, float]
    white: tuple[float, float, float]
    random: tuple[float, float, float]

    @property
    def stable(self) -> bool:
        """Whether the CV is below the 5th percentile of the boundary-free signal's and of random cuts'."""
        return self.cv < min(self.ramp[0], self.random[0])

    @property
    def variable(self) -> bool:
        """Whether the CV is within what random cuts give, and beyond the 95th percentile of the ramp's."""
        return self.cv > self.ramp[2] and self.cv >= self.random[0]


def spread_of(cuts: Floats, blocks: Sequence[int], seed: int = 0, signals: int = 4) -> list[Spread]:
    """Return the spread of both boundaries, cuts (M, 2) as fractions of depth, of models with so many blocks.

    `signals` is how many signals the nulls have; the segments study fuses four.
    """
    rng = np.random.default_rng([seed, 47])
    nulls = {name: _null(name, blocks, signals, rng) for name in ("ramp", "white", "random")}
    out = []
    for i in (0, 1):
        bands = {}
        for name, made in nulls.items():
            low, middle, high = np.percentile(_cv(made[..., i]), [5, 50, 95])
            bands[name] = (float(low), float(middle), float(high))
        out.append(Spread(float(_cv(cuts[None, :, i])[0]), float(cuts[:, i].std(ddof=1)), **bands))
    return out


def _cv(values: Floats) -> Floats:
    found: Floats = values.std(-1, ddof=1) / values.mean(-1)
    return found


def _null(name: str, blocks: Sequence[int], signals: int, rng: np.random.Generator) -> Floats:
    """Return cuts (sets, M, 2), as fractions of depth, of models without boundaries."""
    made = []
    for layers in blocks:
        if name == "random":
            made.append(np.sort(rng.random((_SETS, 2)), axis=1))
            continue
        trend, noise = (np.linspace(0, 1, layers), 0.05) if name == "ramp" else (np.zeros(layers), 1.0)
        made.append(_boundaries_of(trend + noise * rng.standard_normal((_SETS, signals, layers))) / layers)
    return np.stack(made, 1)


def _boundaries_of(signals: Floats) -> Floats:
    """Return the two boundaries (N, 2), in blocks, of sets of signals (N, S, L)."""
    # A few sets at a time, so that their cost matrices stay in the processor's cache.
    parts = np.array_split(signals, max(1, len(signals) // _AT_ONCE))
    return np.concatenate([two_boundaries(part)[0] for part in parts]).astype(float)
