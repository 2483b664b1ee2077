"""Which findings of the hierarchy study presuppose others: all presuppose that the level decodes."""

from __future__ import annotations

from layeratlas.runs.coherence import Presupposes
from layeratlas.runs.finding import Finding
from layeratlas.studies.hierarchy.names import BURIED, HierarchyFinding

_PEAK = HierarchyFinding.PEAK


def _buried_and_plain(finding: Finding) -> tuple[str, ...]:
    """Return a buried level and the level of the same content when not buried."""
    return finding.level, finding.level.removeprefix(f"{BURIED} ")


PRESUPPOSED = (
    Presupposes(kind=HierarchyFinding.EMERGENCE, needs=_PEAK),
    Presupposes(kind=HierarchyFinding.DECLINE, needs=_PEAK),
    Presupposes(kind=HierarchyFinding.SURFACE, needs=_PEAK),
    Presupposes(kind=HierarchyFinding.RANDOM_WEIGHTS, needs=_PEAK),
    Presupposes(kind=HierarchyFinding.SECOND_PEAK, needs=_PEAK),
    Presupposes(kind=HierarchyFinding.DEEP_CONTENT, needs=_PEAK),
    Presupposes(kind=HierarchyFinding.DEEP_DOCUMENTS, needs=_PEAK),
    Presupposes(kind=HierarchyFinding.EMERGENCE_ORDER, needs=_PEAK, both_ways=True),
    Presupposes(kind=HierarchyFinding.ORDER, needs=_PEAK, both_ways=True),
    Presupposes(kind=HierarchyFinding.DEEP_COMPRESSION, needs=_PEAK, levels=_buried_and_plain, both_ways=True),
)
