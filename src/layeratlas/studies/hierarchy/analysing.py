"""The third stage: derives findings from curves and writes the run's tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import polars as pl
from threadpoolctl import threadpool_limits

from layeratlas.runs.coherence import gated
from layeratlas.runs.draws import write_draws
from layeratlas.runs.finding import Finding, corrected
from layeratlas.runs.finding_table import finding_table
from layeratlas.runs.layer_order import LAYER_ORDER, layer_order_table
from layeratlas.runs.recommendation import Recommendation, write_recommendations
from layeratlas.runs.tables import curve_table, read_table, write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.curves import Curve
from layeratlas.studies.hierarchy.coherence import PRESUPPOSED
from layeratlas.studies.hierarchy.curves import all_curves
from layeratlas.studies.hierarchy.experts.findings import expert_findings
from layeratlas.studies.hierarchy.findings.compression import compression_findings, content_findings
from layeratlas.studies.hierarchy.findings.coordination import coordination_findings
from layeratlas.studies.hierarchy.findings.decline import decline_finding
from layeratlas.studies.hierarchy.findings.documents import document_findings
from layeratlas.studies.hierarchy.findings.emergence import (
    emergence_findings,
    emergence_order_findings,
    emergence_table,
)
from layeratlas.studies.hierarchy.findings.moved import NOT_MOVED, Moved
from layeratlas.studies.hierarchy.findings.order import decoded_pairs, order_findings
from layeratlas.studies.hierarchy.findings.peaks import peak_findings
from layeratlas.studies.hierarchy.findings.random_weights import random_weights_findings
from layeratlas.studies.hierarchy.findings.second_peaks import second_peak_findings
from layeratlas.studies.hierarchy.findings.surface import surface_findings
from layeratlas.studies.hierarchy.names import (
    CURVES,
    EMERGENCE,
    EXPERTS,
    FINDINGS,
    HIERARCHY,
    POSITIONS,
    PROFILES,
    RESIDUAL,
    REUSED_TARGETS,
    ROBUSTNESS,
    TRANSFER,
    WHOLE,
    HierarchyFinding,
)
from layeratlas.studies.hierarchy.phrasing import Phrasing
from layeratlas.studies.hierarchy.positions.findings import place_findings
from layeratlas.studies.hierarchy.profiles import profile_table
from layeratlas.studies.hierarchy.recommending import (
    NOTHING,
    RULES,
    Beside,
    recommendations,
    sharing,
)
from layeratlas.studies.hierarchy.robustness.reworded import reworded_curves
from layeratlas.studies.hierarchy.robustness.tables import moved_by
from layeratlas.studies.hierarchy.tested import TESTED
from layeratlas.studies.hierarchy.transfer.findings import transfer_findings, transfer_table
from layeratlas.studies.hierarchy.transfer.reading import transfers_of


def analyse_stage(work: Workspace) -> list[str]:
    """Write curves, findings, profiles and bootstrap draws.

    Many small products gain nothing by threads, which wait for each other on a busy machine.
    """
    with threadpool_limits(1):
        return _analyse(work)


def _analyse(work: Workspace) -> list[str]:
    curves = all_curves(work)
    phrasing = Phrasing(levels=work.manifest["words"]["levels"])
    moved, transfers = _moved(work), transfers_of(work)
    every = [*find(curves, phrasing, moved), *transfer_findings(transfers, work.spec.probe.methods[0])]
    every += [*_of_places(work), *_of_experts(work)]
    findings = gated(every, PRESUPPOSED)
    beside = Beside(reworded=reworded_curves(work), shared=sharing(work.material))
    kept = write_recommendations(work.folder, advise(curves, findings, phrasing, beside), RULES)
    write_table(work, EMERGENCE, _emergence_table(curves, findings, moved))
    write_table(work, CURVES, curve_table(work, curves))
    write_table(work, FINDINGS, finding_table(findings, work.manifest["model"]["name"], work.spec.study, TESTED))
    write_table(work, PROFILES, profile_table(curves))
    write_table(work, LAYER_ORDER, layer_order_table(_decoded_levels(curves, findings), work.spec.seed))
    if transfers:
        write_table(work, TRANSFER, transfer_table(transfers))
    outputs = [CURVES, FINDINGS, PROFILES, EMERGENCE, LAYER_ORDER, *([TRANSFER] if transfers else [])]
    return [*outputs, kept, write_draws(work.folder, curves)]


def _moved(work: Workspace) -> Moved:
    """Return how far other wordings, word lists, folds and seeds move each level; empty if not measured."""
    file = work.folder / ROBUSTNESS
    return moved_by(read_table(file)) if file.is_file() else NOT_MOVED


def _of_places(work: Workspace) -> list[Finding]:
    """Return the findings on whether labels decode before the last token; empty if not measured."""
    file = work.folder / POSITIONS
    return place_findings(read_table(file)) if file.is_file() else []


def _of_experts(work: Workspace) -> list[Finding]:
    """Return the findings on whether classes use different experts; empty if the run did not read the routers."""
    file = work.folder / EXPERTS
    return expert_findings(read_table(file)) if file.is_file() else []


def _decoded_levels(curves: Sequence[Curve], findings: Sequence[Finding]) -> list[Curve]:
    """Return the curves of the residual stream, by the first probe, of the ordered levels that decode."""
    levels = [curve for curve in _main_curves(curves) if curve.stratum == curve.task == WHOLE]
    decoded = _decoded(findings, RESIDUAL, levels[0].method)
    first = [c for c in levels if (c.component, c.method) == (RESIDUAL, levels[0].method) and c.level in decoded]
    return _ordered(first)


def find(curves: Sequence[Curve], phrasing: Phrasing, moved: Moved = NOT_MOVED) -> list[Finding]:
    """Return the findings of a run: the peaks of every probe, then the claims for the first probe.

    Claims are tested per component, on the levels that decode: emergence, the order of emergence and of peaks (H1),
    decline and surface, second peaks (H3), deep compression (H2) and coordination across tasks (H4). `moved` widens the
    intervals of depths in the residual stream.
    """
    main = [curve for curve in _main_curves(curves) if curve.stratum == WHOLE]
    levels = [curve for curve in main if curve.task == WHOLE]
    first = levels[0].method
    findings: list[Finding] = []
    peaks = peak_findings(levels, phrasing, moved)
    for method in _distinct(curve.method for curve in levels):
        findings += [peak for peak in peaks if peak.method == method]
    for component in _distinct(curve.component for curve in levels):
        decoded = _decoded(findings, component, first)
        of_component = [curve for curve in main if (curve.component, curve.method) == (component, first)]
        findings += _component_findings(of_component, decoded, phrasing, moved if component == RESIDUAL else NOT_MOVED)
    return findings


def advise(
    curves: Sequence[Curve],
    findings: Sequence[Finding],
    phrasing: Phrasing,
    beside: Beside = NOTHING,
) -> list[Recommendation]:
    """Return the recommended layer for each purpose, by the main measure of the first probe.

    `findings` are all of the report, over which it corrects: what it does not show to decode has no layer to use.
    """
    main = [curve for curve in _main_curves(curves) if curve.stratum == WHOLE]
    first = [curve for curve in main if curve.method == main[0].method]
    peaks = [finding for finding, _ in corrected(findings) if finding.finding == HierarchyFinding.PEAK]
    return recommendations(first, peaks, phrasing, beside)


def _main_curves(curves: Sequence[Curve]) -> list[Curve]:
    """Return the curves of each level's and component's main measure, its first one."""
    main: dict[tuple[str, str], str] = {}
    for curve in curves:
        main.setdefault((curve.level, curve.component), curve.metric)
    return [curve for curve in curves if curve.metric == main[curve.level, curve.component]]


def _decoded(findings: Iterable[Finding], component: str, method: str) -> dict[str, Finding]:
    """Return the supported peaks of one component and probe, by level."""
    return {
        finding.level: finding
        for finding in findings
        if (finding.finding, finding.component, finding.method) == (HierarchyFinding.PEAK, component, method)
        and finding.verdict == "supported"
    }


def _ordered(levels: Sequence[Curve]) -> list[Curve]:
    """Return the level curves whose order is tested: those of the hierarchy, else all."""
    return [curve for curve in levels if curve.level in HIERARCHY] or list(levels)


def _emergence_table(curves: Sequence[Curve], findings: Sequence[Finding], moved: Moved) -> pl.DataFrame:
    """Return the depths and the order of emergence of the decoded levels, by every definition and component."""
    main = [curve for curve in _main_curves(curves) if curve.stratum == curve.task == WHOLE]
    first, tables = main[0].method, []
    for component in _distinct(curve.component for curve in main):
        decoded = _decoded(findings, component, first)
        levels = [curve for curve in main if (curve.component, curve.method) == (component, first)]
        inside = [curve for curve in levels if curve.level in decoded]
        pairs = decoded_pairs(_ordered(levels), decoded)
        tables.append(emergence_table(inside, pairs, moved if component == RESIDUAL else NOT_MOVED))
    return pl.concat(tables)


def _component_findings(
    curves: Sequence[Curve], decoded: Mapping[str, Finding], phrasing: Phrasing, moved: Moved
) -> list[Finding]:
    """Return the claims on one component's curves by one probe; `decoded` are the supported peaks by level."""
    levels = [curve for curve in curves if curve.task == WHOLE]
    tasks = [curve for curve in curves if curve.task != WHOLE and curve.level in decoded]
    ordered = _ordered(levels)
    findings = emergence_order_findings(decoded_pairs(ordered, decoded), phrasing, moved)
    findings += emergence_findings(levels, decoded, phrasing, moved)
    findings += order_findings(ordered, decoded, phrasing, moved)
    inside = [curve for curve in levels if curve.level in decoded]
    findings += [decline_finding(curve, phrasing) for curve in inside]
    findings += surface_findings(inside, phrasing)
    findings += random_weights_findings(inside, phrasing)
    findings += second_peak_findings(inside, phrasing)
    findings += content_findings(levels, decoded, phrasing)
    findings += compression_findings(curves, decoded, phrasing)
    findings += document_findings(inside, phrasing)
    findings += coordination_findings([curve for curve in tasks if not curve.level.startswith(REUSED_TARGETS)])
    return findings


def _distinct(names: Iterable[str]) -> list[str]:
    """Return names without repeats, in the order of their first occurrence."""
    return list(dict.fromkeys(names))
