"""Gram matrices: normalised kernels, the entropy of their spectrum, and centred kernel alignment."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats


def unit_kernel(gram: Floats) -> Floats:
    """Return Gram matrices (..., n, n) of vectors scaled to length 1, divided by n; a zero vector stays zero."""
    length = np.sqrt(np.maximum(np.einsum("...ii->...i", gram), 0))
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 1e-12 * length.max(-1, keepdims=True))
    kernel: Floats = gram * scale[..., :, None] * scale[..., None, :] / gram.shape[-1]
    return kernel


def vector_kernel(vectors: FloatArray) -> Floats:
    """Return the kernel (n, n) of vectors (n, d): centred, scaled to length 1, trace 1."""
    x = vectors.astype(np.float64)
    x -= x.mean(0)
    return unit_kernel(x @ x.T)


def von_neumann(kernel: Floats) -> Floats:
    """Return -sum(p log p) over the eigenvalues p of kernels (..., n, n), scaled to sum to 1; nats."""
    values = np.maximum(np.linalg.eigvalsh(kernel), 0)
    values /= np.maximum(values.sum(-1, keepdims=True), 1e-300)
    entropy: Floats = -(values * np.log(np.where(values > 0, values, 1.0))).sum(-1)
    return entropy


def excess_information(a: Floats, b: Floats, seed: int, permutations: int = 1) -> Floats:
    """Return the mean over permutations of S(a o permuted b) - S(a o b), for kernels (..., n, n); nats."""
    draw, n = np.random.default_rng(seed), a.shape[-1]
    permuted = []
    for _ in range(permutations):
        order = draw.permutation(n)
        permuted.append(von_neumann(n * a * b[..., order[:, None], order[None, :]]))
    excess: Floats = np.mean(permuted, 0) - von_neumann(n * a * b)
    return excess


def cka_map(gram: Floats) -> Floats:
    """Return the debiased linear CKA of every pair of layers, (P, P), from Gram matrices (P, n, n), n > 3.

    NaN for a layer without variance. HSIC estimator: Song et al. (2012); debiased CKA: Nguyen et al. (2021).
    """
    flat = _u_centred(gram).reshape(len(gram), -1)
    hsic = flat @ flat.T
    both = np.outer(np.diag(hsic), np.diag(hsic))
    with np.errstate(invalid="ignore", divide="ignore"):
        cka: Floats = np.where(both > 0, hsic / np.sqrt(np.maximum(both, 0)), np.nan)
    return cka


def _u_centred(gram: Floats) -> Floats:
    """Return U-centred matrices: their inner product is the unbiased HSIC times n (n - 3)."""
    n = gram.shape[-1]
    off = gram * (1 - np.eye(n))
    rows = off.sum(-1)
    total = rows.sum(-1)[..., None, None]
    u: Floats = off - (rows[..., :, None] + rows[..., None, :]) / (n - 2) + total / ((n - 1) * (n - 2))
    return u * (1 - np.eye(n))
