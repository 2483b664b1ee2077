"""`segments.json`: the boundaries, how sure they are, the existence test and the controls, as one typed record."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from layeratlas.core.files import read_json, write_json
from layeratlas.core.spec import Spec
from layeratlas.studies.segments.boundaries import BoundaryEstimate
from layeratlas.studies.segments.existence import Existence
from layeratlas.studies.segments.names import SEGMENT_NAMES, SEGMENTS_FILE

# The 90 % interval of a boundary, in blocks.
Interval = tuple[int, int]
Pair = tuple[int, int]


class Segment(Spec):
    """A named segment: its first and last block, and how many blocks it has."""

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
    """The boundaries by kind of passage, and the p-value of a difference between the two kinds compared."""

    by_kind: dict[str, KindRecord]
    compared: tuple[str, str]
    p: float


class FirstVersionRecord(Spec):
    """Boundaries by the rule of the first version, and the blocks whose change is below mean - 2 sd."""

    boundaries: Pair
    below_two_sd: list[int]


class ExistenceRecord(Spec):
    """The existence test (see `Existence`), with quantiles of its null in place of the surrogates.

    `null_left` are the 5, 50 and 95 % quantiles of C2 / C0 of the surrogates; `null_lo`, `null_hi` the 5 and 95 %
    quantiles of their cost curves; `surrogates` how many there are.
    """

    left: float
    p: float
    smooth_p: float
    unclipped_p: float
    second_p: float
    first: int
    null_left: tuple[float, float, float]
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
    left: float
    p: float
    curve: list[float]


class SegmentsRecord(BoundaryRecord):
    """All that `segments.json` holds; the boundaries at the top are those of `method`, the rule that the run shows.

    `signals` are the fused signals with their groups, `missing` those that could not be measured; `shortest` is the
    smallest number of blocks per segment; `mode`, `share` and `together` as in `BoundaryEstimate`. `leave_one_out` are
    the boundaries without each signal; `v1`, `kinds` and `untrained` are None if they were not measured.
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
    """Return the record of a run's folder; raises StoreError if the file is missing or broken."""
    return SegmentsRecord(**read_json(folder / SEGMENTS_FILE))


def write_segments(folder: Path, record: SegmentsRecord) -> None:
    """Write the record into a run's folder, atomically."""
    write_json(folder / SEGMENTS_FILE, record.model_dump(mode="json"))


def boundary_record(estimate: BoundaryEstimate) -> BoundaryRecord:
    """Return boundaries with their intervals."""
    return BoundaryRecord(boundaries=estimate.boundaries.tolist(), intervals=estimate.intervals)


def segments_between(boundaries: Pair, blocks: int) -> list[Segment]:
    """Return the three segments that two boundaries part L blocks into."""
    ends = [0, *boundaries, blocks]
    return [
        Segment(name=name, first=ends[i], last=ends[i + 1] - 1, blocks=ends[i + 1] - ends[i])
        for i, name in enumerate(SEGMENT_NAMES)
    ]


def existence_record(existence: Existence) -> ExistenceRecord:
    """Return the record of an existence test."""
    lo, hi = np.quantile(existence.null_curves, [0.05, 0.95], axis=0)
    return ExistenceRecord(
        left=existence.left,
        p=existence.p,
        smooth_p=existence.smooth_p,
        unclipped_p=existence.unclipped_p,
        second_p=existence.second_p,
        first=existence.first,
        null_left=np.quantile(existence.null_left, [0.05, 0.5, 0.95]).tolist(),
        shuffled_p=existence.shuffled_p,
        curve=existence.curve.tolist(),
        null_lo=lo.tolist(),
        null_hi=hi.tolist(),
        surrogates=len(existence.null_left),
    )
