"""Does the last exit beat the same architecture with random weights, on the same questions?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.curves import ReferenceKind
from layeratlas.stats.intervals import MARGIN
from layeratlas.stats.verdicts import Effect, bootstrapped, holm_corrected
from layeratlas.studies.exits.curves import ExitCurve
from layeratlas.studies.exits.names import ExitFinding


def random_weights_findings(curves: Sequence[ExitCurve], readout_note: str) -> list[Finding]:
    """Return, for each level measured with random weights, whether the last exit beats them.

    Groups are resampled together for both models; p is two-sided, Holm-corrected over the levels.
    """
    measured = [curve for curve in curves if ReferenceKind.RANDOM_WEIGHTS in curve.references]
    effects = holm_corrected([_gain(curve) for curve in measured])
    return [_finding(curve, effect, readout_note) for curve, effect in zip(measured, effects, strict=True)]


def _gain(curve: ExitCurve) -> Effect:
    reference = curve.references[ReferenceKind.RANDOM_WEIGHTS]
    return bootstrapped(reference.gain[-1], reference.gain_draws[:, -1], curve.n_groups, least=-1.0, most=1.0)


def _finding(curve: ExitCurve, effect: Effect, readout_note: str) -> Finding:
    reference = curve.references[ReferenceKind.RANDOM_WEIGHTS]
    verdict = effect.verdict(margin=MARGIN)
    level, random = f"{curve.level}{readout_note}", reference.estimate[-1]
    interval = f"{effect.estimate:.2f} [{effect.lo:.2f}, {effect.hi:.2f}] on {reference.n} questions"
    statement = {
        "supported": f"The last exit answers {level} better than random weights do ({random:.2f}): gain {interval}.",
        "not supported": f"The last exit gains less than {MARGIN} on random weights ({random:.2f}) in {level}: "
        f"{interval}.",
        "inconclusive": f"Whether the last exit answers {level} better than random weights do is undecided "
        f"({random:.2f}): gain {interval}.",
    }[verdict]
    finding = curve_finding(
        ExitFinding.RANDOM_WEIGHTS,
        curve,
        statement=statement,
        effect=effect,
        null="the same architecture with random weights",
        verdict=verdict,
    )
    return replace(finding, n=reference.n)
