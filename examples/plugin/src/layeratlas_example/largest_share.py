"""A metric of the segments study: how much of a state is in its largest coordinate."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.metrics import Metric, Passage, Signal


class LargestShare(Metric):
    """`largest_share`: the mean over tokens of max_i r_i^2 / |r|^2, between 1/d and 1."""

    summary = "share of a state's squared length in its largest coordinate"
    signals = (
        Signal(
            name="largest_share", title="Share of the largest coordinate", unit="share", group="geometry", bounds=(0, 1)
        ),
    )

    def measure(self, passage: Passage) -> Mapping[str, Floats]:
        """Return the signal, (L+1,)."""
        squares = passage.states.astype(np.float64) ** 2
        return {"largest_share": (squares.max(-1) / np.maximum(squares.sum(-1), 1e-30)).mean(1)}


PLUGIN = LargestShare()
