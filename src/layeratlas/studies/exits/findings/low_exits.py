"""What do low exits answer? This model's part of X5, which compares sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.runs.finding import Finding
from layeratlas.stats.intervals import draws_interval
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.exits.curves import ExitCurve
from layeratlas.studies.exits.findings.statements import levels_finding, with_span
from layeratlas.studies.exits.names import ExitFinding

# Exits below this fraction of depth are the low ones.
LOW = 0.25


def low_exits_finding(curves: Sequence[ExitCurve], readout_note: str) -> Finding:
    """Return X5: the mean gain of low exits over the best baseline, always inconclusive from one model."""
    inside = curves[0].depth < LOW
    draws = np.mean([curve.gains[:, inside].mean(1) for curve in curves], axis=0)
    lo, hi = draws_interval(draws, min(curve.n_groups for curve in curves), least=-1.0, most=1.0)
    estimate = float(np.mean([curve.excess[inside].mean() for curve in curves]))
    effect = Effect(estimate=estimate, lo=float(lo), hi=float(hi))
    return levels_finding(
        ExitFinding.X5,
        curves,
        statement=(
            f"Exits below depth {LOW} gain {with_span(effect)} over the best baseline{readout_note}; whether low "
            "layers perform alike across sizes needs runs of several sizes (X5)."
        ),
        effect=effect,
        null="equal across sizes, which one model cannot test",
        verdict="inconclusive",
    )
