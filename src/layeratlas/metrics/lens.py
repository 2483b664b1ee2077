"""The logit lens: the prediction read out at a layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.metrics._contract import Metric, Passage, Signal


class LogitLens(Metric):
    """The logit lens: p_l = softmax(unembedding(final norm(r_l))) of the residual stream at point l.

    Mean over a few positions of the passage (nostalgebraist 2020).

    - `lens_divergence`: KL(p_L || p_l), nats; 0 at the last point.
    - `lens_entropy`: the entropy of p_l, nats.
    - `settled`: the share of positions whose most likely token stays the final one from point l on; 1 at the last
      point. The settle depth of a position is the first such point as a fraction of depth, and its mean is
      1 - (sum of `settled` over the points 0 to L-1) / L.
    """

    summary = "logit lens: divergence from the final prediction, entropy, share of settled tokens"
    needs = "lens"
    signals = (
        Signal(
            name="lens_divergence",
            title="Lens divergence",
            unit="nats",
            group="prediction",
            bounds=(0, np.inf),
            fused=True,
            log=True,
        ),
        Signal(name="lens_entropy", title="Lens entropy", unit="nats", group="prediction", bounds=(0, np.inf)),
        Signal(name="settled", title="Settled tokens", unit="share", group="prediction", bounds=(0, 1)),
    )

    def measure(self, passage: Passage) -> Mapping[str, Floats]:
        """Return the signals, (L+1,) each."""
        assert passage.lens is not None
        lens = passage.lens
        same = lens.top == lens.top[-1]
        stays = np.flip(np.logical_and.accumulate(np.flip(same, 0), 0), 0)
        return {
            "lens_divergence": lens.kl.mean(1, dtype=np.float64),
            "lens_entropy": lens.entropy.mean(1, dtype=np.float64),
            "settled": stays.mean(1),
        }


def settle_depth(settled: Floats) -> Floats:
    """Return the mean settle depth, a fraction of depth, from `settled` (..., L+1)."""
    blocks = settled.shape[-1] - 1
    depth: Floats = 1 - settled[..., :-1].sum(-1) / blocks
    return depth


PLUGIN = LogitLens()
