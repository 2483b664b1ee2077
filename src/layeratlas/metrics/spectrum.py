"""The effective number of directions that the tokens of a passage span."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.metrics._contract import Metric, Passage, Signal


class Spectrum(Metric):
    """Entropy of the spectrum of a passage's states.

    Rows are centred and scaled to length 1; S = -sum p log p over the eigenvalues p of their Gram matrix, which sum to
    1 (Skean et al. 2025, arXiv 2502.02013, with alpha = 1; their code also sets negative inner products to 0; this code
    does not).

    - `prompt_entropy`: S / log min(T, d), from 0 (one direction) to 1.
    - `effective_rank`: exp(S), from 1 to min(T, d), of the eigenvalues, as in Skean et al. Roy and Vetterli (2007) use
      the singular values of the states instead, scaled to sum to 1. These are the square roots of the eigenvalues and
      more even, so that their effective rank is larger (equal if all values are equal).
    """

    summary = "prompt entropy and effective rank of a passage's states"
    signals = (
        Signal(
            name="prompt_entropy",
            title="Prompt entropy",
            unit="of the maximum",
            group="information",
            bounds=(0, 1),
            fused=True,
        ),
        Signal(
            name="effective_rank",
            title="Effective rank",
            unit="directions",
            group="information",
            bounds=(1, np.inf),
        ),
    )

    def measure(self, passage: Passage) -> Mapping[str, Floats]:
        """Return both signals, (L+1,) each."""
        most = np.log(min(passage.states.shape[1:]))
        return {"prompt_entropy": passage.entropy / most, "effective_rank": np.exp(passage.entropy)}


PLUGIN = Spectrum()
