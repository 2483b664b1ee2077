"""The effect of an edit on a model's predictions, token by token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from layeratlas.core.arrays import FloatArray, Floats

OUTCOMES = ("kl", "nll", "flips", "jsd")
# Takes the clean logits and true next tokens of a text, and returns a function of a trial's edited logits; its values
# are in the order of OUTCOMES.
Judge = Callable[[FloatArray, NDArray[np.int64]], Callable[[int, FloatArray], Floats]]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Edited predictions compared with clean ones at n tokens, each (n,).

    `kl`: KL(clean || edited) in nats; `nll`: increase of the negative log-likelihood of the true next token in nats;
    `flips`: 1 if the most likely token changed, else 0; `jsd`: Jensen-Shannon divergence in nats, at most log 2, NaN
    unless requested.
    """

    kl: Floats
    nll: Floats
    flips: Floats
    jsd: Floats

    @property
    def means(self) -> Floats:
        """The means over tokens, in order of OUTCOMES, (4,)."""
        return np.array([getattr(self, name).mean() for name in OUTCOMES])


class Reference:
    """A model's clean predictions at n tokens, with which edited predictions are compared.

    `logits` (n, V) of any float dtype; `targets` (n,) are the true next tokens. Softmax and sums are in float64, so
    divergences of 1e-10 nats, from tiny perturbations, exceed rounding errors; equal logits give exactly 0.
    """

    def __init__(self, logits: FloatArray, targets: NDArray[np.int64]) -> None:
        self._logp = _log_softmax(logits)
        self._p = np.exp(self._logp)
        self._top = logits.argmax(-1)
        self._targets = targets

    def against(self, logits: FloatArray, jsd: bool = False) -> Outcome:
        """Return the outcome of edited logits (n, V)."""
        logq = _log_softmax(logits)
        gap = self._logp - logq
        at = np.arange(len(gap)), self._targets
        return Outcome(
            # The terms have both signs, so rounding can make the sum slightly negative.
            kl=np.maximum(np.einsum("nv,nv->n", self._p, gap), 0.0),
            nll=gap[at],
            flips=(logits.argmax(-1) != self._top).astype(float),
            jsd=self._jsd(logq) if jsd else np.full(len(gap), np.nan),
        )

    def _jsd(self, logq: Floats) -> Floats:
        ratio = logq - self._logp
        mixture = np.logaddexp(0.0, ratio) - np.log(2)  # log of the mean of both over the clean prediction
        both = np.exp(logq) * (ratio - mixture) - self._p * mixture
        jsd: Floats = np.maximum(both.sum(-1) / 2, 0.0)
        return jsd


def judge_of(jsd: Sequence[bool]) -> Judge:
    """Return a judge of trials; `jsd` selects those with the Jensen-Shannon divergence, which is expensive."""

    def judge(clean: FloatArray, targets: NDArray[np.int64]) -> Callable[[int, FloatArray], Floats]:
        reference = Reference(clean, targets)
        return lambda trial, edited: reference.against(edited, jsd=jsd[trial]).means

    return judge


def _log_softmax(logits: FloatArray) -> Floats:
    """Return log-probabilities (..., V) in float64."""
    logs: Floats = scipy.special.log_softmax(logits.astype(np.float64), axis=-1)
    return logs
