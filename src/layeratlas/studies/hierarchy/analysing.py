"""The third stage: curves to findings, and the run's tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import polars as pl

from layeratlas.runs.draws import write_draws
from layeratlas.runs.finding import FINDING_COLUMNS, Finding
from layeratlas.runs.tables import curve_table, write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.curves import Curve
from layeratlas.studies.hierarchy.curves import all_curves
from layeratlas.studies.hierarchy.findings.compression import compression_findings
from layeratlas.studies.hierarchy.findings.coordination import coordination_findings
from layeratlas.studies.hierarchy.findings.decline import decline_finding
from layeratlas.studies.hierarchy.findings.order import order_findings
from layeratlas.studies.hierarchy.findings.peaks import peak_findings
from layeratlas.studies.hierarchy.findings.second_peaks import second_peak_findings
from layeratlas.studies.hierarchy.findings.surface import surface_finding
from layeratlas.studies.hierarchy.names import CURVES, FINDINGS, HIERARCHY, PROFILES, REUSED_TARGETS, WHOLE
from layeratlas.studies.hierarchy.phrasing import Phrasing
from layeratlas.studies.hierarchy.profiles import profile_table


def analyse_stage(work: Workspace) -> list[str]:
    """Write curves, findings, profiles and bootstrap draws."""
    curves = all_curves(work)
    findings = find(curves, Phrasing(levels=work.manifest["words"]["levels"]))
    write_table(work, CURVES, curve_table(work, curves))
    write_table(work, FINDINGS, _finding_table(work, findings))
    write_table(work, PROFILES, profile_table(curves))
    return [CURVES, FINDINGS, PROFILES, write_draws(work.folder, curves)]


def _finding_table(work: Workspace, findings: Sequence[Finding]) -> pl.DataFrame:
    table = pl.DataFrame([asdict(finding) for finding in findings])
    table = table.with_columns(model=pl.lit(work.manifest["model"]["name"]), study=pl.lit(work.spec.study))
    return table.select(FINDING_COLUMNS)


def find(curves: Sequence[Curve], phrasing: Phrasing) -> list[Finding]:
    """Return the findings of a run: the peaks of each probe, then the claims, on the first probe.

    Claims are made per component, on the levels that decode: the order of levels (H1), decline and surface, second
    peaks (H3), deep compression (H2) and coordination across tasks (H4).
    """
    main = [curve for curve in _main_curves(curves) if curve.stratum == WHOLE]
    levels = [curve for curve in main if curve.task == WHOLE]
    first = levels[0].method
    findings: list[Finding] = []
    for method in _distinct(curve.method for curve in levels):
        findings += peak_findings([curve for curve in levels if curve.method == method], phrasing)
    peaks = [finding for finding in findings if finding.method == first and finding.verdict == "supported"]
    for component in _distinct(curve.component for curve in levels):
        decoded = {peak.level for peak in peaks if peak.component == component}
        of_component = [curve for curve in main if (curve.component, curve.method) == (component, first)]
        findings += _component_findings(of_component, decoded, phrasing)
    return findings


def _main_curves(curves: Sequence[Curve]) -> list[Curve]:
    """Return the curves of each level's and component's main measure, its first one."""
    main: dict[tuple[str, str], str] = {}
    for curve in curves:
        main.setdefault((curve.level, curve.component), curve.metric)
    return [curve for curve in curves if curve.metric == main[curve.level, curve.component]]


def _component_findings(curves: Sequence[Curve], decoded: set[str], phrasing: Phrasing) -> list[Finding]:
    """Return the claims on one component's curves by one probe; `decoded` are the levels above chance."""
    levels = [curve for curve in curves if curve.task == WHOLE]
    tasks = [curve for curve in curves if curve.task != WHOLE and curve.level in decoded]
    hierarchy = [curve for curve in levels if curve.level in HIERARCHY]
    findings = order_findings(hierarchy or levels, decoded, phrasing)
    for curve in levels:
        if curve.level in decoded:
            findings += [decline_finding(curve, phrasing), surface_finding(curve, phrasing)]
    findings += second_peak_findings([curve for curve in levels if curve.level in decoded], phrasing)
    findings += compression_findings(levels)
    findings += coordination_findings([curve for curve in tasks if not curve.level.startswith(REUSED_TARGETS)])
    return findings


def _distinct(names: Iterable[str]) -> list[str]:
    """Return names without repeats, in the order of their first occurrence."""
    return list(dict.fromkeys(names))
