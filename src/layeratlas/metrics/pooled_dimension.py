"""The intrinsic dimension of tokens pooled over all passages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.metrics._contract import SetMetric, Signal
from layeratlas.metrics._neighbours import two_nn


class PooledDimension(SetMetric):
    """TwoNN intrinsic dimension of a few tokens per passage, pooled over passages (Facco et al. 2017)."""

    summary = "intrinsic dimension of tokens pooled over passages (TwoNN)"
    reads = "tokens"
    signals = (
        Signal(
            name="pooled_dimension",
            title="Intrinsic dimension, pooled",
            unit="dimensions",
            group="geometry",
            bounds=(0, np.inf),
        ),
    )

    def measure(self, vectors: FloatArray, seed: int = 0) -> Mapping[str, Floats]:
        """Return the signal, (L+1,)."""
        dimensions = []
        for layer in range(vectors.shape[2]):
            x = vectors[:, :, layer].reshape(-1, vectors.shape[3]).astype(np.float64)
            x -= x.mean(0)
            dimensions.append(two_nn(x @ x.T))
        return {"pooled_dimension": np.array(dimensions)}


PLUGIN = PooledDimension()
