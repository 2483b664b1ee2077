"""Whether the boundaries differ between kinds of passages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from layeratlas.stats.segmentation import best_boundaries, cost_at, segment_costs, shortest_segment
from layeratlas.studies.segments.boundaries import find_boundaries
from layeratlas.studies.segments.record import KindRecord, KindsRecord
from layeratlas.studies.segments.settings import SegmentSettings
from layeratlas.studies.segments.signals import BlockSignals, fuse


def kinds_differ(signals: BlockSignals, first: NDArray[np.bool_], shuffles: int, seed: int) -> float:
    """Return the p-value of a difference of the boundaries between two kinds of passages, against shuffled kinds.

    The statistic is the cost of placing each kind's boundaries where the other kind's are, as a share of its whole
    cost; positions alone jump between boundaries that are nearly as good. `first` (P,) marks the passages of one kind.
    """
    random = np.random.default_rng(seed)
    masks = np.array([first, *(random.permutation(first) for _ in range(shuffles))], float)
    shortest, costs, boundaries = shortest_segment(signals.values.shape[-1]), [], []
    for mask in (masks, 1 - masks):
        means = np.tensordot(mask, signals.values, 1) / mask.sum(1)[:, None, None]
        costs.append(segment_costs(fuse(means, signals.groups)))
        boundaries.append(best_boundaries(costs[-1], 2, shortest)[0])
    whole = [np.maximum(cost[..., 0, -1], 1e-300) for cost in costs]
    extra = [(cost_at(costs[i], boundaries[1 - i]) - cost_at(costs[i], boundaries[i])) / whole[i] for i in (0, 1)]
    loss = extra[0] + extra[1]
    return float((1 + (loss[1:] >= loss[0] - 1e-12).sum()) / (1 + shuffles))


def compare_kinds(
    signals: BlockSignals, kinds: Sequence[str], settings: SegmentSettings, seed: int
) -> KindsRecord | None:
    """Return the boundaries of each kind of passage, and whether the first two kinds differ.

    None if there is one kind, or a kind of one passage.
    """
    names = list(dict.fromkeys(kinds))
    marks = {name: np.array([kind == name for kind in kinds]) for name in names}
    if len(names) < 2 or min(mark.sum() for mark in marks.values()) < 2:
        return None
    by_kind = {}
    for name, mark in marks.items():
        estimate = find_boundaries(_subset(signals, mark), settings.draws, seed)
        by_kind[name] = KindRecord(
            n=int(mark.sum()), boundaries=estimate.boundaries.tolist(), intervals=estimate.intervals
        )
    first, second = names[:2]
    pair = marks[first] | marks[second]
    p = kinds_differ(_subset(signals, pair), marks[first][pair], settings.surrogates, seed)
    return KindsRecord(by_kind=by_kind, compared=(first, second), p=p)


def _subset(signals: BlockSignals, mark: NDArray[np.bool_]) -> BlockSignals:
    return BlockSignals(values=signals.values[mark], names=signals.names, groups=signals.groups)
