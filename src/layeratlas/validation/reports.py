"""Simulated reports of curves, with a signal in some or no levels: validates peaks and the correction over a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from layeratlas.runs.coherence import gated
from layeratlas.runs.finding import FINDING_FIELDS, Finding
from layeratlas.runs.finding_table import finding_table
from layeratlas.stats.curves import Curve
from layeratlas.studies.hierarchy.analysing import find
from layeratlas.studies.hierarchy.coherence import PRESUPPOSED
from layeratlas.studies.hierarchy.findings.peaks import peak_findings
from layeratlas.studies.hierarchy.names import WHOLE
from layeratlas.studies.hierarchy.phrasing import Phrasing
from layeratlas.validation.noise import POINTS, layer_noise
from layeratlas.validation.rate import Check, Count

LEVELS = ("item", "relation", "analogy")
# The standard error of an accuracy at chance; each probe has an additional independent error of half this size.
_ERROR = 0.03


def simulated_report(seed: int, shuffles: int, planted: Sequence[str] = ()) -> list[Curve]:
    """Return curves of three levels by two probes: noise, as if the labels were one more shuffle, plus planted rises.

    The errors of the two probes are correlated; draws, halves and shuffles have the same distribution.
    """
    rng = np.random.default_rng([seed, 5])
    curves = []
    for level in LEVELS:
        rise = 0.3 / (1 + np.exp(-(np.arange(POINTS) - 10.0))) * (level in planted)
        rows = layer_noise(rng, 1 + shuffles, POINTS)
        draws, halves = layer_noise(rng, 1000, POINTS), layer_noise(rng, 200, POINTS)
        for method, count in (("ridge", shuffles), ("svm", max(20, shuffles // 5))):
            values = 0.5 + _ERROR * (rows + 0.5 * rng.standard_normal(rows.shape))
            estimate = values[0] + rise
            curves.append(
                Curve(
                    level=level,
                    task=WHOLE,
                    stratum=WHOLE,
                    component="resid",
                    method=method,
                    metric="accuracy",
                    estimate=estimate,
                    draws=estimate + _ERROR * draws,
                    half_a=estimate + _ERROR * halves,
                    half_b=estimate - _ERROR * halves,
                    shuffles=values[1 : 1 + count],
                    chance=0.5,
                    baseline=0.5,
                    n=400,
                    n_groups=100,
                )
            )
    return curves


def _supported(seed: int, shuffles: int, planted: Sequence[str] = ()) -> list[Finding]:
    """Return the supported findings of a simulated report, after the correction over it."""
    findings = gated(find(simulated_report(seed, shuffles, planted), Phrasing()), PRESUPPOSED)
    rows = finding_table(findings, "simulated", "hierarchy").select(FINDING_FIELDS).to_dicts()
    return [finding for row in rows if (finding := Finding(**row)).verdict == "supported"]


def _false_peak(shuffles: int) -> Callable[[int], Count]:
    def simulate(seed: int) -> Count:
        findings = peak_findings(simulated_report(seed, shuffles), Phrasing())
        return Count(int(any(finding.verdict == "supported" for finding in findings)))

    return simulate


def _false_report(shuffles: int) -> Callable[[int], Count]:
    return lambda seed: Count(int(bool(_supported(seed, shuffles))))


def _false_discoveries(shuffles: int) -> Callable[[int], Count]:
    """Return a simulation that counts the supported findings on levels without a signal."""

    def simulate(seed: int) -> Count:
        supported = _supported(seed, shuffles, LEVELS[:2])
        return Count(sum(LEVELS[2] in finding.level for finding in supported), len(supported))

    return simulate


REPORT_CHECKS: Sequence[Check] = (
    *(
        Check(planted=f"noise, {n} shuffles", finding="any peak of two probes", simulate=_false_peak(n), at_most=0.05)
        for n in (20, 40, 100, 200)
    ),
    *(
        Check(
            planted=f"noise, {n} shuffles", finding="any finding of a report", simulate=_false_report(n), at_most=0.05
        )
        for n in (20, 40, 100, 200)
    ),
    *(
        Check(
            planted=f"two levels of three, {n} shuffles",
            finding="false among supported",
            simulate=_false_discoveries(n),
            at_most=0.05,
            weight=0.5,
        )
        for n in (20, 40)
    ),
)
