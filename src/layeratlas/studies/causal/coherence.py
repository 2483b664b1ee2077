"""Which findings of the causal study presuppose others: use presupposes that the model answers at all."""

from __future__ import annotations

from layeratlas.runs.coherence import Presupposes, own_levels
from layeratlas.studies.causal.names import CausalFinding

PRESUPPOSED = (
    Presupposes(kind=CausalFinding.USED, needs=CausalFinding.ANSWERED, levels=own_levels),
    Presupposes(kind=CausalFinding.SPECIFIC, needs=CausalFinding.USED),
    Presupposes(kind=CausalFinding.UNUSED, needs=CausalFinding.ANSWERED),
)
