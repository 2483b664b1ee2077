"""Whether two models represent the same texts alike, layer by layer: debiased linear CKA, its null and its interval.

Every level of texts is centred and weighted by itself, so that what counts is how texts of one kind differ, not that
documents differ from single words in every model. The estimator is that of Song et al. (2012) and Nguyen et al.
(arXiv 2010.15327): unbiased, so that unrelated vectors have a CKA of 0 however wide they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ALPHA, ROUNDING, Z95
from layeratlas.stats.jackknife import jackknife_error
from layeratlas.stats.verdicts import Effect, Verdict

# A level of fewer texts is left out.
FEWEST = 8
# Shuffles of the null, and parts of the groups that the jackknife leaves out in turn.
_SHUFFLES, _PARTS = 99, 10
# Depths at least this far apart are distant.
_FAR = 0.25
# A diagonal that leads by less than this share of the similarity counts as no hierarchy.
_SHARE = 0.1
# Where the CKA of shuffled texts stays below this, one like it is small.
_FAINT = 0.1


@dataclass(frozen=True)
class Grams:
    """One model's texts: inner products of each level, (G, n_t, n_t) at G depths, levels weighted equally."""

    blocks: tuple[Floats, ...]


def grams(vectors: NDArray[np.floating[Any]], levels: NDArray[np.int64]) -> Grams:
    """Return the inner products of vectors (G, n, d) within each level (n,); levels of under 8 texts are left out.

    Each level's mean squared distance from its mean is made 1, unless its vectors are all equal.
    """
    blocks = []
    for level in np.unique(levels):
        x = vectors[:, levels == level].astype(np.float64)
        if x.shape[1] < FEWEST:
            continue
        size = (x**2).sum((1, 2))
        x = x - x.mean(1, keepdims=True)
        power = (x**2).sum(-1).mean(-1)
        varies = power * x.shape[1] > 1e-10 * size
        scale = np.where(varies, 1 / np.maximum(power, 1e-300), 0.0)
        blocks.append(x @ x.transpose(0, 2, 1) * scale[:, None, None])
    return Grams(tuple(blocks))


def _centred(block: Floats) -> Floats:
    """Return U-centred products (G, n, n), divided so that the inner product of two is the unbiased HSIC times n."""
    n = block.shape[-1]
    k = block * (1 - np.eye(n))
    rows = k.sum(-1)
    k -= (rows[..., None] + rows[..., None, :]) / (n - 2)
    k += (rows.sum(-1) / ((n - 1) * (n - 2)))[..., None, None]
    k *= 1 - np.eye(n)
    centred: Floats = k / np.sqrt(n - 3)
    return centred


def _flat(model: Grams, kept: Sequence[NDArray[np.int64]] | None = None) -> Floats:
    """Return (G, F): the U-centred products of all levels in one row per depth, of the texts kept."""
    parts = []
    for i, block in enumerate(model.blocks):
        products = block if kept is None else block[:, kept[i][:, None], kept[i]]
        if products.shape[-1] >= 4:
            parts.append(_centred(products).reshape(len(block), -1))
    return np.concatenate(parts, 1)


def _cka(a: Floats, b: Floats) -> Floats:
    """Return the CKA (G, G) of two models' flat products; NaN where a layer does not vary."""
    size = np.sqrt(np.outer((a * a).sum(1), (b * b).sum(1)))
    with np.errstate(invalid="ignore", divide="ignore"):
        cka: Floats = np.where(size > ROUNDING, (a @ b.T) / size, np.nan)
    return cka


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """How alike two models are at G equal relative depths.

    - `cka` (G, G): rows are depths of the first model; `diagonal` is its mean at equal depths;
    - `null_mean`, `null_95`: mean and 95th percentile of the diagonal of shuffled texts; `p`, one-sided;
    - `lead`: the diagonal less the mean at depths a quarter or more apart, both without what each layer shares with
      all of the other model's; `lo`, `hi` its 95 % interval (jackknife over tenths of the groups).
    """

    cka: Floats
    diagonal: float
    null_mean: float
    null_95: float
    p: float
    lead: float
    lo: float
    hi: float

    @property
    def verdict(self) -> Verdict:
        """Whether the models share a hierarchy: similar, and more so at equal depths than at distant ones."""
        if self.p > ALPHA:
            return "not supported" if self.null_95 < _FAINT else "inconclusive"
        return Effect(estimate=self.lead, lo=self.lo, hi=self.hi).verdict(null=_SHARE * self.diagonal)


@dataclass(frozen=True)
class Texts:
    """Which level and which group each of n texts belongs to, as codes (n,)."""

    levels: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def rows(self) -> list[NDArray[np.int64]]:
        """The texts of each level that is large enough."""
        levels = [np.flatnonzero(self.levels == level) for level in np.unique(self.levels)]
        return [rows for rows in levels if len(rows) >= FEWEST]

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
    parts = [[_flat(model, texts_left) for texts_left in kept] for model in models]
    null = _shuffled(models, whole, rng)
    far = np.abs(depths[:, None] - depths[None]) >= _FAR
    aligned = {}
    for i in range(len(models)):
        for j in range(i + 1, len(models)):
            cka = _cka(whole[i], whole[j])
            left_out = np.array([_lead(_cka(a, b), far) for a, b in zip(parts[i], parts[j], strict=True)])
            aligned[i, j] = _alignment(cka, null[:, i, j], left_out, far)
    return aligned


def _alignment(cka: Floats, null: Floats, left_out: Floats, far: NDArray[np.bool_]) -> Alignment:
    """Return the alignment of a pair, with diagonals (S,) of shuffled texts and leads (k,) with one part left out."""
    diagonal, lead = float(np.nanmean(np.diag(cka))), _lead(cka, far)
    reach = Z95 * float(jackknife_error(left_out))
    return Alignment(
        cka=cka,
        diagonal=diagonal,
        null_mean=float(null.mean()),
        null_95=float(np.percentile(null, 95)),
        p=(1 + float((null >= diagonal).sum())) / (1 + len(null)),
        lead=lead,
        lo=lead - reach,
        hi=lead + reach,
    )


def _lead(cka: Floats, far: NDArray[np.bool_]) -> float:
    """Return the diagonal less what is far from it, without what each layer has in common with all of the other's.

    That part is the best fit of one number per layer, row times column: middle layers that are similar to everything,
    and ends that are similar to nothing, make a diagonal without any order.
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
