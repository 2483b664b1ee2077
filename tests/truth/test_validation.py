"""Verdicts on simulated runs, through a run's own store and stages: a thin pass here, the whole table with `truth`."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import layeratlas.runs.finding
import layeratlas.validation
from layeratlas.cli.app import app
from layeratlas.core.errors import StoreError
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.hierarchy.findings.surface import surface_findings
from layeratlas.studies.hierarchy.names import HierarchyFinding
from layeratlas.studies.hierarchy.phrasing import Phrasing
from layeratlas.validation import Rate, gathering, simulate_case, trials, validate
from layeratlas.validation.cases import NOTHING, ORDERED, PLATEAU
from layeratlas.validation.checks import CHECKS
from layeratlas.validation.rate import Check, Count
from layeratlas.validation.simulated import SimulatedRun
from layeratlas.validation.surface import Planted, simulated_curve
from layeratlas.validation.table import coverage_rate, nothing_rates, peak_rate, supported_rate

# Two runs: of the 4 to 6 verdicts of a kind, at least half must be right where 90 % are required, and at most two wrong
# where 5 % are allowed (`Rate.passed`: anything worse happens by chance less than once in 100 times).
RUNS = 2
# The two smallest tasks, for what does not need three levels.
TWO_TASKS = ("relations", "analogies")


def simulated(case, runs=RUNS):
    return [simulate_case(case, "quick", seed) for seed in range(runs)]


def test_a_planted_hierarchy_is_found():
    runs = simulated(ORDERED)
    assert peak_rate(ORDERED, runs, at_least=0.95).passed
    assert supported_rate(ORDERED, runs, HierarchyFinding.ORDER, at_least=0.9).passed
    assert supported_rate(ORDERED, runs, HierarchyFinding.DECLINE, at_least=0.9).passed
    assert supported_rate(ORDERED, runs, HierarchyFinding.SECOND_PEAK, at_most=0.05).passed


def test_without_a_signal_nothing_is_found():
    runs = simulated(dataclasses.replace(NOTHING, tasks=TWO_TASKS))
    assert [rate for rate in nothing_rates(runs) if not rate.passed] == []


def test_a_plateau_has_neither_order_nor_decline():
    runs = simulated(PLATEAU)
    rates = [
        supported_rate(PLATEAU, runs, kind, at_most=0.05) for kind in (HierarchyFinding.ORDER, HierarchyFinding.DECLINE)
    ]
    assert [rate for rate in rates if not rate.passed] == []
    # Intervals are correlated over layers, so that two runs show only that they are of the right size.
    assert coverage_rate(PLATEAU, runs).rate > 0.8


def test_a_verdict_that_ignores_its_interval_fails_the_table(monkeypatch):
    """Negative control of the tests above: on a plateau, every positive estimate would be a finding."""
    monkeypatch.setattr(Effect, "verdict", lambda self, **_: "supported")
    monkeypatch.setattr(layeratlas.runs.finding, "ALPHA", 1.0)  # nor does the correction over the report take it away
    runs = [simulate_case(dataclasses.replace(PLATEAU, tasks=TWO_TASKS), "quick", 0)]
    decline = supported_rate(PLATEAU, runs, HierarchyFinding.DECLINE, at_most=0.05)
    assert (decline.hits, decline.trials, decline.passed) == (2, 2, False)


def rate(hits, trials, **bounds):
    return Rate(planted="a case", finding="a finding", hits=hits, trials=trials, **bounds)


@pytest.mark.parametrize(
    ("hits", "trials", "bounds", "passed"),
    [
        # P(at most 80 of 100 at 0.9) = 0.002, at most 86: 0.12.
        (80, 100, {"at_least": 0.9}, False),
        (86, 100, {"at_least": 0.9}, True),
        # P(at least 12 of 100 at 0.05) = 0.004, at least 9: 0.06.
        (12, 100, {"at_most": 0.05}, False),
        (9, 100, {"at_most": 0.05}, True),
        # Two bounds are taken as they are.
        (98, 100, {"at_least": 0.93, "at_most": 0.97}, False),
        (95, 100, {"at_least": 0.93, "at_most": 0.97}, True),
        (0, 0, {"at_most": 0.05}, False),
    ],
)
def test_a_rate_fails_where_it_misses_its_bound_by_more_than_chance(hits, trials, bounds, passed):
    assert rate(hits, trials, **bounds).passed is passed


def test_the_command_prints_a_line_per_rate_and_marks_those_that_fail(monkeypatch):
    rates = [rate(99, 100, at_least=0.9), rate(50, 100, at_most=0.05)]
    monkeypatch.setattr(layeratlas.validation, "validate", lambda *args: rates)
    result = CliRunner().invoke(app, ["validate", "--runs", "1", "--quiet"])
    assert result.exit_code == 0, result.output
    first, second = result.output.splitlines()[1:]
    assert first.split()[-5:] == ["99", "100", "0.990", ">=", "0.9"]
    assert second.split()[-6:] == ["50", "100", "0.500", "<=", "0.05", "!"]


@pytest.fixture
def few_lines(monkeypatch):
    """A table of two checks, whose simulations are counted, computed in this process."""
    made = []

    def simulate(seed):
        made.append(seed)
        return Count(seed % 2)

    checks = [Check(planted="a coin", finding=f"heads, {w:g}", simulate=simulate, weight=w) for w in (1.0, 3.0)]
    monkeypatch.setattr(gathering, "CHECKS", checks)
    monkeypatch.setattr(gathering, "CASES", ())
    monkeypatch.setattr(gathering, "table", lambda runs: [])
    monkeypatch.setattr(gathering, "parallel", lambda function, arguments, processes: (function(*a) for a in arguments))
    return made


def test_a_table_in_a_folder_is_gathered_over_several_sittings(few_lines, tmp_path):
    whole = [(rate.hits, rate.trials) for rate in validate(12, seed=1)]
    assert whole == [(6, 12), (18, 36)]
    few_lines.clear()
    validate(7, seed=1, out=tmp_path)
    first = len(few_lines)
    assert [(rate.hits, rate.trials) for rate in validate(12, seed=1, out=tmp_path)] == whole
    assert first == 7 + 21
    assert len(few_lines) == 12 + 36  # none is simulated twice
    assert [(rate.hits, rate.trials) for rate in validate(7, seed=1, out=tmp_path)] == [(4, 7), (11, 21)]
    assert len(few_lines) == 12 + 36


def test_a_simulation_that_a_stop_cut_off_is_made_again(few_lines, tmp_path):
    whole = validate(5, out=tmp_path)
    path = next((tmp_path / "trials").glob("*heads-1-*"))
    path.write_bytes(path.read_bytes()[:-9])
    few_lines.clear()
    assert validate(5, out=tmp_path) == whole
    assert few_lines == [4]
    assert validate(5, out=tmp_path) == whole  # the torn row spoilt no other
    assert few_lines == [4]


def test_simulations_of_another_size_are_not_mixed(few_lines, tmp_path):
    validate(1, out=tmp_path)
    with pytest.raises(StoreError, match=r"size quick.*size standard"):
        validate(1, "standard", out=tmp_path)


def test_simulations_of_other_code_are_not_mixed(few_lines, tmp_path, monkeypatch):
    validate(1, out=tmp_path)
    monkeypatch.setattr(trials, "code_digest", lambda *folders: "0123456789abcdef")
    with pytest.raises(StoreError, match=r"code \w{12}, .*code 0123456789ab,"):
        validate(1, out=tmp_path)


def test_a_simulated_run_is_kept_whole():
    case = dataclasses.replace(PLATEAU, tasks=("analogies",))
    run = simulate_case(case, "quick", 0)
    again = SimulatedRun.of(json.loads(json.dumps(run.record())))
    assert again.peaks == run.peaks
    assert again.at_odds is run.at_odds is False
    assert pl.DataFrame.equals(again.findings.fill_nan(None), run.findings.fill_nan(None))
    assert again.curves.equals(run.curves)


# Coverages must be within their bounds, which six simulations cannot show.
FEW = [check for check in CHECKS if check.weight <= 1 and not (check.at_least > 0 and check.at_most < 1)]


@pytest.mark.truth
@pytest.mark.parametrize("check", FEW, ids=lambda check: f"{check.finding}, {check.planted}")
def test_a_few_simulations_of_each_check_miss_its_bound_by_no_more_than_chance(check):
    assert check.rate(check.simulate(seed) for seed in range(max(1, round(6 * check.weight)))).passed


@pytest.mark.truth
def test_the_whole_table_passes():
    assert [line for line in validate(100) if not line.passed] == []


def test_a_peak_at_its_baseline_beats_it_too_often_if_the_baseline_is_taken_as_known():
    """Negative control of the lines of `surface`: without the baseline's own draws, 2.5 % become 8 %."""
    curves = [simulated_curve(Planted(40, shared=0.0), seed) for seed in range(300)]

    def beaten(curve):
        return surface_findings([curve], Phrasing())[0].verdict == "supported"

    assert sum(map(beaten, curves)) < 15  # P(15 of 300 or more at 0.025) = 0.01
    assert sum(beaten(dataclasses.replace(curve, baseline_draws=np.zeros(0))) for curve in curves) >= 15
