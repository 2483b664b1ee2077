"""Which findings of the segments study hold only where others do: boundaries where two exist, layers in order."""

from __future__ import annotations

from layeratlas.runs.coherence import Excludes, Presupposes, Rule
from layeratlas.studies.segments.names import SegmentFinding

PRESUPPOSED: tuple[Rule, ...] = (
    Presupposes(kind=SegmentFinding.BOUNDARY, needs=SegmentFinding.EXISTENCE),
    Presupposes(kind=SegmentFinding.TRAINING, needs=SegmentFinding.EXISTENCE),
    # Three segments fit layers in order: then no random order fits them better.
    Excludes(
        kind=SegmentFinding.LAYER_ORDER,
        said="not supported",
        other=SegmentFinding.EXISTENCE,
        other_said="supported",
    ),
)
