"""Brittleness of the Local segment of a run: what claims about it share."""

from __future__ import annotations

from layeratlas.runs.finished import FinishedRun
from layeratlas.studies.segments.names import LOCAL, SegmentFinding

# Noise relative to the stream's size. Absolute noise, scaling or ablation give B another meaning and another scale.
_METHOD = "noise"
ASKED = "layeratlas run segments on four models of each of two families, with noise=relative"


def local_brittleness(run: FinishedRun) -> float | None:
    """Return B of the Local segment under relative noise; None where the run has none above 0."""
    findings = run.of_kind(SegmentFinding.BRITTLENESS, method=_METHOD)
    return next((f.estimate for f in findings if f.level == LOCAL and f.estimate > 0), None)
