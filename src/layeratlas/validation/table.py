"""The table of rates: how often each finding is supported with its effect planted, and without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from layeratlas.studies.hierarchy.names import HIERARCHY, HierarchyFinding
from layeratlas.validation.cases import CASES, DOUBLE, LAYERS, MIXED, NOTHING, ORDERED, PLATEAU, TURNS, Case
from layeratlas.validation.rate import Rate
from layeratlas.validation.simulated import SimulatedRun

# A peak counts as found if it is within one layer; the margin is for rounded depths.
_ONE_LAYER = 1.01


def supported_rate(case: Case, runs: Sequence[SimulatedRun], kind: HierarchyFinding, **bounds: float) -> Rate:
    """Return the share of supported findings among all findings of a kind."""
    tables = [run.findings.filter(pl.col("finding") == kind) for run in runs]
    hits = sum(int((table["verdict"] == "supported").sum()) for table in tables)
    return Rate(planted=case.name, finding=kind, hits=hits, trials=sum(map(len, tables)), **bounds)


def peak_rate(case: Case, runs: Sequence[SimulatedRun], **bounds: float) -> Rate:
    """Return the share of peaks within one layer of the planted peak."""
    hits = []
    for run in runs:
        for level, layer in run.peaks.items():
            peak = run.findings.filter(pl.col("finding") == HierarchyFinding.PEAK, pl.col("level") == level)
            hits.append(abs(peak["estimate"].item() * LAYERS - layer) <= _ONE_LAYER)
    return Rate(planted=case.name, finding="peak within one layer", hits=sum(hits), trials=len(hits), **bounds)


def coverage_rate(case: Case, runs: Sequence[SimulatedRun], **bounds: float) -> Rate:
    """Return the share of level-curve intervals that cover the mean over all runs; each run draws new texts."""
    values = np.stack([run.curves.select("estimate", "lo", "hi").to_numpy() for run in runs])
    estimate, lo, hi = np.moveaxis(values, -1, 0)
    truth = estimate.mean(0)
    inside = (lo <= truth) & (truth <= hi)
    name = "95 % interval contains truth"
    return Rate(planted=case.name, finding=name, hits=int(inside.sum()), trials=inside.size, **bounds)


def per_run_rate(case: Case, runs: Sequence[SimulatedRun], kind: str, **bounds: float) -> Rate:
    """Return the share of runs with any supported finding of a kind."""
    false = [
        run.findings.filter(pl.col("finding") == kind, pl.col("verdict") == "supported").height > 0 for run in runs
    ]
    return Rate(planted=case.name, finding=f"any {kind} in a run", hits=sum(false), trials=len(runs), **bounds)


def false_discovery_rate(case: Case, runs: Sequence[SimulatedRun], **bounds: float) -> Rate:
    """Return the share of supported findings on other levels, in reports with a signal in items alone."""
    tables = [run.findings.filter(pl.col("verdict") == "supported") for run in runs]
    hits = sum(table.filter(pl.col("level") != HIERARCHY[0]).height for table in tables)
    name = "false among supported findings"
    return Rate(planted=case.name, finding=name, hits=hits, trials=sum(map(len, tables)), **bounds)


def at_odds_rate(runs: Sequence[SimulatedRun]) -> Rate:
    """Return the share of reports in which two findings contradict each other."""
    odds = [run.at_odds for run in runs]
    return Rate(planted="all of these", finding="two findings at odds", hits=sum(odds), trials=len(odds), at_most=0.0)


def table(runs: Mapping[str, Sequence[SimulatedRun]]) -> list[Rate]:
    """Return the lines of the table, from the runs of each case by name."""
    ordered, double, turns, plateau, mixed, nothing = (runs[case.name] for case in CASES)
    return [
        peak_rate(ORDERED, ordered, at_least=0.95),
        supported_rate(ORDERED, ordered, HierarchyFinding.EMERGENCE_ORDER, at_least=0.9),
        supported_rate(ORDERED, ordered, HierarchyFinding.ORDER, at_least=0.9),
        supported_rate(ORDERED, ordered, HierarchyFinding.DECLINE, at_least=0.9),
        supported_rate(ORDERED, ordered, HierarchyFinding.SECOND_PEAK, at_most=0.05),
        supported_rate(ORDERED, ordered, HierarchyFinding.COORDINATION, at_most=0.05),
        supported_rate(DOUBLE, double, HierarchyFinding.SECOND_PEAK, at_least=0.9),
        supported_rate(DOUBLE, double, HierarchyFinding.COORDINATION, at_most=0.05),
        supported_rate(TURNS, turns, HierarchyFinding.COORDINATION, at_least=0.9),
        supported_rate(DOUBLE, double, HierarchyFinding.EMERGENCE_ORDER, at_most=0.05),
        supported_rate(DOUBLE, double, HierarchyFinding.ORDER, at_most=0.05),
        supported_rate(PLATEAU, plateau, HierarchyFinding.EMERGENCE_ORDER, at_most=0.05),
        supported_rate(PLATEAU, plateau, HierarchyFinding.ORDER, at_most=0.05),
        supported_rate(PLATEAU, plateau, HierarchyFinding.DECLINE, at_most=0.05),
        supported_rate(PLATEAU, plateau, HierarchyFinding.SECOND_PEAK, at_most=0.05),
        supported_rate(PLATEAU, plateau, HierarchyFinding.COORDINATION, at_most=0.05),
        coverage_rate(PLATEAU, plateau, at_least=0.93, at_most=0.97),
        false_discovery_rate(MIXED, mixed, at_most=0.05),
        at_odds_rate([run for case in CASES for run in runs[case.name]]),
        *nothing_rates(nothing),
    ]


def nothing_rates(runs: Sequence[SimulatedRun]) -> list[Rate]:
    """Return, for each kind of finding, the share of runs without any signal that have a supported finding."""
    others = sorted({kind for run in runs for kind in run.findings["finding"]} - {HierarchyFinding.PEAK})
    rates = [per_run_rate(NOTHING, runs, kind, at_most=0.05) for kind in (HierarchyFinding.PEAK, *others)]
    supported = [run.findings.filter(pl.col("verdict") == "supported").height > 0 for run in runs]
    whole = "any finding in a run"
    return [Rate(planted=NOTHING.name, finding=whole, hits=sum(supported), trials=len(runs), at_most=0.05), *rates]
