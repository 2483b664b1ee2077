"""Does the peak beat a model of the same architecture with random weights?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.formatting import capitalised
from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.curves import Curve, ReferenceKind
from layeratlas.stats.intervals import MARGIN, ROUNDING, Z95, one_group
from layeratlas.stats.peaks import cross_chosen
from layeratlas.stats.tests import two_sided_t
from layeratlas.stats.verdicts import Effect, holm_corrected
from layeratlas.studies.hierarchy.names import COMPONENT_NAMES, HierarchyFinding
from layeratlas.studies.hierarchy.phrasing import Phrasing


def random_weights_findings(curves: Sequence[Curve], phrasing: Phrasing) -> list[Finding]:
    """Return whether each peak exceeds the best layer of the random-weight model, for curves with this reference.

    Both layers are chosen on one half of the groups and measured on the other; p is two-sided, Holm-corrected.
    """
    measured = [curve for curve in curves if ReferenceKind.RANDOM_WEIGHTS in curve.references]
    effects = holm_corrected([gain_over_random_weights(curve) for curve in measured])
    return [_finding(curve, effect, phrasing) for curve, effect in zip(measured, effects, strict=True)]


def gain_over_random_weights(curve: Curve) -> Effect:
    """Return the peak of a curve minus the peak of its random-weight reference, paired by draw."""
    random = curve.references[ReferenceKind.RANDOM_WEIGHTS]
    nothing = np.zeros(len(curve.estimate))
    gain = cross_chosen(curve, nothing) - cross_chosen(random, nothing)
    draws = curve.draws[:, curve.estimate.argmax()] - random.draws[:, random.estimate.argmax()]
    # If all draws are equal, one group's share is the smallest plausible error.
    error = float(draws.std()) if draws.std() > ROUNDING else one_group(curve.n_groups)
    p = two_sided_t(gain, error, curve.n_groups - 1)
    return Effect(estimate=gain, lo=gain - Z95 * error, hi=gain + Z95 * error, p=p)


def _finding(curve: Curve, effect: Effect, phrasing: Phrasing) -> Finding:
    verdict = effect.verdict(margin=MARGIN)
    where = COMPONENT_NAMES[curve.component]
    reached = f"{curve.references[ReferenceKind.RANDOM_WEIGHTS].estimate.max():.2f} at best"
    best, decode = f"random weights ({reached})", phrasing.does(curve.level, "decode")
    beginning = {
        "supported": f"{capitalised(decode)} better from {where} than from {best}: gain",
        "not supported": f"{capitalised(phrasing.does(curve.level, 'gain'))} less than {MARGIN} on {best} in {where}:",
        "inconclusive": f"Whether {decode} better from {where} than from random weights is undecided ({reached}): gain",
    }[verdict]
    return curve_finding(
        HierarchyFinding.RANDOM_WEIGHTS,
        curve,
        statement=f"{beginning} {effect.estimate:.2f} [{effect.lo:.2f}, {effect.hi:.2f}].",
        effect=effect,
        null="the peak of the same architecture with random weights",
        verdict=verdict,
    )
