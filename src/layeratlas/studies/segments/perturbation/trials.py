"""Which perturbations tell how brittle each stretch of layers is, and what was found under each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pydantic import Field

from layeratlas.core.arrays import Floats
from layeratlas.core.edits import EMBEDDINGS, Edit
from layeratlas.core.errors import DataError
from layeratlas.core.spec import Size, Spec
from layeratlas.studies.segments.outcomes import OUTCOMES

Role = Literal["point", "skip", "segment", "unshared", "span"]
# Half-open ranges of blocks by name.
Spans = Mapping[str, tuple[int, int]]


class NoiseSpec(Spec):
    """How brittleness is measured.

    `passages` texts of `tokens` tokens, predictions read at `read` positions of each. `small` are the two strengths of
    the quadratic regime, the first measured under `seeds` seeds; `large` continue the curve, and `between` those of
    segments alone. `spans` random spans of each segment's width are measured beside it. The noise of two trials with
    the same seed is the same.
    """

    passages: int = Field(default=12, ge=4)
    tokens: int = Field(default=48, ge=8)
    read: int = Field(default=12, ge=1)
    small: tuple[float, float] = (0.01, 0.03)
    large: tuple[float, ...] = (0.3, 1.0)
    between: tuple[float, ...] = (0.1,)
    seeds: int = Field(default=2, ge=1)
    spans: int = Field(default=2, ge=0)
    noise: Literal["noise", "absolute noise"] = "noise"
    bootstrap: int = Field(default=1000, ge=100)


def noise_spec(size: Size) -> NoiseSpec:
    """Return the settings of a size; for 30 blocks about 25,000, 75,000 and 1,000,000 tokens of forward pass."""
    if size == "quick":
        return NoiseSpec(passages=8, tokens=32, read=8, seeds=1, between=(), spans=1)
    return NoiseSpec() if size == "standard" else NoiseSpec(passages=48, tokens=128, read=32, seeds=3, spans=8)


@dataclass(frozen=True)
class Trial:
    """One perturbation: of blocks `start` to `stop` - 1 at once, at a strength, under a seed.

    `point`: noise after one block (-1: on the embeddings); `skip`: one block left out; `segment`: noise of equal
    total variance over a named span; `unshared`: the same without that; `span`: over a random span.
    """

    role: Role
    name: str
    start: int
    stop: int
    sigma: float
    seed: int

    def edit(self, noise: Literal["noise", "absolute noise"]) -> Edit:
        """Return what is done to the model."""
        layers = tuple(range(self.start, self.stop))
        if self.role == "skip":
            return Edit("skip", layers)
        return Edit(noise, layers, strength=self.sigma, seed=self.seed, shared=self.role != "unshared")


def make_trials(layers: int, segments: Spans, spec: NoiseSpec, seed: int = 0) -> list[Trial]:
    """Return every perturbation of a model of so many blocks.

    Raises DataError for a segment outside the model, or a model of fewer than three blocks.
    """
    if layers < 3:
        raise DataError(f"a model of {layers} blocks", "three blocks or more, to compare stretches of them")
    for name, (start, stop) in segments.items():
        if not 0 <= start < stop <= layers:
            raise DataError(f"the segment '{name}' is of the blocks {start} to {stop - 1}", f"blocks 0 to {layers - 1}")
    least = [(spec.small[0], k) for k in range(spec.seeds)]
    graded = [*least, *((s, 0) for s in (spec.small[1], *spec.large))]
    trials = [Trial("point", "", b, b + 1, s, k) for b in range(EMBEDDINGS, layers) for s, k in graded]
    trials += [Trial("skip", "", b, b + 1, 0.0, 0) for b in range(layers)]
    for name, (start, stop) in segments.items():
        trials += [Trial("segment", name, start, stop, s, k) for s, k in [*graded, *((s, 0) for s in spec.between)]]
        trials += [Trial("unshared", name, start, stop, s, k) for s, k in least]
    rng = np.random.default_rng([seed, 23])
    for width in sorted({stop - start for start, stop in segments.values()}):
        known = {start for start, stop in segments.values() if stop - start == width}
        free = [start for start in range(layers - width + 1) if start not in known]
        for start in sorted(rng.permutation(free)[: spec.spans].tolist()):
            trials += [Trial("span", "", start, start + width, s, k) for s, k in least]
    return trials


@dataclass(frozen=True)
class Effects:
    """What every trial did: `values` (trials, passages, 4) in the order of `OUTCOMES`; `sizes` the stream's root mean
    square, (passages, L+1).

    Raises DataError where shapes do not fit or a number is missing.
    """

    trials: Sequence[Trial]
    values: Floats
    sizes: Floats
    spec: NoiseSpec

    def __post_init__(self) -> None:
        wanted = (len(self.trials), len(self.sizes), len(OUTCOMES))
        if self.values.shape != wanted:
            raise DataError(f"effects of shape {self.values.shape}", f"{wanted}")
        if not np.isfinite(self.values[..., :3]).all():
            raise DataError("an effect is not a finite number", "one for every trial and passage", "measure again")

    @property
    def layers(self) -> int:
        """The number of blocks, L."""
        return int(self.sizes.shape[1]) - 1

    @property
    def passages(self) -> int:
        """The number of passages, N."""
        return len(self.sizes)

    @property
    def segments(self) -> dict[str, tuple[int, int]]:
        """The named spans."""
        return {t.name: (t.start, t.stop) for t in self.trials if t.role == "segment"}

    def sigmas(self, role: Role, start: int, stop: int) -> list[float]:
        """Return the strengths at which blocks were perturbed, ascending."""
        return sorted({t.sigma for t in self.trials if (t.role, t.start, t.stop) == (role, start, stop)})

    def of(
        self, role: Role, start: int, stop: int, sigma: float, outcome: str = "kl", *, seed: int | None = None
    ) -> Floats:
        """Return one perturbation's outcome by passage, mean over its seeds or under one of them, (N,)."""
        wanted = (role, start, stop, sigma)
        some = [(i, t) for i, t in enumerate(self.trials) if seed in (None, t.seed)]
        at = [i for i, t in some if (t.role, t.start, t.stop, t.sigma) == wanted]
        mean: Floats = self.values[at, :, OUTCOMES.index(outcome)].mean(0)
        return mean

    def by_point(self, sigma: float, outcome: str = "kl", seed: int | None = None) -> Floats:
        """Return the outcome of noise at every point, (N, L+1): the embeddings, then each block's output.

        Mean over seeds, or under one of them.
        """
        some = [i for i, t in enumerate(self.trials) if t.role == "point" and seed in (None, t.seed)]
        part = replace(self, trials=[self.trials[i] for i in some], values=self.values[some])
        return np.stack([part.of("point", b, b + 1, sigma, outcome) for b in range(EMBEDDINGS, self.layers)], 1)

    def by_skip(self, outcome: str = "kl") -> Floats:
        """Return the outcome of leaving out each block, (N, L)."""
        return np.stack([self.of("skip", b, b + 1, 0.0, outcome) for b in range(self.layers)], 1)
