"""Distance and spread of attention."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.metrics._contract import Metric, Passage, Signal


class Attention(Metric):
    """Distance and entropy of attention; mean over heads and over the positions t >= 2.

    The first position is an attention sink (Xiao et al. 2023, arXiv 2309.17453). It is left out as a query and as a
    key, and the rest of each row is scaled to sum to 1: a_ti over i = 1..t.

    - `attention_distance`: sum_i a_ti (t - i) / ((t - 1) / 2); 0 for attention to the token itself, 1 for uniform
      attention, at most 2.
    - `attention_entropy`: -sum_i a_ti log a_ti / log t; from 0 (one key) to 1 (uniform).

    A row with all its weight on the first position is left out of the mean.
    """

    summary = "attention distance and entropy, without the first position"
    needs = "attention"
    signals = (
        Signal(
            name="attention_distance",
            title="Attention distance",
            unit="of uniform",
            group="attention",
            axis="block",
            bounds=(0, 2),
            null=1,
            fused=True,
        ),
        Signal(
            name="attention_entropy",
            title="Attention entropy",
            unit="of uniform",
            group="attention",
            axis="block",
            bounds=(0, 1),
            null=1,
            fused=True,
        ),
    )

    def measure(self, passage: Passage) -> Mapping[str, Floats]:
        """Return both signals, (L,) each."""
        assert passage.attention is not None
        both = np.array([_one_layer(maps) for maps in passage.attention])
        return {"attention_distance": both[:, 0], "attention_entropy": both[:, 1]}


def _one_layer(maps: FloatArray) -> tuple[float, float]:
    inner = np.maximum(maps[:, 1:, 1:].astype(np.float64), 0)  # queries and keys t, i = 1..T
    size = inner.shape[-1]
    mass = inner.sum(-1)
    rows = np.divide(inner, mass[..., None], out=np.zeros_like(inner), where=mass[..., None] > 1e-12)
    t = np.arange(1, size + 1)
    far = t - rows @ t.astype(float)
    spread = -(rows * np.log(np.where(rows > 0, rows, 1.0))).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance, entropy = far / ((t - 1) / 2), spread / np.log(t)
    kept = (mass > 1e-12) & (t >= 2)
    if not kept.any():
        return np.nan, np.nan
    return float(distance[kept].mean()), float(entropy[kept].mean())


PLUGIN = Attention()
