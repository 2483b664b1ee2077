"""What a metric is given and what it promises."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import FloatArray, Floats

GROUPS = ("attention", "geometry", "information", "prediction", "views")


@dataclass(frozen=True)
class Signal:
    """One number per layer: its name, unit, bounds, and the value that stands for nothing (`null`, else nan).

    `axis` says what a layer is: `point` (L+1 of them, 0 = embeddings), `edge` (from point l to l+1, L of them, drawn at
    l+1) or `block` (L of them). `group` is a family of related signals. A `fused` signal takes part in the search for
    boundaries, as its logarithm log(1 + x) where `log` is set.
    """

    name: str
    title: str
    unit: str
    group: str
    axis: Literal["point", "edge", "block"] = "point"
    bounds: tuple[float, float] = (-math.inf, math.inf)
    null: float = math.nan
    fused: bool = False
    log: bool = False


@dataclass(frozen=True)
class Lens:
    """The logit lens at some positions of a passage, each array (L+1, positions).

    `kl` is KL(final || lens) in nats, `entropy` that of the lens in nats, `top` its most likely token.
    """

    kl: FloatArray
    entropy: FloatArray
    top: NDArray[np.int64]


@dataclass(frozen=True)
class Passage:
    """One passage in the model: residual stream (L+1, T, d) without position 0, float32.

    `attention` is (L, heads, T+1, T+1) with position 0, rows summing to at most 1, or None. `lens` may be None.
    `seed` decides the permutations that metrics make.
    """

    states: FloatArray
    attention: FloatArray | None = None
    lens: Lens | None = None
    seed: int = 0

    @cached_property
    def gram(self) -> Floats:
        """Inner products of the centred states, (L+1, T, T)."""
        x = self.states.astype(np.float64)
        x -= x.mean(1, keepdims=True)
        product: Floats = x @ x.transpose(0, 2, 1)
        return product

    @cached_property
    def kernel(self) -> Floats:
        """The Gram matrix of the centred states scaled to length 1, divided by T: trace 1, (L+1, T, T)."""
        return unit_kernel(self.gram)

    @cached_property
    def similarity(self) -> Floats:
        """The debiased linear CKA of every pair of points, (L+1, L+1)."""
        return cka_map(self.gram)

    @cached_property
    def entropy(self) -> Floats:
        """The von Neumann entropy of `kernel` in nats, (L+1,)."""
        return von_neumann(self.kernel)


def unit_kernel(gram: Floats) -> Floats:
    """Return Gram matrices (..., n, n) of vectors scaled to length 1, divided by n; a zero vector stays zero."""
    length = np.sqrt(np.maximum(np.einsum("...ii->...i", gram), 0))
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 1e-12 * length.max(-1, keepdims=True))
    kernel: Floats = gram * scale[..., :, None] * scale[..., None, :] / gram.shape[-1]
    return kernel


def von_neumann(kernel: Floats) -> Floats:
    """Return -sum(p log p) over the eigenvalues p of kernels (..., n, n), scaled to sum to 1; nats."""
    values = np.maximum(np.linalg.eigvalsh(kernel), 0)
    values /= np.maximum(values.sum(-1, keepdims=True), 1e-300)
    entropy: Floats = -(values * np.log(np.where(values > 0, values, 1.0))).sum(-1)
    return entropy


def cka_map(gram: Floats) -> Floats:
    """Return the debiased linear CKA of every pair of layers, (P, P), from Gram matrices (P, n, n), n > 3.

    A layer without any variance has no similarity: nan.
    """
    flat = _u_centred(gram).reshape(len(gram), -1)
    hsic = flat @ flat.T
    both = np.outer(np.diag(hsic), np.diag(hsic))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(both > 0, hsic / np.sqrt(np.maximum(both, 0)), np.nan)
    return found


def _u_centred(gram: Floats) -> Floats:
    """Return U-centred matrices: their inner product is the unbiased HSIC times n (n - 3)."""
    n = gram.shape[-1]
    off = gram * (1 - np.eye(n))
    rows = off.sum(-1)
    total = rows.sum(-1)[..., None, None]
    u: Floats = off - (rows[..., :, None] + rows[..., None, :]) / (n - 2) + total / ((n - 1) * (n - 2))
    return u * (1 - np.eye(n))


class Metric(ABC):
    """Signals of one passage.

    `needs` names what must be there: `states` (always is), `attention` or `lens`. Passage-level values are kept, so
    that a bootstrap over passages costs nothing.
    """

    summary: str = ""
    signals: tuple[Signal, ...] = ()
    needs: Literal["states", "attention", "lens"] = "states"

    @abstractmethod
    def measure(self, passage: Passage) -> Mapping[str, Floats]:
        """Return, by signal name, (L+1,) for points and (L,) for edges and blocks."""


class SetMetric(ABC):
    """Signals of a set of passages.

    `reads` says of what: `means` (the mean state of each passage), `tokens` (a few single tokens of each) or `views`
    (the mean states of noisy copies of each).
    """

    summary: str = ""
    signals: tuple[Signal, ...] = ()
    reads: Literal["means", "tokens", "views"] = "means"

    @abstractmethod
    def measure(self, vectors: FloatArray, seed: int = 0) -> Mapping[str, Floats]:
        """Return, by signal name, (L+1,); `vectors` is float32 (passages, vectors of a passage, L+1, d)."""
