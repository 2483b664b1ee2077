"""Where a model's layers fall into stretches: signals made comparable, exact cuts, and how sure the cuts are.

Signals are arrays whose last axis is the blocks 0..L-1. Cuts b1 < b2 are numbers of blocks: the first stretch is blocks
0..b1-1, the second b1..b2-1, the third b2..L-1; relative depth is b / L. Cutting always finds cuts: whether they are
there is for `existence` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats, Ints
from layeratlas.core.errors import DataError

MOST_CUTS = 4
CLIP = 3.0


def shortest(blocks: int) -> int:
    """Return the least number of blocks in a stretch, max(2, round(0.08 L)).

    Raises DataError where three such stretches do not fit.
    """
    least = max(2, round(0.08 * blocks))
    if blocks < 3 * least:
        raise DataError(
            f"the model has {blocks} blocks",
            f"at least {3 * least}, for three stretches of {least} or more",
            "segments cannot be measured on it",
        )
    return least


def robust_z(signals: Floats, clip: float = CLIP) -> Floats:
    """Return (..., L) centred on the median and divided by 1.4826 MAD, clipped to +-3 unless `clip` says otherwise.

    Where more than half of the values agree (MAD = 0), the standard deviation is used; a constant signal is 0.
    """
    centred = signals - np.median(signals, -1, keepdims=True)
    scale = 1.4826 * np.median(np.abs(centred), -1, keepdims=True)
    size = np.abs(signals).max(-1, keepdims=True)
    scale = np.where(scale > 1e-12 * size, scale, signals.std(-1, keepdims=True))
    known = scale > 1e-12 * size
    z: Floats = np.clip(np.divide(centred, scale, out=np.zeros_like(centred), where=known), -clip, clip)
    return z


def fuse(signals: Floats, groups: Sequence[str], clip: float = CLIP) -> Floats:
    """Return the mean robust z of each group's signals, so that no family dominates: (..., G, L) from (..., S, L)."""
    z = robust_z(signals, clip)
    names = list(dict.fromkeys(groups))
    means: Floats = np.stack([z[..., [g == name for g in groups], :].mean(-2) for name in names], -2)
    return means


def stretch_costs(z: Floats) -> Floats:
    """Return the squared distance to its mean of every stretch of layers: costs[..., i, j] of i..j-1.

    From (..., G, L) to (..., L+1, L+1), summed over G; 0 where j <= i.
    """
    zero = np.zeros((*z.shape[:-1], 1))
    sums = np.concatenate([zero, z.cumsum(-1)], -1)
    squares = np.concatenate([zero, (z**2).cumsum(-1)], -1)
    size = np.arange(z.shape[-1] + 1)
    length = size[None, :] - size[:, None]
    total = sums[..., None, :] - sums[..., :, None]
    cost = squares[..., None, :] - squares[..., :, None] - total**2 / np.maximum(length, 1)
    found: Floats = np.maximum(np.where(length > 0, cost, 0.0).sum(-3), 0.0)
    return found


def best_cuts(costs: Floats, k: int, least: int) -> tuple[Ints, Floats]:
    """Return the k cuts of least total cost, exactly (dynamic programming), every stretch having `least` layers.

    `costs` (..., L+1, L+1) of `stretch_costs`. Returns cuts (..., k), ascending, and their cost (...).
    """
    layers = costs.shape[-1] - 1
    ends = np.arange(layers + 1)
    allowed = (ends[None, :] - ends[:, None]) >= least
    step = np.where(allowed, costs, np.inf)
    best = step[..., 0, :]
    choices = []
    for _ in range(k):
        through = best[..., :, None] + step
        choices.append(through.argmin(-2))
        best = through.min(-2)
    at = np.full(costs.shape[:-2], layers)
    cuts = []
    for choice in reversed(choices):
        at = np.take_along_axis(choice, at[..., None], -1)[..., 0]
        cuts.append(at)
    return np.stack(cuts[::-1], -1).astype(np.int64) if k else np.zeros((*at.shape, 0), np.int64), best[..., layers]


def two_cuts(signals: Floats, groups: Sequence[str], clip: float = CLIP) -> tuple[Ints, Floats]:
    """Return the two cuts (..., 2) of signals (..., S, L) and C2 / C0, the share of the cost that they leave."""
    costs = stretch_costs(fuse(signals, groups, clip))
    cuts, left = best_cuts(costs, 2, shortest(signals.shape[-1]))
    whole = costs[..., 0, -1]
    return cuts, np.divide(left, whole, out=np.ones_like(left), where=whole > 0)


