"""Norm and anisotropy of the states, and size and influence of a block's update."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.metrics._contract import Metric, Passage, Signal


class SizeAndDirection(Metric):
    """Norm, update size, block influence and anisotropy.

    - `norm`: the mean over tokens of |r_t|, in units of the residual stream.
    - `update_size`: the mean over tokens of |r_(l+1),t - r_l,t| / |r_l,t|; 0 for a block that does nothing.
    - `block_influence`: the mean over tokens of 1 - cos(r_l,t, r_(l+1),t), 0 to 2; the rule by which ShortGPT leaves
      out blocks (Men et al. 2024, arXiv 2403.03853).
    - `anisotropy`: the mean cosine over pairs of different tokens, -1/(T-1) to 1; 0 where directions are spread evenly
      (Ethayarajh 2019).
    """

    summary = "norm, relative size of a block's update, block influence (1 - cosine), anisotropy (mean cosine)"
    signals = (
        Signal(name="norm", title="Norm", unit="length", group="geometry", bounds=(0, np.inf)),
        Signal(
            name="update_size",
            title="Update size",
            unit="of the norm",
            group="geometry",
            axis="edge",
            bounds=(0, np.inf),
        ),
        Signal(
            name="block_influence",
            title="Block influence",
            unit="1 - cosine",
            group="geometry",
            axis="edge",
            bounds=(0, 2),
        ),
        Signal(name="anisotropy", title="Anisotropy", unit="mean cosine", group="geometry", bounds=(-1, 1), null=0),
    )

    def measure(self, passage: Passage) -> Mapping[str, Floats]:
        """Return the signals: (L+1,), (L,), (L,), (L+1,)."""
        x = passage.states
        length = np.linalg.norm(x, axis=-1).astype(np.float64)
        step = np.linalg.norm(np.diff(x, axis=0), axis=-1).astype(np.float64)
        unit = x / np.maximum(length, 1e-30)[..., None]
        kept = (length > 0).sum(1)
        cosine = np.einsum("ltd,ltd->lt", unit[:-1], unit[1:], dtype=np.float64)
        together = (unit.sum(1, dtype=np.float64) ** 2).sum(-1)
        return {
            "norm": length.mean(1),
            "update_size": (step / np.maximum(length[:-1], 1e-30)).mean(1),
            "block_influence": np.clip(1 - cosine, 0, 2).mean(1),
            "anisotropy": (together - kept) / (kept * (kept - 1)),
        }


PLUGIN = SizeAndDirection()
