"""Which findings of the exits study hold only where others do: onsets where a level is answered."""

from __future__ import annotations

from layeratlas.runs.coherence import Presupposes, any_level
from layeratlas.studies.exits.names import ExitFinding

PRESUPPOSED = (
    Presupposes(kind=ExitFinding.ONSET, needs=ExitFinding.EXIT),
    Presupposes(kind=ExitFinding.X1, needs=ExitFinding.EXIT, both_ways=True),
    Presupposes(kind=ExitFinding.X4, needs=ExitFinding.EXIT, levels=any_level, both_ways=True),
    Presupposes(kind=ExitFinding.X4_START, needs=ExitFinding.EXIT, both_ways=True),
)
