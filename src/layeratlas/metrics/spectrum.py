"""How many directions the tokens of a passage take up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.metrics._contract import Metric, Passage, Signal


class Spectrum(Metric):
    """Entropy of the spectrum of a passage's states.

    Rows are centred and scaled to length 1; S = -sum p log p over the eigenvalues p of their Gram matrix, which sum to
    1 (Skean et al. 2025, arXiv 2502.02013, with alpha = 1; their code also sets negative inner products to 0, which
    this does not).

    - `prompt_entropy`: S / log min(T, d), from 0 (one direction) to 1.
    - `effective_rank`: exp(S), from 1 to min(T, d): of the eigenvalues, as Skean et al. have it. Roy and Vetterli
      (2007) take the entropy of the singular values of the states, scaled to sum to 1. Those are the roots of the
      eigenvalues, which are more even, so that their effective rank is the larger one (equal where all are alike).
    """

    summary = "prompt entropy and effective rank of a passage's states"
    signals = (
        Signal("prompt_entropy", "Prompt entropy", "of the maximum", "information", bounds=(0, 1), fused=True),
        Signal("effective_rank", "Effective rank", "directions", "information", bounds=(1, np.inf)),
    )

    def measure(self, passage: Passage) -> Mapping[str, Floats]:
        """Return both signals, (L+1,) each."""
        most = np.log(min(passage.states.shape[1:]))
        return {"prompt_entropy": passage.entropy / most, "effective_rank": np.exp(passage.entropy)}


PLUGIN = Spectrum()
