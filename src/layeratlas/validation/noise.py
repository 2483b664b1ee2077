"""Noise with the correlation between a model's layers."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats

POINTS = 30
# Correlation between the noise of neighbouring layers.
_PERSISTENCE = 0.7


def layer_noise(rng: np.random.Generator, *shape: int) -> Floats:
    """Return normal noise, correlated along the last axis as neighbouring layers are."""
    noise = rng.standard_normal(shape)
    for layer in range(1, shape[-1]):
        noise[..., layer] = _PERSISTENCE * noise[..., layer - 1] + np.sqrt(1 - _PERSISTENCE**2) * noise[..., layer]
    return noise
