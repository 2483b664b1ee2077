"""Do deep layers encode properties of whole documents beyond what words alone predict? (H6)"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.formatting import capitalised
from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import MARGIN
from layeratlas.stats.verdicts import Effect, bootstrapped
from layeratlas.studies.hierarchy.findings.compression import DEEP
from layeratlas.studies.hierarchy.names import COMPONENT_NAMES, HierarchyFinding
from layeratlas.studies.hierarchy.phrasing import Phrasing

_LEVEL = "document"


def document_findings(curves: Sequence[Curve], phrasing: Phrasing) -> list[Finding]:
    """Return whether the last quarter of depth decodes documents better than words and lengths alone.

    `curves` are one component's curves of levels that decode. The baseline is resampled over the same groups as the
    curve. The test uses the mean over the deep layers, so no layer is selected.
    """
    return [_finding(curve, phrasing) for curve in curves if curve.level == _LEVEL]


def _finding(curve: Curve, phrasing: Phrasing) -> Finding:
    effect, floor = _gain(curve)
    verdict = effect.verdict(margin=MARGIN)
    decode, where = phrasing.does(curve.level, "decode"), f"the last quarter of {COMPONENT_NAMES[curve.component]}"
    than = f"words and lengths alone ({floor:.2f})"
    beginnings = {
        "supported": f"{capitalised(decode)} better from {where} than from {than}",
        "not supported": f"{capitalised(phrasing.does(curve.level, 'gain'))} less than {MARGIN} on {than} in {where}",
        "inconclusive": f"Whether {decode} better from {where} than from {than} is undecided "
        f"({effect.could_have_seen})",
    }
    statement = f"{beginnings[verdict]}: gain {effect.estimate:.2f} [{effect.lo:.2f}, {effect.hi:.2f}]."
    null = "the last quarter decodes as well as words and lengths alone"
    return curve_finding(
        HierarchyFinding.DEEP_DOCUMENTS, curve, statement=statement, effect=effect, null=null, verdict=verdict
    )


def _gain(curve: Curve) -> tuple[Effect, float]:
    """Return the mean gain of the deep layers over the floor (the better of baseline and chance), and the floor."""
    deep = curve.depth >= DEEP
    floor = float(np.fmax(curve.baseline, curve.chance))
    drawn = np.maximum(curve.baseline_draws, curve.chance) if curve.baseline_draws.size else floor
    gains = curve.draws[:, deep].mean(1) - drawn
    return bootstrapped(float(curve.estimate[deep].mean()) - floor, gains, curve.n_groups), floor
