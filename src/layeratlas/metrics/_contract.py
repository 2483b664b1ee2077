"""The interface of a metric: its input and its output."""

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
from layeratlas.metrics._kernels import cka_map, unit_kernel, von_neumann

GROUPS = ("attention", "geometry", "information", "prediction", "views")


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One number per layer: its code, its name in words, unit, bounds, and null value (NaN if there is none).

    `axis` says what a layer is: `point` (L+1 of them, 0 = embeddings), `edge` (from point l to l+1, L of them, plotted
    at l+1) or `block` (L of them). `group` is a family of related signals. A `fused` signal takes part in the search
    for boundaries, as log(1 + x) if `log` is set.
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


@dataclass(frozen=True, kw_only=True)
class LensReadout:
    """The logit lens at some positions of a passage, each array (L+1, positions).

    `kl` is KL(final || lens) in nats, `entropy` the entropy of the lens in nats, `top` its most likely token.
    """

    kl: FloatArray
    entropy: FloatArray
    top: NDArray[np.int64]


@dataclass(frozen=True)
class Passage:
    """One passage in the model: residual stream (L+1, T, d) without position 0, float32.

    `attention` is (L, heads, T+1, T+1) with position 0, rows summing to at most 1, or None. `lens` may be None. `seed`
    determines the permutations that metrics draw.
    """

    states: FloatArray
    attention: FloatArray | None = None
    lens: LensReadout | None = None
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


class Metric(ABC):
    """Signals of one passage.

    `needs` names the field of a passage that the metric reads: `states` (always given), `attention` or `lens`. Values
    are stored per passage, so that a bootstrap over passages needs no forward pass.
    """

    summary: str = ""
    signals: tuple[Signal, ...] = ()
    needs: Literal["states", "attention", "lens"] = "states"

    @abstractmethod
    def measure(self, passage: Passage) -> Mapping[str, Floats]:
        """Return, by signal name, (L+1,) for points and (L,) for edges and blocks."""


class SetMetric(ABC):
    """Signals of a set of passages.

    `reads` names the vectors: `means` (the mean state of each passage), `tokens` (a few single tokens of each) or
    `views` (the mean states of noisy copies of each).
    """

    summary: str = ""
    signals: tuple[Signal, ...] = ()
    reads: Literal["means", "tokens", "views"] = "means"

    @abstractmethod
    def measure(self, vectors: FloatArray, seed: int = 0) -> Mapping[str, Floats]:
        """Return, by signal name, (L+1,); `vectors` is float32 (passages, vectors of a passage, L+1, d)."""
