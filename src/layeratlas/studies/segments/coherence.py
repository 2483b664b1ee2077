"""Rules between findings of the segments study, such as: boundary positions presuppose that two boundaries exist."""

from __future__ import annotations

from layeratlas.runs.coherence import Excludes, Presupposes, Rule
from layeratlas.studies.segments.names import SegmentFinding

PRESUPPOSED: tuple[Rule, ...] = (
    Presupposes(kind=SegmentFinding.BOUNDARY, needs=SegmentFinding.EXISTENCE),
    Presupposes(kind=SegmentFinding.TRAINING, needs=SegmentFinding.EXISTENCE),
    # If three segments fit the ordered layers, random orders cannot fit better.
    Excludes(
        kind=SegmentFinding.LAYER_ORDER,
        said="not supported",
        other=SegmentFinding.EXISTENCE,
        other_said="supported",
    ),
)
