"""Mutual information of the states before and after a block."""

from __future__ import annotations

from collections.abc import Mapping

from layeratlas.core.arrays import Floats
from layeratlas.metrics._contract import Metric, Passage, Signal
from layeratlas.metrics._kernels import excess_information


class MutualInformation(Metric):
    """Matrix mutual information between neighbouring layers, minus that of permuted pairs; nats.

    I = S(K) + S(K') - S(K o K'), with K the Gram matrix of centred states of length 1, o the product entry by entry and
    S the entropy of the spectrum (Giraldo et al. 2014; alpha = 1). For few tokens in many dimensions
    I is large even for unrelated states, so the value with the tokens of one side permuted is subtracted:
    S(K o K'_permuted) - S(K o K'), on average 0 for unrelated states. One permutation per passage, shared by its edges,
    the same in every run.
    """

    summary = "matrix mutual information between neighbouring layers, permuted pairs subtracted"
    signals = (
        Signal(
            name="matrix_information",
            title="Mutual information",
            unit="nats",
            group="information",
            axis="edge",
            null=0,
            fused=True,
        ),
    )

    def measure(self, passage: Passage) -> Mapping[str, Floats]:
        """Return the signal, (L,)."""
        kernel = passage.kernel
        return {"matrix_information": excess_information(kernel[:-1], kernel[1:], passage.seed)}


PLUGIN = MutualInformation()
