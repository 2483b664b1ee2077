"""Do two models represent the same texts alike, layer by layer? Debiased linear CKA, its null and its interval.

Every level of texts is centred and weighed by itself, so that what counts is how texts of one kind differ, not that
any model tells documents from single words. The estimator is that of Song et al. (2012) and Nguyen et al.
(arXiv 2010.15327): unbiased, so that unrelated vectors have a CKA of 0 however wide they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats
from layeratlas.stats.verdicts import Verdict

FEWEST = 8
_SHUFFLES, _PARTS = 99, 10
_FAR = 0.25
# A diagonal that stands out by less than this share of the similarity is no hierarchy to speak of.
_SHARE = 0.1
# Where shuffled texts stay below this, a CKA like theirs is a small one.
_FAINT = 0.1
_Z95 = 1.959964


@dataclass(frozen=True)
class Grams:
    """One model's texts: inner products of each level, (G, n_t, n_t) at G depths, levels weighed alike."""

    blocks: tuple[Floats, ...]


def grams(vectors: NDArray[np.floating[Any]], levels: NDArray[np.int64]) -> Grams:
    """Return the inner products of vectors (G, n, d) within each level (n,); levels of under 8 texts are left out.

    Each level's mean squared distance from its mean is made 1, unless its vectors are all equal.
    """
    blocks = []
    for level in np.unique(levels):
        mine = vectors[:, levels == level].astype(np.float64)
        if mine.shape[1] < FEWEST:
            continue
        size = (mine**2).sum((1, 2))
        mine = mine - mine.mean(1, keepdims=True)
        power = (mine**2).sum(-1).mean(-1)
        alive = power * mine.shape[1] > 1e-10 * size
        scale = np.where(alive, 1 / np.maximum(power, 1e-300), 0.0)
        blocks.append(mine @ mine.transpose(0, 2, 1) * scale[:, None, None])
    return Grams(tuple(blocks))


def _centred(block: Floats) -> Floats:
    """Return U-centred products (G, n, n), divided so that the inner product of two is the unbiased HSIC times n."""
    n = block.shape[-1]
    k = block * (1 - np.eye(n))
    rows = k.sum(-1)
    k -= (rows[..., None] + rows[..., None, :]) / (n - 2)
    k += (rows.sum(-1) / ((n - 1) * (n - 2)))[..., None, None]
    k *= 1 - np.eye(n)
    out: Floats = k / np.sqrt(n - 3)
    return out


def _flat(found: Grams, kept: Sequence[NDArray[np.int64]] | None = None) -> Floats:
    """Return (G, F): the U-centred products of all levels in one row a depth, of the texts kept."""
    parts = []
    for i, block in enumerate(found.blocks):
        mine = block if kept is None else block[:, kept[i][:, None], kept[i]]
        if mine.shape[-1] >= 4:
            parts.append(_centred(mine).reshape(len(block), -1))
    return np.concatenate(parts, 1)


def _cka(a: Floats, b: Floats) -> Floats:
    own = np.sqrt(np.outer((a * a).sum(1), (b * b).sum(1)))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(own > 1e-12, (a @ b.T) / own, np.nan)
    return found


@dataclass(frozen=True)
class Alignment:
    """How alike two models are at G equal relative depths.

    `cka` (G, G): rows are depths of the first model. `diagonal` is its mean at equal depths, `null` that of shuffled
    texts (mean, 95th percentile), `p` one-sided. `climb`: the diagonal less the mean at depths a quarter or more
    apart, both without what each layer shares with all of the other model's; `lo, hi` its 95 % interval (jackknife
    over tenths of the groups).
    """

    cka: Floats
    diagonal: float
    null: tuple[float, float]
    p: float
    climb: float
    lo: float
    hi: float

    @property
    def verdict(self) -> Verdict:
        """Whether the models climb the same hierarchy: alike, and more so at equal depths than at distant ones."""
        if self.p > 0.05:
            return "not supported" if self.null[1] < _FAINT else "inconclusive"
        least = _SHARE * self.diagonal
        return "supported" if self.lo > least else "not supported" if self.hi < least else "inconclusive"


