"""How much the states before and after a block tell of each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.metrics._contract import Metric, Passage, Signal, von_neumann


class MutualInformation(Metric):
    """Matrix mutual information between neighbouring points, permuted pairs subtracted; nats.

    I = S(K) + S(K') - S(K o K'), with K the Gram matrix of centred states of length 1, o the product entry by entry and
    S the entropy of the spectrum (Giraldo et al. 2014; alpha = 1). Because few tokens in many dimensions always share
    much, the value with the tokens of one side permuted is subtracted: S(K o K'_permuted) - S(K o K'), on average 0 for
    unrelated states. One permutation a passage, shared by its edges, the same in every run.
    """

    summary = "matrix mutual information between neighbouring layers, permuted pairs subtracted"
    signals = (
        Signal("matrix_information", "Mutual information", "nats", "information", "edge", null=0, fused=True),
    )  # fmt: skip

    def measure(self, passage: Passage) -> Mapping[str, Floats]:
        """Return the signal, (L,)."""
        kernel = passage.kernel
        return {"matrix_information": excess_information(kernel[:-1], kernel[1:], passage.seed)}


def excess_information(a: Floats, b: Floats, seed: int, permutations: int = 1) -> Floats:
    """Return the mean over permutations of S(a o permuted b) - S(a o b), for kernels (..., n, n); nats."""
    draw, n = np.random.default_rng(seed), a.shape[-1]
    apart = []
    for _ in range(permutations):
        order = draw.permutation(n)
        apart.append(von_neumann(n * a * b[..., order[:, None], order[None, :]]))
    found: Floats = np.mean(apart, 0) - von_neumann(n * a * b)
    return found


PLUGIN = MutualInformation()
