"""The intrinsic dimension of a passage's states."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.metrics._contract import Metric, Passage, Signal
from layeratlas.metrics._neighbours import two_nn


class Dimension(Metric):
    """TwoNN intrinsic dimension: (T - 1) / sum_t log(r2_t / r1_t), over the tokens of one passage.

    r1 and r2 are a token's distances to its two nearest tokens (Facco et al. 2017, Scientific Reports 7, 12140). No
    unit, above 0; a few hundred points underestimate dimensions above about 20. Tokens with the same state (a repeated
    word, at the embeddings) count once.
    """

    summary = "intrinsic dimension of a passage's states (TwoNN)"
    signals = (
        Signal(
            name="intrinsic_dimension",
            title="Intrinsic dimension",
            unit="dimensions",
            group="geometry",
            bounds=(0, np.inf),
            fused=True,
        ),
    )

    def measure(self, passage: Passage) -> Mapping[str, Floats]:
        """Return the signal, (L+1,)."""
        return {"intrinsic_dimension": np.array([two_nn(gram) for gram in passage.gram])}


PLUGIN = Dimension()