@dataclass(frozen=True)
class Texts:
    """Which level and which group each of n texts belongs to, as codes (n,)."""

    levels: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def rows(self) -> list[NDArray[np.int64]]:
        """The texts of each level that is large enough."""
        whole = [np.flatnonzero(self.levels == level) for level in np.unique(self.levels)]
        return [rows for rows in whole if len(rows) >= FEWEST]

    def parts(self, rng: np.random.Generator) -> list[list[NDArray[np.int64]]]:
        """Return, for each tenth of the groups, the texts of each level that stay when it is left out."""
        names, codes = np.unique(self.groups, return_inverse=True)
        fold = (rng.permutation(len(names)) % _PARTS)[codes]
        return [[np.flatnonzero(fold[rows] != f) for rows in self.rows] for f in range(min(_PARTS, len(names)))]


def alignments(
    models: Sequence[Grams], texts: Texts, depths: Floats, seed: int = 0
) -> dict[tuple[int, int], Alignment]:
    """Return the alignment of every pair of models, whose products are of these texts at these depths (G,)."""
    rng = np.random.default_rng([seed, 53])
    kept = texts.parts(rng)
    whole = [_flat(model) for model in models]
    parts = [[_flat(model, one) for one in kept] for model in models]
    null = _shuffled(models, whole, rng)
    far = np.abs(depths[:, None] - depths[None]) >= _FAR
    out = {}
    for i in range(len(models)):
        for j in range(i + 1, len(models)):
            cka = _cka(whole[i], whole[j])
            rest = np.array([_climb(_cka(a, b), far) for a, b in zip(parts[i], parts[j], strict=True)])
            out[i, j] = _alignment(cka, null[:, i, j], rest, far)
    return out


def _alignment(cka: Floats, null: Floats, rest: Floats, far: NDArray[np.bool_]) -> Alignment:
    diagonal, climb, count = float(np.nanmean(np.diag(cka))), _climb(cka, far), len(rest)
    reach = _Z95 * float(np.sqrt((count - 1) / count * ((rest - rest.mean()) ** 2).sum()))
    p = (1 + float((null >= diagonal).sum())) / (1 + len(null))
    band = float(null.mean()), float(np.percentile(null, 95))
    return Alignment(cka, diagonal, band, p, climb, climb - reach, climb + reach)


def _climb(cka: Floats, far: NDArray[np.bool_]) -> float:
    """Return the diagonal less what is far from it, without what each layer has in common with all of the other's.

    That part is the best fit of one number a layer, row times column: middle layers that are like everything, and ends
    that are like nothing, make a diagonal without any order.
    """
    left, size, right = np.linalg.svd(np.nan_to_num(cka))
    rest = cka - size[0] * np.outer(left[:, 0], right[0])
    return float(np.nanmean(np.diag(rest)) - np.nanmean(rest[far]))


def _shuffled(models: Sequence[Grams], whole: Sequence[Floats], rng: np.random.Generator) -> Floats:
    """Return mean diagonals (shuffles, M, M) with one model's texts in random order within each level."""
    unit = []
    for flat in whole:
        size = np.sqrt((flat * flat).sum(1, keepdims=True))
        unit.append(np.where(size > 1e-6, flat / np.maximum(size, 1e-6), np.nan).astype(np.float32))
    fixed = np.stack(unit, 1)  # (G, M, F)
    depths, count, _ = fixed.shape
    squares, first = [], 0
    for block in models[0].blocks:
        n = block.shape[-1]
        squares.append(fixed[:, :, first : first + n * n].reshape(depths * count, n, n))
        first += n * n
    means = []
    for _ in range(_SHUFFLES):
        orders = [rng.permutation(square.shape[-1]) for square in squares]
        mixed = [k[:, o[:, None], o].reshape(depths, count, -1) for k, o in zip(squares, orders, strict=True)]
        means.append(np.nanmean(fixed @ np.concatenate(mixed, -1).transpose(0, 2, 1), 0))
    return np.array(means, np.float64)
