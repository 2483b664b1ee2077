"""The interface of a probe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from layeratlas.core.arrays import Array, Ints
from layeratlas.core.spec import ProbeSpec
from layeratlas.probes._gram import Gram

# The least number of shuffles in a control: with 20, the smallest possible p-value is 1 / 21.
_FEWEST_SHUFFLES = 20


class Probe(ABC):
    """A linear probe, solved in the dual so that many label columns share one Gram matrix.

    A label column is +-1 for one class against the rest, or numbers to predict.

    `name` is the probe's code in tables; `label` is its name in reports (by default `name`). `predicts_numbers` tells
    whether it also predicts numbers; `costly_shuffles` whether each label shuffle needs a separate fit; `batched`
    whether `solve` takes a batch of Gram matrices (..., n, n) of any namespace of the array API, on any device. A probe
    that is not batched receives one numpy matrix at a time.
    """

    name: str = ""
    label: str = ""
    summary: str = ""
    predicts_numbers: bool = False
    costly_shuffles: bool = False
    batched: bool = False

    def configured(self, spec: ProbeSpec) -> Probe:
        """Return the probe with the settings of a spec that apply to it."""
        return self

    def shuffles(self, requested: int) -> int:
        """Return how many of the requested label shuffles to run: all, or a fifth (at least 20) if they are costly."""
        return max(_FEWEST_SHUFFLES, requested // 5) if self.costly_shuffles else requested

    @abstractmethod
    def solve(self, gram: Gram, y: Array) -> tuple[Array, Array]:
        """Fit every column of `y` (n, k) and return dual coefficients (..., n, k) and intercepts (k,) or (..., k).

        A new row with inner products `g` (n,) scores `g @ dual + intercept`.
        """


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One split of one repeat: the row numbers of its training set and its test set."""

    repeat: int
    train: Ints
    test: Ints
