"""What an edit does to a model's predictions, token by token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats


@dataclass(frozen=True)
class Outcome:
    """Clean against edited predictions at n tokens, each (n,).

    `kl`: KL(clean || edited) in nats; `nll`: rise of the negative log-likelihood of the true next token in nats;
    `flips`: 1 where the most likely token changed, else 0; `jsd`: Jensen-Shannon divergence in nats, at most log 2,
    not a number where it was not asked for.
    """

    kl: Floats
    nll: Floats
    flips: Floats
    jsd: Floats


OUTCOMES = ("kl", "nll", "flips", "jsd")


class Reference:
    """A model's clean predictions at n tokens, against which edited ones are held.

    logits (n, V) of any float dtype; targets (n,) the true next tokens. Softmax and sums are in float64, so that
    divergences of 1e-10 nats, as tiny perturbations give, are more than rounding; equal logits give exactly 0.
    """

    def __init__(self, logits: NDArray[np.floating], targets: NDArray[np.int64]) -> None:  # type: ignore[type-arg]
        self._logp = log_softmax(logits)
        self._p = np.exp(self._logp)
        self._top = logits.argmax(-1)
        self._targets = targets

    def against(self, logits: NDArray[np.floating], jsd: bool = False) -> Outcome:  # type: ignore[type-arg]
        """Return what edited logits (n, V) are to the clean ones."""
        logq = log_softmax(logits)
        gap = self._logp - logq
        kl = np.einsum("nv,nv->n", self._p, gap)
        at = np.arange(len(gap)), self._targets
        share = self._jsd(logq) if jsd else np.full(len(gap), np.nan)
        # Rounding may leave a sum of both signs a hair below 0.
        return Outcome(np.maximum(kl, 0.0), gap[at], (logits.argmax(-1) != self._top).astype(float), share)

    def _jsd(self, logq: Floats) -> Floats:
        ratio = logq - self._logp
        middle = np.logaddexp(0.0, ratio) - np.log(2)  # of the mean of the two, over the clean one
        both = np.exp(logq) * (ratio - middle) - self._p * middle
        found: Floats = np.maximum(both.sum(-1) / 2, 0.0)
        return found


def log_softmax(logits: NDArray[np.floating]) -> Floats:  # type: ignore[type-arg]
    """Return log-probabilities (..., V) in float64."""
    values = logits.astype(np.float64)
    values -= values.max(-1, keepdims=True)
    values -= np.log(np.exp(values).sum(-1, keepdims=True))
    return values
