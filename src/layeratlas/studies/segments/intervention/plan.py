"""Parses interventions, and chooses the sites at which each is made.

`noise 0.3; zero of mlp; mean of attn of blocks 3-5, 8` are three interventions. Each names a kind of `Edit`, its
strength if it takes one, optionally a component (by default the residual stream), and optionally blocks. Without
blocks, an intervention is made on every segment. Each one is also made on its controls: other spans of the same shape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.edits import Edit, Kind, blocks_named
from layeratlas.core.errors import SpecError
from layeratlas.core.spec import COMPONENTS, Component

NEED_VECTORS = ("translate", "mean")
_FORM = re.compile(
    rf"({'|'.join(sorted(get_args(Kind), key=len, reverse=True))})(?: ([-+]?[\d.]+(?:e[-+]?\d+)?))?"
    rf"(?: of ({'|'.join(COMPONENTS)}))?(?: of blocks? ([\d, -]+))?"
)
_HELP = "edits such as 'noise 0.3; scale 1.2; zero of mlp; mean of attn of blocks 3-5, 8'"


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """An edit of a component, with its kind and strength, on some blocks (empty: on every segment)."""

    kind: Kind
    strength: float | None = None
    component: Component = "resid"
    blocks: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The intervention without its blocks: `scale 1.2 of mlp`."""
        strength = "" if self.strength is None else f" {self.strength:g}"
        return f"{self.kind}{strength}{'' if self.component == 'resid' else f' of {self.component}'}"

    def edit(self, blocks: Sequence[int], vectors: NDArray[np.floating[Any]] | None = None, seed: int = 0) -> Edit:
        """Return the edit of some blocks; `vectors` (L, d), one per block of the model, for kinds that need them."""
        chosen = None if vectors is None or self.kind not in NEED_VECTORS else vectors[list(blocks)]
        return Edit(self.kind, tuple(blocks), self.component, strength=self.strength, vectors=chosen, seed=seed)


def read_interventions(text: str) -> list[Intervention]:
    """Return the interventions named in a text, separated by semicolons; raises SpecError for any other text."""
    interventions = []
    for form in filter(None, (form.strip() for form in text.split(";"))):
        match = _FORM.fullmatch(" ".join(form.split()))
        if match is None:
            raise SpecError(f"the edit '{form}' is not understood", _HELP)
        intervention = Intervention(
            kind=cast("Kind", match[1]),
            strength=float(match[2]) if match[2] else None,
            component=cast("Component", match[3] or "resid"),
            blocks=_read_blocks(form, match[4] or ""),
        )
        # The edit itself rejects invalid combinations, such as a strength for `zero`.
        intervention.edit(intervention.blocks or (0,), np.zeros((1 + max(intervention.blocks, default=0), 1)))
        interventions.append(intervention)
    return interventions


def _read_blocks(form: str, text: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for piece in filter(None, (piece.strip() for piece in text.split(","))):
        first, dash, last = piece.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or int(last or first) < int(first):
            raise SpecError(f"'{piece}' in the edit '{form}' names no blocks", _HELP)
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)


@dataclass(frozen=True, kw_only=True)
class Site:
    """The blocks of an intervention; `span` is the segment's name, `control` marks another span of its shape."""

    span: str
    blocks: tuple[int, ...]
    control: bool = False


def demand_blocks(intervention: Intervention, layers: int) -> None:
    """Raise SpecError for a block that a model of `layers` blocks does not have."""
    if intervention.blocks and max(intervention.blocks) >= layers:
        raise SpecError(f"an edit of block {max(intervention.blocks)}", f"blocks 0 to {layers - 1} of this model")


def sites_of(
    intervention: Intervention, layers: int, segments: Mapping[str, tuple[int, int]], controls: int, seed: int = 0
) -> list[Site]:
    """Return an intervention's segments, each followed by at most `controls` other spans of its shape.

    Controls that share the fewest blocks with the segment come first (ties in random order), because a segment shifted
    by one block is nearly the same segment. `segments` are half-open ranges of blocks by name. All interventions on a
    segment have the same controls. Raises SpecError for a block that the model does not have.
    """
    demand_blocks(intervention, layers)
    spans = {name: tuple(range(*segment)) for name, segment in segments.items()}
    if intervention.blocks:
        spans = {blocks_named(intervention.blocks): intervention.blocks}
    sites = []
    for name, blocks in spans.items():
        sites.append(Site(span=name, blocks=blocks))
        others = _other_spans(blocks, layers, seed)[:controls]
        sites += [Site(span=name, blocks=other, control=True) for other in others]
    return sites


def _other_spans(blocks: tuple[int, ...], layers: int, seed: int) -> list[tuple[int, ...]]:
    """Return all other spans of the same shape, those with the fewest shared blocks first, ties in random order."""
    first, last = min(blocks), max(blocks)
    shifts = [shift for shift in range(-first, layers - last) if shift]
    shuffled = np.random.default_rng([seed, 31, first, last]).permutation(shifts).tolist()
    spans = [tuple(block + int(shift) for block in blocks) for shift in shuffled]
    return sorted(spans, key=lambda span: len({*span} & {*blocks}))
