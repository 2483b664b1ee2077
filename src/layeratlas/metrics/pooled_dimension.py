"""The intrinsic dimension of tokens of all passages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.metrics._contract import SetMetric, Signal
from layeratlas.metrics._neighbours import two_nn


class PooledDimension(SetMetric):
    """TwoNN intrinsic dimension over a few tokens of every passage together (Facco et al. 2017)."""

    summary = "intrinsic dimension of tokens pooled over passages (TwoNN)"
    reads = "tokens"
    signals = (Signal("pooled_dimension", "Intrinsic dimension, pooled", "dimensions", "geometry", bounds=(0, np.inf)),)

    def measure(self, vectors: FloatArray, seed: int = 0) -> Mapping[str, Floats]:
        """Return the signal, (L+1,)."""
        found = []
        for layer in range(vectors.shape[2]):
            x = vectors[:, :, layer].reshape(-1, vectors.shape[3]).astype(np.float64)
            x -= x.mean(0)
            found.append(two_nn(x @ x.T))
        return {"pooled_dimension": np.array(found)}


PLUGIN = PooledDimension()
