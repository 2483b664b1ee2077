"""Similarity between two models' representations of the same texts at each pair of layers: debiased linear CKA.

Every level of texts is centred and weighted separately, so CKA measures how texts of one kind differ, not that
documents differ from single words, which holds in every model. There is no test or verdict: models with random weights
that read the same tokens are similar too, more so at equal depths, and no permutation of texts or layers reproduces
this. The estimator is that of Song et al. (2012) and Nguyen et al. (arXiv 2010.15327). It is debiased: unrelated
vectors have a CKA of 0, whatever their width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ROUNDING

# Levels with fewer texts are left out.
FEWEST = 8


@dataclass(frozen=True)
class Grams:
    """One model's texts: inner products of each level, (G, n_t, n_t) at G depths, levels weighted equally."""

    blocks: tuple[Floats, ...]


def grams(vectors: NDArray[np.floating[Any]], levels: NDArray[np.int64]) -> Grams:
    """Return the inner products of vectors (G, n, d) within each level (n,); levels with under 8 texts are left out.

    Each level is scaled to a mean squared distance of 1 from its mean, unless all its vectors are equal.
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
    """Return U-centred products (G, n, n), scaled so that the inner product of two is the unbiased HSIC times n."""
    n = block.shape[-1]
    k = block * (1 - np.eye(n))
    rows = k.sum(-1)
    k -= (rows[..., None] + rows[..., None, :]) / (n - 2)
    k += (rows.sum(-1) / ((n - 1) * (n - 2)))[..., None, None]
    k *= 1 - np.eye(n)
    centred: Floats = k / np.sqrt(n - 3)
    return centred


def cka(a: Grams, b: Grams) -> Floats:
    """Return the CKA (G, G) of two models on the same texts, the first's depths in rows; NaN if one is constant."""
    x, y = _flat(a), _flat(b)
    size = np.sqrt(np.outer((x * x).sum(1), (y * y).sum(1)))
    with np.errstate(invalid="ignore", divide="ignore"):
        similarity: Floats = np.where(size > ROUNDING, (x @ y.T) / size, np.nan)
    return similarity


def _flat(model: Grams) -> Floats:
    """Return the U-centred products of all levels, flattened into one row per depth, (G, F)."""
    return np.concatenate([_centred(block).reshape(len(block), -1) for block in model.blocks], 1)
