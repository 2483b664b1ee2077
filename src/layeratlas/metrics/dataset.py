"""The effective number of directions that the passages of a set span."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.metrics._contract import SetMetric, Signal
from layeratlas.metrics._kernels import vector_kernel, von_neumann


class DatasetEntropy(SetMetric):
    """Spectral entropy of the passages' mean states: like `prompt_entropy`, with passages instead of tokens.

    S / log min(n, d), 0 to 1 (Skean et al. 2025, arXiv 2502.02013).
    """

    summary = "entropy of the spectrum of the passages' mean states"
    reads = "means"
    signals = (
        Signal(
            name="dataset_entropy",
            title="Dataset entropy",
            unit="of the maximum",
            group="information",
            bounds=(0, 1),
        ),
    )

    def measure(self, vectors: FloatArray, seed: int = 0) -> Mapping[str, Floats]:
        """Return the signal, (L+1,)."""
        kernel = np.stack([vector_kernel(vectors[:, 0, layer]) for layer in range(vectors.shape[2])])
        return {"dataset_entropy": von_neumann(kernel) / np.log(min(len(vectors), vectors.shape[-1]))}


PLUGIN = DatasetEntropy()
