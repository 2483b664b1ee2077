"""Interventions in words, the stretches that they are made on, and what they did there.

`noise 0.3; zero of mlp; mean of attn of blocks 3-5, 8` are three: a kind of `edits.Edit`, its strength where it takes
one, a component other than the stream, and blocks of one's own. Without blocks, an intervention is made on every
stretch that the cuts give. Each is made on other stretches of the same shape too, its control.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats
from layeratlas.core.edits import Edit, Kind, blocks_named
from layeratlas.core.errors import SpecError
from layeratlas.core.spec import COMPONENTS, Component
from layeratlas.stats.resampling import Resampler

NEED_VECTORS = ("translate", "mean")
_FORM = re.compile(
    rf"({'|'.join(sorted(get_args(Kind), key=len, reverse=True))})(?: ([-+]?[\d.]+(?:e[-+]?\d+)?))?"
    rf"(?: of ({'|'.join(COMPONENTS)}))?(?: of blocks? ([\d, -]+))?"
)
_HELP = "such as 'noise 0.3; scale 1.2; zero of mlp; mean of attn of blocks 3-5, 8'"


@dataclass(frozen=True)
class Wanted:
    """An intervention: of which kind and strength, on which component, on which blocks (none: every stretch)."""

    kind: Kind
    strength: float | None = None
    component: Component = "resid"
    blocks: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """What is done, without the blocks: `scale 1.2 of mlp`."""
        much = "" if self.strength is None else f" {self.strength:g}"
        return f"{self.kind}{much}{'' if self.component == 'resid' else f' of {self.component}'}"

    def edit(self, blocks: Sequence[int], vectors: NDArray[np.floating[Any]] | None = None, seed: int = 0) -> Edit:
        """Return the edit on some blocks; `vectors` (L, d), one for each of the model's blocks, where it needs them."""
        chosen = None if vectors is None or self.kind not in NEED_VECTORS else vectors[list(blocks)]
        return Edit(self.kind, tuple(blocks), self.component, self.strength, chosen, seed)


def read_wanted(text: str) -> list[Wanted]:
    """Return the interventions named in a text, parted by semicolons; raises SpecError for what is none."""
    found = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        match = _FORM.fullmatch(" ".join(part.split()))
        if match is None:
            raise SpecError(f"the edit '{part}' is not understood", _HELP)
        kind, component = cast("Kind", match[1]), cast("Component", match[3] or "resid")
        strength = float(match[2]) if match[2] else None
        wanted = Wanted(kind, strength, component, _blocks(part, match[4] or ""))
        wanted.edit(wanted.blocks or (0,), np.zeros((1 + max(wanted.blocks, default=0), 1)))
        found.append(wanted)
    return found


def _blocks(part: str, text: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for piece in filter(None, (piece.strip() for piece in text.split(","))):
        first, dash, last = piece.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or int(last or first) < int(first):
            raise SpecError(f"'{piece}' in the edit '{part}' names no blocks", _HELP)
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)


@dataclass(frozen=True)
class Place:
    """Where an intervention is made: `name` is the stretch's, `control` whether this is another one of its shape."""

    name: str
    blocks: tuple[int, ...]
    control: bool = False


def places_of(
    wanted: Wanted, layers: int, segments: Mapping[str, tuple[int, int]], controls: int, seed: int = 0
) -> list[Place]:
    """Return an intervention's stretches, each followed by at most `controls` others of its shape.

    Those that share the fewest blocks with the stretch come first, drawn at random among equals: a stretch moved by one
    block is nearly itself and says nothing of it. `segments` are half-open ranges of blocks by name. All interventions
    on one stretch have the same controls. Raises SpecError for a block that the model has not.
    """
    if wanted.blocks and max(wanted.blocks) >= layers:
        raise SpecError(f"an edit of block {max(wanted.blocks)}", f"blocks 0 to {layers - 1} of this model")
    stretches = {name: tuple(range(*span)) for name, span in segments.items()}
    if wanted.blocks:
        stretches = {blocks_named(wanted.blocks): wanted.blocks}
    found = []
    for name, blocks in stretches.items():
        found.append(Place(name, blocks))
        found += [Place(name, other, control=True) for other in _others(blocks, layers, seed)[:controls]]
    return found


def _others(blocks: tuple[int, ...], layers: int, seed: int) -> list[tuple[int, ...]]:
    """Return all other stretches of a shape, those that share the fewest blocks with it first, equals at random."""
    least, most = min(blocks), max(blocks)
    free = [shift for shift in range(-least, layers - most) if shift]
    drawn = np.random.default_rng([seed, 31, least, most]).permutation(free).tolist()
    moved = [tuple(block + int(shift) for block in blocks) for shift in drawn]
    return sorted(moved, key=lambda other: len({*other} & {*blocks}))


@dataclass(frozen=True)
class Effect:
    """What one intervention did at one stretch: means over N passages with 95 % bootstrap intervals.

    `control` is the same on other stretches of the same shape, `difference` the first less the second, paired over
    passages; both not numbers where no other stretch of that shape fits. No interval is over stretches: a difference
    tells these stretches apart, and does not make one of them special.
    """

    estimate: tuple[float, float, float]
    control: tuple[float, float, float]
    difference: tuple[float, float, float]


def effect_of(own: Floats, controls: Floats, bootstrap: int = 1000, seed: int = 0) -> Effect:
    """Return the effect of values (N,) on the stretch and (C, N) on C others; C may be 0."""
    names = [str(i) for i in range(len(own))]
    weights = Resampler(names, bootstrap, seed, halves=0).weights(names)
    weights = weights / weights.sum(1, keepdims=True)

    def mean(values: Floats) -> tuple[float, float, float]:
        drawn = weights @ values
        lo, hi = np.percentile(drawn[1:], [2.5, 97.5])
        return float(drawn[0]), float(lo), float(hi)

    nothing = (float("nan"),) * 3
    if not len(controls):
        return Effect(mean(own), nothing, nothing)
    other = controls.mean(0)
    return Effect(mean(own), mean(other), mean(own - other))
