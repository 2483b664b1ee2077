"""Brittleness of the Local segment of a run, shared by the claims about it."""

from __future__ import annotations

from layeratlas.runs.finished import FinishedRun
from layeratlas.studies.segments.names import LOCAL, SegmentFinding

# Noise relative to the size of the residual stream. With absolute noise, scaling or ablation, B has another meaning and
# another scale.
_METHOD = "noise"
ASKED = "layeratlas run segments on four models of each of two families, with noise=relative"


def local_brittleness(run: FinishedRun) -> float | None:
    """Return B of the Local segment under relative noise; None if the run has no value above 0."""
    findings = run.of_kind(SegmentFinding.BRITTLENESS, method=_METHOD)
    return next((f.estimate for f in findings if f.level == LOCAL and f.estimate > 0), None)