def v1_cuts(information: Floats) -> tuple[Ints, Ints]:
    """Return the two most negative changes of the mutual information over depth, as the first version's notes say.

    `information` (L,) is that of block l's input and output; the change at l is I(l) - I(l-1), and a cut at l begins a
    stretch with block l. Stretches have the least length of the exact method. Returns the cuts (2,) and those changes
    below mean - 2 sd, which that version calls candidates (often fewer than two).
    """
    blocks = len(information)
    least = shortest(blocks)
    change = np.diff(information)
    places = range(least, blocks - least + 1)
    pairs = [(a, b) for a, b in combinations(places, 2) if b - a >= least]
    cuts = min(pairs, key=lambda pair: change[pair[0] - 1] + change[pair[1] - 1])
    passed = np.flatnonzero(change < change.mean() - 2 * change.std()) + 1
    return np.array(cuts, np.int64), passed.astype(np.int64)


def cost_curve(z: Floats) -> Floats:
    """Return C_K / C_0 for K = 0..4 cuts (fewer where the stretches would not fit), (..., K+1)."""
    costs, layers = stretch_costs(z), z.shape[-1]
    least = shortest(layers)
    most = min(MOST_CUTS, layers // least - 1)
    left = np.stack([best_cuts(costs, k, least)[1] for k in range(most + 1)], -1)
    share: Floats = left / np.maximum(left[..., :1], 1e-300)
    return share


@dataclass(frozen=True)
class Cuts:
    """The two cuts of the mean over passages, and what resampled passages (B draws) say of them.

    `mode` (2,) are the most frequent cuts of the draws, `lo`, `hi` (2,) hold the central 90 % of them, `share` (2,) is
    how often a draw has the mode; `together` (L, L) how often two blocks fall into one stretch.
    """

    cuts: Ints
    mode: Ints
    lo: Ints
    hi: Ints
    share: Floats
    together: Floats
    left: float
    draws: Ints


def resampled(values: Floats, draws: int, seed: int) -> Floats:
    """Return the mean signals (B, S, L) of passages drawn with replacement from values (P, S, L)."""
    passages = len(values)
    random = np.random.default_rng(seed)
    weights = random.multinomial(passages, np.full(passages, 1 / passages), size=draws) / passages
    means: Floats = np.tensordot(weights, values, 1)
    return means


def find_cuts(values: Floats, groups: Sequence[str], draws: int = 200, seed: int = 0) -> Cuts:
    """Return the cuts of passage-level signals (P, S, L) and their bootstrap over passages."""
    cuts, left = two_cuts(values.mean(0), groups)
    drawn, _ = two_cuts(resampled(values, draws, seed), groups)
    return summarise(cuts, drawn, float(left), values.shape[-1])


def summarise(cuts: Ints, drawn: Ints, left: float, layers: int) -> Cuts:
    """Return the record of cuts (2,) and of the draws' cuts (B, 2)."""
    pairs, counts = np.unique(drawn, axis=0, return_counts=True)
    mode = pairs[counts.argmax()]
    lo, hi = np.quantile(drawn, [0.05, 0.95], axis=0, method="nearest")
    segment = (np.arange(layers) >= drawn[:, :, None]).sum(1)
    together = (segment[:, :, None] == segment[:, None, :]).mean(0)
    return Cuts(cuts, mode, lo, hi, (drawn == mode).mean(0), together, left, drawn)


def without_one(values: Floats, groups: Sequence[str]) -> Ints:
    """Return the cuts (S, 2) of the mean signals with each signal of (P, S, L) left out in turn."""
    mean = values.mean(0)
    kept = [[i for i in range(len(groups)) if i != out] for out in range(len(groups))]
    return np.array([two_cuts(mean[part], [groups[i] for i in part])[0] for part in kept])


def kinds_differ(values: Floats, groups: Sequence[str], first: NDArray[np.bool_], shuffles: int, seed: int) -> float:
    """Return the p-value of a difference of the cuts between two kinds of passages, against shuffled kinds.

    The statistic is what it costs each kind to be cut where the other is, as a share of its whole cost: places alone
    jump between cuts that are nearly as good. `first` (P,) marks the passages of one kind.
    """
    draw = np.random.default_rng(seed)
    masks = np.array([first, *(draw.permutation(first) for _ in range(shuffles))], float)
    least, costs, cuts = shortest(values.shape[-1]), [], []
    for mask in (masks, 1 - masks):
        means = np.tensordot(mask, values, 1) / mask.sum(1)[:, None, None]
        costs.append(stretch_costs(fuse(means, groups)))
        cuts.append(best_cuts(costs[-1], 2, least)[0])
    whole = [np.maximum(cost[..., 0, -1], 1e-300) for cost in costs]
    extra = [(cost_at(costs[i], cuts[1 - i]) - cost_at(costs[i], cuts[i])) / whole[i] for i in (0, 1)]
    loss = extra[0] + extra[1]
    return float((1 + (loss[1:] >= loss[0] - 1e-12).sum()) / (1 + shuffles))


def cost_at(costs: Floats, cuts: Ints) -> Floats:
    """Return the cost (B,) of two given cuts (B, 2), from the costs of stretches (B, L+1, L+1)."""
    row, last = np.arange(len(costs)), costs.shape[-1] - 1
    one, two = cuts[:, 0], cuts[:, 1]
    total: Floats = costs[row, 0, one] + costs[row, one, two] + costs[row, two, last]
    return total
