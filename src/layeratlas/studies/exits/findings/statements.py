"""Findings about curves, and the numbers in their statements."""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.core.formatting import capitalised
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.verdicts import Effect, Verdict
from layeratlas.studies.exits.curves import ExitCurve
from layeratlas.studies.exits.names import ALL, ExitFinding


def levels_finding(
    kind: ExitFinding, curves: Sequence[ExitCurve], *, statement: str, effect: Effect, null: str, verdict: Verdict
) -> Finding:
    """Return a finding about several levels together."""
    return curve_finding(
        kind,
        Subject.of(ALL, *curves),
        statement=statement,
        effect=effect,
        null=null,
        verdict=verdict,
    )


def title(curve: ExitCurve) -> str:
    """Return the level's name as the start of a statement."""
    return capitalised(curve.level)


def signed(value: float) -> str:
    """Return a number with its sign and two decimals; zero has a plus."""
    return f"{round(value, 2) + 0.0:+.2f}"


def with_span(effect: Effect) -> str:
    """Return an estimate with its interval, such as `+0.12 [+0.05, +0.19]`."""
    return f"{signed(effect.estimate)} [{signed(effect.lo)}, {signed(effect.hi)}]"


def at_depth(effect: Effect) -> str:
    """Return a depth with its interval, such as `0.52 [0.48, 0.55]`."""
    return f"{effect.estimate:.2f} [{effect.lo:.2f}, {effect.hi:.2f}]"


def share_with_span(effect: Effect) -> str:
    """Return a share with its interval, such as `37% [34%, 41%]`."""
    return f"{effect.estimate:.0%} [{effect.lo:.0%}, {effect.hi:.0%}]"
