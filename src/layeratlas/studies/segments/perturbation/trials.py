"""The perturbations that measure brittleness, and their effects."""

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
NoiseKind = Literal["noise", "absolute noise"]
# A half-open range of blocks.
Span = tuple[int, int]
Spans = Mapping[str, Span]


class NoiseSpec(Spec):
    """The settings for measuring brittleness.

    Uses `passages` texts of `tokens` tokens and reads predictions at `read` positions of each. `small` are the two
    strengths in the quadratic regime, of which the first is measured under `seeds` seeds; `large` are larger strengths,
    and `between` are added for segments. For each segment, `spans` random spans of the same width are measured too.
    Trials with the same seed have the same noise.
    """

    passages: int = Field(default=12, ge=4)
    tokens: int = Field(default=48, ge=8)
    read: int = Field(default=12, ge=1)
    small: tuple[float, float] = (0.01, 0.03)
    large: tuple[float, ...] = (0.3, 1.0)
    between: tuple[float, ...] = (0.1,)
    seeds: int = Field(default=2, ge=1)
    spans: int = Field(default=2, ge=0)
    noise: NoiseKind = "noise"
    bootstrap: int = Field(default=1000, ge=100)


def noise_spec(size: Size) -> NoiseSpec:
    """Return the settings of a size; with 30 blocks, about 25,000, 75,000 and 1,000,000 tokens of forward passes."""
    if size == "quick":
        return NoiseSpec(passages=8, tokens=32, read=8, seeds=1, between=(), spans=1)
    return NoiseSpec() if size == "standard" else NoiseSpec(passages=48, tokens=128, read=32, seeds=3, spans=8)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One perturbation of blocks `start` to `stop` - 1 at once, with a strength and a seed.

    Roles: `point` is noise after one block (-1: on the embeddings); `skip` skips one block; `segment` is noise of
    constant total variance over a segment; `unshared` is the same with full variance in every block; `span` is noise
    over a random span of blocks. `name` is the segment's name.
    """

    role: Role
    start: int
    stop: int
    name: str = ""
    sigma: float = 0.0
    seed: int = 0

    @property
    def span(self) -> Span:
        """The perturbed blocks."""
        return self.start, self.stop

    def edit(self, noise: NoiseKind) -> Edit:
        """Return the edit of the model."""
        layers = tuple(range(self.start, self.stop))
        if self.role == "skip":
            return Edit("skip", layers)
        return Edit(noise, layers, strength=self.sigma, seed=self.seed, shared=self.role != "unshared")


@dataclass(frozen=True, kw_only=True)
class _Dose:
    """A strength of noise and its seed."""

    sigma: float
    seed: int = 0

    def on(self, role: Role, span: Span, name: str = "") -> Trial:
        return Trial(role=role, start=span[0], stop=span[1], name=name, sigma=self.sigma, seed=self.seed)


def make_trials(layers: int, segments: Spans, spec: NoiseSpec, seed: int = 0) -> list[Trial]:
    """Return every perturbation of a model with `layers` blocks.

    Raises DataError for a segment outside the model, or a model of fewer than three blocks.
    """
    _check_segments(layers, segments)
    smallest = [_Dose(sigma=spec.small[0], seed=k) for k in range(spec.seeds)]
    graded = [*smallest, *(_Dose(sigma=sigma) for sigma in (spec.small[1], *spec.large))]
    between = [_Dose(sigma=sigma) for sigma in spec.between]
    trials = [dose.on("point", (b, b + 1)) for b in range(EMBEDDINGS, layers) for dose in graded]
    trials += [Trial(role="skip", start=b, stop=b + 1) for b in range(layers)]
    for name, span in segments.items():
        trials += [dose.on("segment", span, name) for dose in [*graded, *between]]
        trials += [dose.on("unshared", span, name) for dose in smallest]
    return trials + [dose.on("span", span) for span in _random_spans(layers, segments, spec, seed) for dose in smallest]


def _check_segments(layers: int, segments: Spans) -> None:
    if layers < 3:
        raise DataError(f"a model of {layers} blocks", "three blocks or more, to compare spans of them")
    for name, (start, stop) in segments.items():
        if not 0 <= start < stop <= layers:
            raise DataError(f"the segment '{name}' is of the blocks {start} to {stop - 1}", f"blocks 0 to {layers - 1}")


def _random_spans(layers: int, segments: Spans, spec: NoiseSpec, seed: int) -> list[Span]:
    """Return random spans as wide as the segments, excluding the segments."""
    rng, spans = np.random.default_rng([seed, 23]), []
    for width in sorted({stop - start for start, stop in segments.values()}):
        known = {start for start, stop in segments.values() if stop - start == width}
        free = [start for start in range(layers - width + 1) if start not in known]
        spans += [(start, start + width) for start in sorted(rng.permutation(free)[: spec.spans].tolist())]
    return spans


@dataclass(frozen=True, kw_only=True)
class TrialEffects:
    """The effects of all trials: `values` (trials, passages, 4), in the order of `OUTCOMES`.

    `sizes` (passages, L+1) is the root mean square of the stream. Raises DataError if shapes do not match or a number
    is missing.
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
    def segments(self) -> dict[str, Span]:
        """The segments, by name."""
        return {trial.name: trial.span for trial in self.trials if trial.role == "segment"}

    def sigmas(self, role: Role, span: Span) -> list[float]:
        """Return the strengths at which blocks were perturbed, ascending."""
        return sorted({trial.sigma for trial in self.trials if (trial.role, trial.span) == (role, span)})

    def of(self, role: Role, span: Span, sigma: float, outcome: str = "kl", *, seed: int | None = None) -> Floats:
        """Return one perturbation's outcome by passage, (N,): the mean over its seeds, or the value for one seed."""
        rows = [
            i
            for i, trial in enumerate(self.trials)
            if (trial.role, trial.span, trial.sigma) == (role, span, sigma) and seed in (None, trial.seed)
        ]
        mean: Floats = self.values[rows, :, OUTCOMES.index(outcome)].mean(0)
        return mean

    def by_point(self, sigma: float, outcome: str = "kl", seed: int | None = None) -> Floats:
        """Return the outcome of noise at every point, (N, L+1): the embeddings, then each block's output.

        It is the mean over seeds, or the value for one seed.
        """
        rows = [i for i, trial in enumerate(self.trials) if trial.role == "point" and seed in (None, trial.seed)]
        points = replace(self, trials=[self.trials[i] for i in rows], values=self.values[rows])
        return np.stack([points.of("point", (b, b + 1), sigma, outcome) for b in range(EMBEDDINGS, self.layers)], 1)

    def by_skip(self, outcome: str = "kl") -> Floats:
        """Return the outcome of skipping each block, (N, L)."""
        return np.stack([self.of("skip", (b, b + 1), 0.0, outcome) for b in range(self.layers)], 1)
