"""Does the peak beat what surface features reach without the model?"""

from __future__ import annotations

import numpy as np

from layeratlas.runs.finding import Finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import MARGIN
from layeratlas.studies.hierarchy.findings.gain import peak_gain
from layeratlas.studies.hierarchy.names import COMPONENT_NAMES, Kind
from layeratlas.studies.hierarchy.phrasing import Phrasing

_VERBS = {"supported": "beats", "not supported": "does not beat", "inconclusive": "does not clearly beat"}


def surface_finding(curve: Curve, phrasing: Phrasing) -> Finding:
    """Return whether the peak beats the best surface feature: words, lengths, or the embedding (point 0)."""
    reference, floor, feature = np.zeros(len(curve.estimate)), curve.baseline, "words and lengths alone"
    # Not `>=`: where there is no baseline (NaN), the embedding is the reference too.
    if curve.component == "resid" and not curve.estimate[0] < curve.baseline:
        reference[0], floor, feature = 1, 0.0, "the token embedding (point 0)"
    gain = peak_gain(curve, reference, floor)
    verdict = gain.verdict(margin=MARGIN)
    level = float(curve.estimate @ reference) + floor
    statement = (
        f"The peak of {phrasing.level(curve.level)} in {COMPONENT_NAMES[curve.component]} {_VERBS[verdict]} {feature} "
        f"({level:.2f}): gain {gain.estimate:.2f} [{gain.lo:.2f}, {gain.hi:.2f}]."
    )
    return Finding(
        finding=Kind.SURFACE,
        level=curve.level,
        component=curve.component,
        method=curve.method,
        statement=statement,
        estimate=gain.estimate,
        lo=gain.lo,
        hi=gain.hi,
        p=gain.p,
        null=f"the peak equals {feature}",
        verdict=verdict,
        n=curve.n,
    )
