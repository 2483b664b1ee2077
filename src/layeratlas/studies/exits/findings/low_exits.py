"""What do low exits answer? One model's estimate for X5, which compares sizes, and whether low exits reason (X9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.intervals import MARGIN, draws_interval
from layeratlas.stats.verdicts import Effect, bootstrapped, holm_corrected
from layeratlas.studies.exits.curves import ExitCurve
from layeratlas.studies.exits.findings.languages import LOWER_THIRD
from layeratlas.studies.exits.findings.statements import levels_finding, title, with_span
from layeratlas.studies.exits.names import ExitFinding

# Exits below this fraction of depth are the low ones.
LOW = 0.25
# The levels that ask for abstract reasoning.
_REASONING = ("reasoning", "logic")


def low_exits_finding(curves: Sequence[ExitCurve], readout_note: str) -> list[Finding]:
    """Return X5: the mean gain of low exits over the best baseline; always inconclusive for a single model.

    None if no low exit was read out.
    """
    inside = curves[0].depth < LOW
    if not inside.any():
        return []
    draws = np.mean([curve.gains[:, inside].mean(1) for curve in curves], axis=0)
    lo, hi = draws_interval(draws, min(curve.n_groups for curve in curves), least=-1.0, most=1.0)
    estimate = float(np.mean([curve.excess[inside].mean() for curve in curves]))
    effect = Effect(estimate=estimate, lo=float(lo), hi=float(hi))
    finding = levels_finding(
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
    return [finding]


def low_reasoning_findings(curves: Sequence[ExitCurve], readout_note: str) -> list[Finding]:
    """Return X9 for each level of reasoning: exits up to a third of the depth gain over every baseline.

    The embeddings are left out. Choices without their question are always a baseline here, even if they are evident:
    recognising a wrong sum needs no reasoning about the question. p is Holm-corrected over the levels. Empty for a
    model of one or two blocks, which has no such exit.
    """
    asked = [replace(curve, evident=False) for curve in curves if curve.level in _REASONING]
    inside = [(curve.depth <= LOWER_THIRD) & (curve.depth > 0) for curve in asked]
    low = [(curve, exits) for curve, exits in zip(asked, inside, strict=True) if exits.any()]
    effects = holm_corrected(
        [
            bootstrapped(
                float(curve.excess[exits].mean()),
                curve.gains[:, exits].mean(1),
                curve.n_groups,
                least=-1.0,
                most=1.0,
            )
            for curve, exits in low
        ]
    )
    return [_low_reasoning(curve, effect, readout_note) for (curve, _), effect in zip(low, effects, strict=True)]


def _low_reasoning(curve: ExitCurve, effect: Effect, readout_note: str) -> Finding:
    verdict = effect.verdict(margin=MARGIN)
    low = f"exits up to depth {LOWER_THIRD:.2f}"
    summary = {
        "supported": f"{low} answer above every baseline",
        "not supported": f"{low} gain less than {MARGIN} over the baselines",
        "inconclusive": f"whether {low} answer above every baseline is undecided ({effect.could_have_seen})",
    }[verdict]
    return curve_finding(
        ExitFinding.X9,
        curve,
        statement=f"{title(curve)}: {summary}: {with_span(effect)} in accuracy{readout_note} (X9).",
        effect=effect,
        null="no gain over the best of chance, the surface rules and the choice without the question",
        verdict=verdict,
    )
