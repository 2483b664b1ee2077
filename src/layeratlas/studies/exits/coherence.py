"""Rules between findings of the exits study: which presuppose another (onsets need an answered level) or exclude it."""

from __future__ import annotations

from layeratlas.runs.coherence import Excludes, Presupposes, Rule, any_level
from layeratlas.studies.exits.names import ExitFinding

PRESUPPOSED: tuple[Rule, ...] = (
    Presupposes(kind=ExitFinding.ONSET, needs=ExitFinding.EXIT),
    Presupposes(kind=ExitFinding.X1, needs=ExitFinding.EXIT, both_ways=True),
    Presupposes(kind=ExitFinding.X4, needs=ExitFinding.EXIT, levels=any_level, both_ways=True),
    Presupposes(kind=ExitFinding.X4_START, needs=ExitFinding.EXIT, both_ways=True),
    Presupposes(kind=ExitFinding.X8, needs=ExitFinding.EXIT),
    Presupposes(kind=ExitFinding.X9, needs=ExitFinding.EXIT),
    # If the exit before the last is better, the last exit cannot be the best of all.
    *(
        Excludes(kind=kind, said="supported", other=ExitFinding.LAST_EXIT, other_said="not supported")
        for kind in (ExitFinding.LAST_AGAINST_BEST, ExitFinding.X2)
    ),
)
