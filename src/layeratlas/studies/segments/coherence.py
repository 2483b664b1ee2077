"""Which findings of the segments study hold only where others do: boundaries where two exist."""

from __future__ import annotations

from layeratlas.runs.coherence import Presupposes
from layeratlas.studies.segments.names import SegmentFinding

PRESUPPOSED = (
    Presupposes(kind=SegmentFinding.BOUNDARY, needs=SegmentFinding.EXISTENCE),
    Presupposes(kind=SegmentFinding.TRAINING, needs=SegmentFinding.EXISTENCE),
)
