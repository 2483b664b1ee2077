"""Which quantities depend on the family of a model rather than on its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan

import numpy as np

from layeratlas.comparison.cohort import Cohort
from layeratlas.comparison.kinds import ComparisonKind
from layeratlas.comparison.models import Model, families_of
from layeratlas.core.formatting import capitalised
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.runs.quantity import Place
from layeratlas.stats.families import Parts, least_partial, variance_parts
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.verdicts import Effect, could_have_seen, decide

# The quantities of curves that are tested, each corrected over the levels.
_OF_CURVES = ("peak depth", "onset depth", "peak value")


def family_findings(cohort: Cohort, models: Sequence[Model]) -> list[Finding]:
    """Return findings on the effect of family given size: on the study's quantities, and on peak depths and values."""
    known = [model for model in models if model.run.parameters > 0]
    findings: list[Finding] = []
    for name, shared in _groups(known).items():
        values = np.array([[model.value(place).estimate for place in shared] for model in known])
        varies = np.ptp(values, 0) > 0
        places = [place for place, kept in zip(shared, varies, strict=True) if kept]
        if not places:
            continue
        log_size = np.log10([model.run.parameters for model in known])
        parts = variance_parts(values[:, varies], [model.run.family for model in known], log_size)
        if not parts:
            findings.append(_too_few(name, known))
        findings += [_finding(place, part, known) for place, part in zip(places, parts, strict=False)]
    return findings + cohort.plugin.cohort_findings(cohort.runs)


def _groups(models: Sequence[Model]) -> Mapping[str, list[Place]]:
    """Return the quantities that all models have, by the name of the group in which they are corrected together."""
    if not models:
        return {}
    shared = [place for place in models[0].quantities if all(place in model.quantities for model in models)]
    own = [place for place in shared if place not in models[0].of_curves]
    groups = {" and ".join(dict.fromkeys(place.quantity for place in own)): own} if own else {}
    for name in _OF_CURVES:
        of_curves = [place for place in shared if place in models[0].of_curves and place.component == "resid"]
        places = [place for place in of_curves if place.quantity == name]
        groups |= {name: places} if places else {}
    return groups


def _too_few(name: str, models: Sequence[Model]) -> Finding:
    each = ", ".join(f"{family}: {len(members)}" for family, members in families_of(models).items())
    return curve_finding(
        ComparisonKind.FAMILY,
        Subject(level="all", component="resid", method="all", n=len(models)),
        statement=f"The effect of family on {name} cannot be measured: it needs two models or more of each of two "
        f"families, and one more ({each}).",
        effect=Effect(estimate=nan),
        null="families assigned at random",
        verdict="inconclusive",
    )


def _finding(place: Place, part: Parts, models: Sequence[Model]) -> Finding:
    # A permutation test cannot show equivalence, so the absence of a family effect is never shown.
    verdict = decide(shown=part.p_all <= ALPHA, refuted=False)
    families = len({model.run.family for model in models})
    least = f"a partial R² of about {least_partial(families, len(models)):.2f}"
    if part.smallest > ALPHA:
        least = "nothing, with so few models"
    link = (
        "goes with the family"
        if verdict == "supported"
        else f"is not shown to go with the family ({could_have_seen(least)})"
    )
    label = models[0].quantities[place].label
    return curve_finding(
        ComparisonKind.FAMILY,
        Subject(level=label, component=place.component, method=place.method, n=len(models)),
        statement=f"{capitalised(label)} {link}: partial R² {part.family:.2f} given size ({part.lo:.2f} to "
        f"{part.hi:.2f} with one model left out; omega² {part.omega2:.2f}), size {part.size:.2f} given family; "
        f"p = {part.p_all:.3f} over {part.assignments} assignments of models to families (smallest possible "
        f"{part.smallest:.3f}). Families differ in more than their name.",
        effect=Effect(estimate=part.family, lo=part.lo, hi=part.hi, p=part.p_all),
        null="families assigned to models at random (exact permutation, largest of the quantities)",
        verdict=verdict,
    )
