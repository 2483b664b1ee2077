"""Whether a study's estimates grow with model size: a slope over the models of a family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from layeratlas.comparison.kinds import by_size
from layeratlas.comparison.models import Model
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.slopes import slope_test
from layeratlas.stats.verdicts import Effect, Verdict

# The fewest sizes of a family for a slope.
FEWEST = 3
_LINKS: Mapping[Verdict, str] = {
    "supported": "grows with size",
    "not supported": "falls with size",
    "inconclusive": "has an undecided trend with size",
}


def slope_findings(
    models: Sequence[Model], family: str, kind: str, component: str, words: Mapping[str, str]
) -> list[Finding]:
    """Return, for each level, whether the estimates of a kind of finding grow with log10 parameters."""
    of_models = {model.name: {f.level: f for f in reversed(model.run.of_kind(kind, component))} for model in models}
    levels = dict.fromkeys(f.level for model in models for f in model.run.of_kind(kind, component))
    findings = []
    for level in levels:
        judged = [(model, of_models[model.name][level]) for model in models if level in of_models[model.name]]
        sizes = np.log10([model.run.parameters for model, _ in judged])
        if len(set(sizes)) < FEWEST:
            continue
        slope = slope_test(np.array([finding.estimate for _, finding in judged]), sizes)
        verdict = Effect(estimate=slope.slope, p=slope.p).verdict_by_sign()
        each = ", ".join(f"{model.name} {finding.estimate:.2f} ({finding.verdict})" for model, finding in judged)
        findings.append(
            curve_finding(
                by_size(kind),
                Subject(level=level, component=component, method=judged[0][1].method, n=len(judged)),
                statement=f"The {kind} of {words.get(level, level)} {_LINKS[verdict]} in {family}: {each}; the "
                f"smallest possible p is {slope.smallest:.3f}.",
                effect=Effect(estimate=slope.slope, p=slope.p),
                null="all orders of the models (exact permutation)",
                verdict=verdict,
            )
        )
    return findings
