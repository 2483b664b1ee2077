"""How many directions the passages of a set take up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.metrics._contract import SetMetric, Signal, unit_kernel, von_neumann


class DatasetEntropy(SetMetric):
    """Entropy of the spectrum of the passages' mean states, as `prompt_entropy` over passages instead of tokens.

    S / log min(n, d), 0 to 1 (Skean et al. 2025, arXiv 2502.02013).
    """

    summary = "entropy of the spectrum of the passages' mean states"
    reads = "means"
    signals = (Signal("dataset_entropy", "Dataset entropy", "of the maximum", "information", bounds=(0, 1)),)

    def measure(self, vectors: FloatArray, seed: int = 0) -> Mapping[str, Floats]:
        """Return the signal, (L+1,)."""
        kernel = np.stack([kernel_of(vectors[:, 0, layer]) for layer in range(vectors.shape[2])])
        return {"dataset_entropy": von_neumann(kernel) / np.log(min(len(vectors), vectors.shape[-1]))}


def kernel_of(vectors: FloatArray) -> Floats:
    """Return the kernel (n, n) of vectors (n, d): centred, scaled to length 1, trace 1."""
    x = vectors.astype(np.float64)
    x -= x.mean(0)
    return unit_kernel(x @ x.T)


PLUGIN = DatasetEntropy()
