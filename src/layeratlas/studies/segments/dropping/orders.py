"""The orders in which blocks are dropped: by the published rule, by the cost of dropping each alone, and at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.edits import Edit

INFLUENCE, MEASURED, RANDOM = "block influence", "measured", "random"
RANDOM_ORDERS = 4
# The largest share of blocks that are dropped.
_MOST = 0.5


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Blocks dropped together (the first ones of an order); `half` is the half of the passages on which it is measured.

    Half 0 has the even passages. An order by measured costs is computed from the other half of the passages; otherwise
    blocks whose cost is low by chance would come first.
    """

    rule: str
    number: int
    half: int
    blocks: tuple[int, ...]

    @property
    def edit(self) -> Edit:
        """The edit that skips the blocks."""
        return Edit("skip", tuple(sorted(self.blocks)))


def counts_of(layers: int) -> list[int]:
    """Return the numbers of blocks dropped at once: about six, up to half of the blocks, each 1.5 times the last."""
    most = max(1, int(_MOST * layers))
    return sorted({max(1, round(most / 1.6**step)) for step in range(7)})


def make_drops(influence: Floats, costs: Floats | None, seed: int) -> list[Drop]:
    """Return every drop, from the influence of each block (L,) and the cost of leaving it out by passage (N, L)."""
    layers = len(influence)
    rng = np.random.default_rng([seed, 61])
    at_random = [rng.permutation(layers) for _ in range(RANDOM_ORDERS)]
    drops = []
    for half in (0, 1):
        orders = {(INFLUENCE, 0): np.argsort(influence, kind="stable")}
        if costs is not None:
            orders[MEASURED, 0] = np.argsort(costs[1 - half :: 2].mean(0), kind="stable")
        orders |= {(RANDOM, number): order for number, order in enumerate(at_random)}
        drops += [
            Drop(rule=rule, number=number, half=half, blocks=tuple(order[:count].tolist()))
            for (rule, number), order in orders.items()
            for count in counts_of(layers)
        ]
    return drops
