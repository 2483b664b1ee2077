"""Similarity of the arrangement of tokens at two layers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.metrics._contract import Metric, Passage, Signal


class Similarity(Metric):
    """Debiased linear CKA between layers.

    CKA(X, Y) = HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)) with the unbiased HSIC of Song et al. (2012) on linear kernels
    (Kornblith et al. 2019; Nguyen et al. 2021). 1 for the same states up to rotation and scale; 0 on average for
    unrelated states, where it can be negative. The signal `cka_step` is 1 - CKA(r_l, r_(l+1)).
    """

    summary = "debiased linear CKA between neighbouring layers"
    signals = (
        Signal(
            name="cka_step",
            title="CKA step",
            unit="1 − CKA",
            group="geometry",
            axis="edge",
            bounds=(0, 2),
            null=1,
            fused=True,
        ),
    )

    def measure(self, passage: Passage) -> Mapping[str, Floats]:
        """Return the signal, (L,)."""
        return {"cka_step": 1 - np.diagonal(passage.similarity, offset=1)}


PLUGIN = Similarity()
