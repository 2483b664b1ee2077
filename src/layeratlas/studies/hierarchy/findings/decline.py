"""Does a level decode worse at the last layer than at its peak?"""

from __future__ import annotations

import numpy as np

from layeratlas.core.formatting import capitalised
from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import MARGIN
from layeratlas.studies.hierarchy.findings.gain import peak_gain
from layeratlas.studies.hierarchy.names import COMPONENT_NAMES, HierarchyFinding
from layeratlas.studies.hierarchy.phrasing import Phrasing, measure


def decline_finding(curve: Curve, phrasing: Phrasing) -> Finding:
    """Return whether a curve falls from its peak to the last layer."""
    last = np.zeros(len(curve.estimate))
    last[-1] = 1
    drop = peak_gain(curve, last)
    verdict = drop.verdict(margin=MARGIN)
    subject = f"{measure(curve)} of {phrasing.level(curve.level)}"
    way = f"from its peak to the last layer of {COMPONENT_NAMES[curve.component]}"
    beginnings = {
        "supported": f"{capitalised(subject)} falls {way}",
        "not supported": f"{capitalised(subject)} falls by less than {MARGIN} {way}",
        "inconclusive": f"Whether {subject} falls {way} is undecided ({drop.could_have_seen})",
    }
    statement = f"{beginnings[verdict]}: drop {drop.estimate:.2f} [{drop.lo:.2f}, {drop.hi:.2f}]."
    null = "the last layer decodes as well as the peak"
    return curve_finding(HierarchyFinding.DECLINE, curve, statement=statement, effect=drop, null=null, verdict=verdict)
