"""What plug-ins and stores promise. Each promise is tested on every implementation in `tests/contracts`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layeratlas.records import Dataset, Material
from layeratlas.spec import ProbeSpec, RunSpec, Size, Spec

FloatArray = NDArray[np.float32]
# An eigenvalue smaller than this part of the largest is rounding.
_RANK = 1e-12


class Task(ABC):
    """What a study reads: data sets of labelled texts, question sets or passages.

    `build` is deterministic: the same size always gives the same items, and a smaller size is a subset of a
    larger one.
    """

    summary: str = ""

    @abstractmethod
    def build(self, size: Size) -> Sequence[Material]:
        """Return the task's material at that size."""


@dataclass(frozen=True)
class Shape:
    """What a store holds: `texts` vectors per component and layer, each of `width` numbers.

    `points` maps a component to its number of layers: L+1 for `resid`, L for `attn` and `mlp`.
    """

    texts: int
    width: int
    points: Mapping[str, int]


class Store(ABC):
    """Vectors by component, layer and text; written in shards, trusted only when whole.

    A shard is named by its content key, so that a resumed run knows which ones are finished. `write` is atomic:
    after a crash a shard is there and whole, or not there.
    """

    shape: Shape

    @abstractmethod
    def finished(self) -> set[str]:
        """Return the keys of the shards that are whole."""

    @abstractmethod
    def complete(self) -> bool:
        """Return whether every text has a vector at every layer of every component."""

    @abstractmethod
    def write(
        self, key: str, rows: Sequence[int], values: Mapping[str, FloatArray], first: Mapping[str, int] | None = None
    ) -> None:
        """Keep `values[component]`, shape (len(rows), layers, width), for the texts `rows`.

        Without `first`, a shard holds every layer of every component. With it, some components, each from layer
        `first[component]` on.
        """

    @abstractmethod
    def read(self, component: str, layer: int) -> FloatArray:
        """Return float32 of shape (texts, width); raises StoreError where a text is missing."""


class Gram:
    """Inner products of the training rows, features standardised on them, so every row and column sums to 0.

    Made of the features, float64 (n, d). The eigendecomposition is made once, when first asked for, and shared by all
    probes; where there are more rows than features, from the smaller of the two matrices of products.
    """

    def __init__(self, features: NDArray[np.float64]) -> None:
        self._features = features

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The inner products, (n, n)."""
        return self._features @ self._features.T

    @cached_property
    def _eigh(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n, d = self._features.shape
        if n <= d:
            values, vectors = np.linalg.eigh(self.matrix)
            return np.maximum(values, 0.0), vectors
        values, directions = np.linalg.eigh(self._features.T @ self._features)
        kept = values > _RANK * max(values[-1], 1e-300)
        values = values[kept]
        return values, (self._features @ directions[:, kept]) / np.sqrt(values)

    @property
    def values(self) -> NDArray[np.float64]:
        """Eigenvalues (r,), ascending, none below 0; r <= n, and those that are not listed are 0."""
        return self._eigh[0]

    @property
    def vectors(self) -> NDArray[np.float64]:
        """Eigenvectors (n, r), one a column; what is orthogonal to them has eigenvalue 0."""
        return self._eigh[1]


class Probe(ABC):
    """A linear read-out, solved in the dual so that many label columns share one Gram matrix.

    Labels are columns of Y: +-1 for a class against the rest, or centred numbers.
    """

    name: str = ""
    summary: str = ""
    numbers: bool = False  # can it predict numbers as well as classes?
    costly: bool = False  # does each label shuffle cost a fit of its own?

    def using(self, spec: ProbeSpec) -> Probe:
        """Return the probe with those of the spec's settings that it has."""
        return self

    def shuffles(self, asked: int) -> int:
        """Return how many label shuffles are made where so many are asked for: of costly ones a fifth, at least 20."""
        return max(20, asked // 5) if self.costly else asked

    @abstractmethod
    def solve(self, gram: Gram, y: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Fit every column of `y`, (n, k).

        Returns dual coefficients (n, k) and intercepts (k,): a new row scores `gram_new @ dual + intercept`.
        """


@dataclass(frozen=True)
class Fold:
    """One split: row numbers of the training and the test part."""

    repeat: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True)
class Words:
    """What a study's report calls things: how estimates were made, and what they are read against."""

    method: str = "Probe"
    control: str = "shuffled labels"
    baseline: str = "best surface-only baseline"
    origin: str = ""


PROBED = Words()


@dataclass(frozen=True)
class Exhibit:
    """A chart or a table that a study adds to its report; drawn into `figures/NAME` too.

    `chart` takes a function from a palette name (`ink`, `control`, `series-1` ...) to a colour and returns an Altair
    chart with its data in it. `table` has the column names that the reader sees.
    """

    name: str
    title: str
    text: str
    chart: Callable[[Callable[[str], str]], Any] | None = None
    table: Any = None


class Study(ABC):
    """A question asked of a model: what it reads and the stages that answer it.

    A stage is a function of the run's workspace that reads and writes only the run's folder and returns the
    files it made; a finished stage is skipped when the run is resumed. `settings` is the class of what `--set` may
    say; `curves` tells whether the report draws the run's curves level by level.
    """

    summary: str = ""
    tasks: tuple[str, ...] = ()
    reads: type = Dataset
    settings: type[Spec] = Spec
    words: Words = PROBED
    curves: bool = True

    def probe_spec(self, size: Size) -> ProbeSpec:
        """Return the default probe settings at a size."""
        return ProbeSpec()

    @abstractmethod
    def read(self, path: str) -> Material:
        """Return a file of the user's as material; raises DataError with the file, the row and what to do."""

    def prepare(self, spec: RunSpec) -> RunSpec:
        """Return the spec as the study runs it: what it cannot do without (an attention kernel, say) is set here."""
        return spec

    def check(self, spec: RunSpec, material: Sequence[Any]) -> None:
        """Raise SpecError where the settings do not fit the material."""
        return None

    @abstractmethod
    def stages(self) -> Mapping[str, Callable[[Any], list[str]]]:
        """Return the stages by name, in order."""

    def exhibits(self, folder: Path) -> list[Exhibit]:
        """Return the charts and tables of the study's own, made from the run's tables alone."""
        return []

    def methods(self, run: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the methods as (heading, plain text), made from the run's manifest."""
        return []
