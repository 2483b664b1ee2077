"""Which blocks and sublayers are ablated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.edits import Edit, blocks_named
from layeratlas.core.spec import Component

AblationKind = Literal["skip", "zero", "mean"]
SublayerKind = Literal["zero", "mean"]
SUBLAYERS: tuple[Component, ...] = ("attn", "mlp")


class Role(StrEnum):
    """Why something is ablated."""

    LAYER = "layer"  # one block or sublayer
    HALF = "half"  # the lower or the upper half
    SPAN = "span"  # a named range of blocks
    CONTROL = "control"  # a random range as wide as a half or a span


WIDE = (Role.HALF, Role.SPAN)


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """One ablation: blocks `start` to `stop` - 1 skipped, or their attention or MLP set to zero or to its mean."""

    role: Role
    name: str
    kind: AblationKind
    component: Component
    start: int
    stop: int

    @property
    def width(self) -> int:
        """The number of blocks."""
        return self.stop - self.start

    @property
    def blocks(self) -> str:
        """The blocks in words."""
        return blocks_named(range(self.start, self.stop))

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Ablation:
        """Return an ablation from its JSON fields."""
        return cls(**{**record, "role": Role(record["role"])})

    def edit(self, means: NDArray[np.float32] | None = None) -> Edit:
        """Return the model edit; `means` (L, d), the component's mean outputs by block, are for the kind `mean`."""
        layers = tuple(range(self.start, self.stop))
        vectors = means[self.start : self.stop] if means is not None and self.kind == "mean" else None
        return Edit(kind=self.kind, layers=layers, component=self.component, vectors=vectors)


def plan_ablations(
    layers: int,
    spans: Mapping[str, tuple[int, int]] | None = None,
    controls: int = 8,
    seed: int = 0,
    kinds: Sequence[SublayerKind] = ("zero", "mean"),
) -> list[Ablation]:
    """Return the ablations of a model of `layers` blocks; `spans` are half-open ranges of blocks by name.

    The plan skips every block; sets the attention and the MLP of every block to zero, to its mean, or to each in turn
    (`kinds`); skips both halves and the spans; and, as controls, skips `controls` random ranges of each width of a half
    or span (fewer if fewer exist).
    """
    middle = layers // 2
    halves = {"lower half": (0, middle), "upper half": (layers - middle, layers)}
    spans = spans or {}
    plan = [_single(Role.LAYER, "skip", "resid", block, block + 1) for block in range(layers)]
    plan += [
        _single(Role.LAYER, kind, component, block, block + 1)
        for kind in kinds
        for component in SUBLAYERS
        for block in range(layers)
    ]
    plan += [_skipped(Role.HALF, name, *span) for name, span in halves.items()]
    plan += [_skipped(Role.SPAN, name, *span) for name, span in spans.items()]
    return plan + _controls(layers, [*halves.values(), *spans.values()], controls, seed)


def _controls(layers: int, taken: Sequence[tuple[int, int]], count: int, seed: int) -> list[Ablation]:
    """Return random ranges as wide as those taken, but different; single blocks are all in the plan already."""
    rng = np.random.default_rng([seed, 31])
    controls = []
    for width in sorted({stop - start for start, stop in taken if stop - start > 1}):
        free = [start for start in range(layers - width + 1) if (start, start + width) not in taken]
        for start in sorted(rng.permutation(free)[:count].tolist()):
            controls.append(_single(Role.CONTROL, "skip", "resid", start, start + width))
    return controls


def _single(role: Role, kind: AblationKind, component: Component, start: int, stop: int) -> Ablation:
    """Return an ablation with a name that describes the edit."""
    of = "" if component == "resid" else f"{component} of "
    name = f"{kind} {of}{blocks_named(range(start, stop))}"
    return Ablation(role=role, name=name, kind=kind, component=component, start=start, stop=stop)


def _skipped(role: Role, name: str, start: int, stop: int) -> Ablation:
    return Ablation(role=role, name=name, kind="skip", component="resid", start=start, stop=stop)
