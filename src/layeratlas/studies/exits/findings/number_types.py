"""Are floats harder than integers (X6)? Integer problems are paired with their float twins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.arrays import Bools, Floats
from layeratlas.data.questions import Question
from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.intervals import ROUNDING
from layeratlas.stats.resampling import Resampler, split_draws
from layeratlas.stats.verdicts import bootstrapped
from layeratlas.studies.exits.curves import ExitCurve
from layeratlas.studies.exits.findings.statements import with_span
from layeratlas.studies.exits.measures import accuracy
from layeratlas.studies.exits.names import ExitFinding
from layeratlas.studies.exits.scores import ScoredSet

INTEGER, FLOAT = "integer", "float"
# The fewest pairs that are reported.
FEWEST_PAIRS = 10


def float_finding(scored: ScoredSet, curve: ExitCurve, resampler: Resampler, *, strict: bool) -> Finding | None:
    """Return X6 at the last exit, or None for a set with fewer than ten pairs; `curve` is the set's main one.

    An integer problem and its float twin share a group.
    """
    pairs = _groups_of(scored, INTEGER) & _groups_of(scored, FLOAT)
    if len(pairs) < FEWEST_PAIRS:
        return None
    right = accuracy(scored.scores(curve.method)[-1], scored.key, strict)
    weights = resampler.weights(scored.groups)
    integers = _weighted_mean(right, weights, _inside(scored, INTEGER, pairs))
    floats = _weighted_mean(right, weights, _inside(scored, FLOAT, pairs))
    lead = split_draws(integers - floats, resampler)
    effect = bootstrapped(float(lead.estimate), lead.draws, len(pairs), least=-1.0, most=1.0)
    verdict = effect.verdict()
    summary = {
        "supported": "Floats are harder than integers of the same digits",
        "not supported": "Floats are easier than integers of the same digits",
        "inconclusive": f"Whether floats are harder than integers of the same digits is undecided "
        f"({effect.could_have_seen})",
    }[verdict]
    return curve_finding(
        ExitFinding.X6,
        curve,
        statement=(
            f"{summary} in {curve.task} at the last exit: integers minus floats {with_span(effect)} in accuracy, "
            f"{len(pairs)} pairs (X6)."
        ),
        effect=effect,
        null="integers and their float twins are answered equally well",
        verdict=verdict,
    )


def float_findings(
    sets: Sequence[ScoredSet], curves: Sequence[ExitCurve], resampler: Resampler, *, strict: bool
) -> list[Finding]:
    """Return X6 for the sets of one level; `curves` are their main ones, in the same order."""
    findings = [
        float_finding(scored, curve, resampler, strict=strict) for scored, curve in zip(sets, curves, strict=True)
    ]
    return [finding for finding in findings if finding is not None]


def number_type(question: Question) -> str:
    """Return whether a question has integers or floats, from its stratum; empty for neither."""
    return next((name for name in (INTEGER, FLOAT) if name in question.stratum.split()), "")


def _groups_of(scored: ScoredSet, kind: str) -> set[str]:
    return {question.group for question in scored.data.items if number_type(question) == kind}


def _inside(scored: ScoredSet, kind: str, pairs: set[str]) -> Bools:
    return np.array([number_type(q) == kind and q.group in pairs for q in scored.data.items])


def _weighted_mean(right: Floats, weights: Floats, inside: Bools) -> Floats:
    """Return the mean of some questions under every row of weights, (1 + B + 2H,)."""
    mean: Floats = weights[:, inside] @ right[inside] / np.maximum(weights[:, inside].sum(1), ROUNDING)
    return mean
