"""`segments.json` as a typed record: the boundaries, their uncertainty, the existence test and the controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.files import read_json, write_json
from layeratlas.core.spec import Spec
from layeratlas.studies.segments.boundaries import BoundaryEstimate
from layeratlas.studies.segments.existence import Existence
from layeratlas.studies.segments.names import SEGMENT_NAMES, SEGMENTS_FILE
from layeratlas.studies.segments.sharpness import Sharpness, SharpnessInterval

# The 90 % interval of a boundary, in blocks.
Interval = tuple[int, int]
Pair = tuple[int, int]
# The 5, 50 and 95 % quantiles of a null.
NullQuantiles = tuple[float, float, float]


class Segment(Spec):
    """A named segment: its first and last block, and its number of blocks."""

    name: str
    first: int
    last: int
    blocks: int


class BoundaryRecord(Spec):
    """Two boundaries (the first block after each) with their 90 % intervals over passages."""

    boundaries: Pair
    intervals: tuple[Interval, Interval]


class KindRecord(BoundaryRecord):
    """The boundaries of the n passages of one kind."""

    n: int


class KindsRecord(Spec):
    """The boundaries by kind of passage, and the test of a difference between the two kinds compared.

    `loss` is the share of the variation lost by using each kind's boundaries for the other kind; p is at most 0.05 for
    a loss above `seen`. `shifts` are the 90 % intervals of the distance between the two kinds' boundaries, in blocks.
    """

    by_kind: dict[str, KindRecord]
    compared: tuple[str, str]
    p: float
    loss: float
    seen: float
    shifts: tuple[Interval, Interval]


class FirstVersionRecord(Spec):
    """Boundaries by the rule of the paper's first version, and the blocks whose change is below mean - 2 sd."""

    boundaries: Pair
    below_two_sd: list[int]


class SharpnessRecord(Spec):
    """How sharp a boundary is (see `Sharpness`), with the 95 % intervals of share and width over passages."""

    boundary: int
    share: float
    share_interval: tuple[float, float]
    width: float
    width_interval: tuple[float, float]
    p: float
    smooth_p: float
    seen: float


class ExistenceRecord(Spec):
    """The existence test (see `Existence`), with quantiles instead of the values of all surrogates.

    `null_left`, `null_second_left` and `shuffled_left` are 5, 50 and 95 % quantiles; `null_lo`, `null_hi` are the 5 and
    95 % quantiles of the surrogates' cost curves; `surrogates` is their number.
    """

    left: float
    p: float
    sharpness: tuple[SharpnessRecord, SharpnessRecord]
    smooth_p: float
    second_p: float
    first: int
    second_left: float
    null_left: NullQuantiles
    null_second_left: NullQuantiles
    shuffled_left: NullQuantiles
    shuffled_p: float
    curve: list[float]
    null_lo: list[float]
    null_hi: list[float]
    surrogates: int


class UntrainedRecord(Spec):
    """Boundaries and existence test of the same architecture with random weights."""

    passages: int
    signals: list[str]
    boundaries: Pair
    existence: ExistenceRecord


class SegmentsRecord(BoundaryRecord):
    """The content of `segments.json`; the top-level boundaries are those of `method`, the rule that the run shows.

    `signals` are the fused signals with their groups, `missing` are those that could not be measured. `shortest` is the
    smallest number of blocks per segment, not counting a first and last block that are left out. `mode`, `share` and
    `together` are as in `BoundaryEstimate`. `leave_one_out` are the boundaries without each signal; `v1`, `kinds` and
    `untrained` are None if they were not measured.
    """

    method: str
    blocks: int
    passages: int
    signals: dict[str, str]
    missing: list[str] = []
    shortest: int
    mode: Pair
    share: tuple[float, float]
    segments: list[Segment]
    together: list[list[float]]
    existence: ExistenceRecord
    v1: FirstVersionRecord | None = None
    exact: BoundaryRecord
    leave_one_out: dict[str, Pair] = {}
    kinds: KindsRecord | None = None
    untrained: UntrainedRecord | None = None

    @property
    def spans(self) -> dict[str, tuple[int, int]]:
        """The half-open range of blocks of each segment, by name."""
        return {segment.name: (segment.first, segment.last + 1) for segment in self.segments}

    @property
    def ends(self) -> list[int]:
        """The ends of the segments: 0, both boundaries, L."""
        return [0, *self.boundaries, self.blocks]


def read_segments(folder: Path) -> SegmentsRecord:
    """Return the record of a run's folder; raises StoreError if the file is missing or damaged."""
    return SegmentsRecord(**read_json(folder / SEGMENTS_FILE))


def write_segments(folder: Path, record: SegmentsRecord) -> None:
    """Write the record into a run's folder, atomically."""
    write_json(folder / SEGMENTS_FILE, record.model_dump(mode="json"))


def boundary_record(estimate: BoundaryEstimate) -> BoundaryRecord:
    """Return boundaries with their intervals."""
    return BoundaryRecord(boundaries=estimate.boundaries.tolist(), intervals=estimate.intervals)


def segments_between(boundaries: Pair, blocks: int) -> list[Segment]:
    """Return the three segments into which two boundaries divide L blocks."""
    ends = [0, *boundaries, blocks]
    return [
        Segment(name=name, first=ends[i], last=ends[i + 1] - 1, blocks=ends[i + 1] - ends[i])
        for i, name in enumerate(SEGMENT_NAMES)
    ]


def existence_record(existence: Existence, intervals: Sequence[SharpnessInterval]) -> ExistenceRecord:
    """Return the record of an existence test, with the intervals of its two boundaries' sharpness."""
    lo, hi = np.quantile(existence.null_curves, [0.05, 0.95], axis=0)
    first, second = (_sharpness_record(*pair) for pair in zip(existence.boundaries, intervals, strict=True))
    return ExistenceRecord(
        left=existence.left,
        p=existence.p,
        sharpness=(first, second),
        smooth_p=existence.smooth_p,
        second_p=existence.second_p,
        first=existence.first,
        second_left=existence.second_left,
        null_left=_quantiles(existence.null_left),
        null_second_left=_quantiles(existence.null_second_left),
        shuffled_left=_quantiles(existence.shuffled_left),
        shuffled_p=existence.shuffled_p,
        curve=existence.curve.tolist(),
        null_lo=lo.tolist(),
        null_hi=hi.tolist(),
        surrogates=len(existence.null_left),
    )


def _sharpness_record(sharpness: Sharpness, interval: SharpnessInterval) -> SharpnessRecord:
    return SharpnessRecord(**asdict(sharpness), share_interval=interval.share, width_interval=interval.width)


def _quantiles(null: Floats) -> NullQuantiles:
    lo, middle, hi = np.quantile(null, [0.05, 0.5, 0.95]).tolist()
    return lo, middle, hi
