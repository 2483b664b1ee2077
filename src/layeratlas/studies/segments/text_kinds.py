"""Whether the boundaries differ between kinds of passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.segmentation import best_boundaries, cost_at, segment_costs, shortest_segment, without_ends
from layeratlas.stats.tests import rank_p
from layeratlas.studies.segments.boundaries import BoundaryEstimate, find_boundaries
from layeratlas.studies.segments.record import Interval, KindRecord, KindsRecord
from layeratlas.studies.segments.settings import SegmentSettings
from layeratlas.studies.segments.signals import BlockSignals, fuse


@dataclass(frozen=True, kw_only=True)
class KindsTest:
    """The loss from using the boundaries of each of two kinds for the other, and that of shuffled kinds (B,)."""

    loss: float
    null: Floats

    @property
    def p(self) -> float:
        """The share of shuffles (counting the observed kinds as one) with at least the observed loss."""
        return rank_p(self.loss, self.null)

    @property
    def seen(self) -> float:
        """The loss above which p is at most 0.05."""
        return float(np.quantile(self.null, 1 - ALPHA, method="higher"))


def kinds_test(signals: BlockSignals, first: NDArray[np.bool_], shuffles: int, seed: int) -> KindsTest:
    """Test whether the boundaries differ between two kinds of passages, against shuffled kinds.

    The statistic is the added cost of using the other kind's boundaries, as a share of the kind's whole cost. Positions
    alone would be unstable, because they jump between boundaries that are nearly as good. `first` (P,) marks the
    passages of the first kind.
    """
    inner, random = without_ends(signals.values), np.random.default_rng(seed)
    masks = np.array([first, *(random.permutation(first) for _ in range(shuffles))], float)
    shortest, costs, boundaries = shortest_segment(inner.shape[-1]), [], []
    for mask in (masks, 1 - masks):
        means = np.tensordot(mask, inner, 1) / mask.sum(1)[:, None, None]
        costs.append(segment_costs(fuse(means, signals.groups)))
        boundaries.append(best_boundaries(costs[-1], 2, shortest)[0])
    whole = [np.maximum(cost[..., 0, -1], 1e-300) for cost in costs]
    extra = [(cost_at(costs[i], boundaries[1 - i]) - cost_at(costs[i], boundaries[i])) / whole[i] for i in (0, 1)]
    loss = (extra[0] + extra[1]) / 2
    return KindsTest(loss=float(loss[0]), null=loss[1:])


def compare_kinds(
    signals: BlockSignals, kinds: Sequence[str], settings: SegmentSettings, seed: int
) -> KindsRecord | None:
    """Return the boundaries of each kind of passage, and whether the first two kinds differ.

    None if there is only one kind, or a kind with a single passage.
    """
    names = list(dict.fromkeys(kinds))
    marks = {name: np.array([kind == name for kind in kinds]) for name in names}
    if len(names) < 2 or min(mark.sum() for mark in marks.values()) < 2:
        return None
    # Kinds are independent samples, so each is resampled separately.
    estimates = {
        name: find_boundaries(_subset(signals, mark), settings.draws, seed + number)
        for number, (name, mark) in enumerate(marks.items())
    }
    first, second = names[:2]
    pair = marks[first] | marks[second]
    test = kinds_test(_subset(signals, pair), marks[first][pair], settings.surrogates, seed)
    return KindsRecord(
        by_kind={
            name: KindRecord(
                n=int(marks[name].sum()), boundaries=estimate.boundaries.tolist(), intervals=estimate.intervals
            )
            for name, estimate in estimates.items()
        },
        compared=(first, second),
        p=test.p,
        loss=test.loss,
        seen=test.seen,
        shifts=_shifts(estimates[first], estimates[second]),
    )


def _shifts(first: BoundaryEstimate, second: BoundaryEstimate) -> tuple[Interval, Interval]:
    """Return the 90 % interval of the distance between each boundary of the second kind and of the first, in blocks."""
    lo, hi = np.quantile(second.draws - first.draws, [0.05, 0.95], axis=0, method="nearest").tolist()
    return (lo[0], hi[0]), (lo[1], hi[1])


def _subset(signals: BlockSignals, mark: NDArray[np.bool_]) -> BlockSignals:
    return BlockSignals(values=signals.values[mark], names=signals.names, groups=signals.groups)
