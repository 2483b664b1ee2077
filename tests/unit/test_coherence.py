"""One story per report: no two findings of simulated reports are at odds, and what is at odds is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import planting
from layeratlas.core import registry
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.report.lead import in_short
from layeratlas.runs.coherence import contradictions, gated
from layeratlas.runs.finding import FINDING_FIELDS, Finding
from layeratlas.runs.finding_table import finding_table
from layeratlas.stats.curves import Curve
from layeratlas.studies.exits.analysis import analyse
from layeratlas.studies.exits.coherence import PRESUPPOSED as EXITS
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.settings import ExitSettings
from layeratlas.studies.hierarchy.analysing import find
from layeratlas.studies.hierarchy.coherence import PRESUPPOSED
from layeratlas.studies.segments.coherence import PRESUPPOSED as SEGMENTS
from layeratlas.studies.segments.dependence import segment_findings
from layeratlas.studies.segments.record import SegmentsRecord, UntrainedRecord
from planted_families import Segmented, segments_record, signals

LEVELS = ("item", "relation", "analogy", "buried item", "buried relation")
POINTS = 13


def report(seed: int) -> list[Curve]:
    """Return curves of levels whose signals are absent, at the edge of what is seen, or clear."""
    rng = np.random.default_rng([seed, 19])
    curves = []
    for level in LEVELS:
        rise = rng.choice([0.0, 0.05, 0.08, 0.12, 0.3])
        truth = 0.5 + rise / (1 + np.exp(-(np.arange(POINTS) - rng.integers(2, 10))))
        estimate = (truth + 0.03 * rng.standard_normal(POINTS)).tolist()
        shuffles = 0.5 + 0.03 * rng.standard_normal((40, POINTS))
        for task in ("all", level.replace(" ", "_")):
            curves.append(planting.drawn_curve(estimate, 0.03, level=level, task=task, shuffles=shuffles))
    return curves


def as_written(findings: list[Finding]) -> list[Finding]:
    rows = finding_table(findings, "m", "hierarchy").select(FINDING_FIELDS).to_dicts()
    return [Finding(**row) for row in rows]


def test_no_two_findings_of_a_report_are_at_odds() -> None:
    reports = [find(report(seed), planting.PHRASING) for seed in range(40)]
    assert [contradictions(as_written(gated(findings, PRESUPPOSED)), PRESUPPOSED) for findings in reports] == [[]] * 40
    # The correction over the report takes peaks away; without the gate it would leave what rests on them.
    assert any(contradictions(as_written(findings), PRESUPPOSED) for findings in reports)


PEAK = Finding(
    finding="peak",
    level="item",
    component="resid",
    method="ridge",
    statement="A peak.",
    estimate=0.4,
    lo=0.3,
    hi=0.5,
    p=0.01,
    null="a null",
    verdict="supported",
    n=50,
)
ORDER = replace(PEAK, finding="order", level="item < relation", p=0.001)
RELATION = replace(PEAK, level="relation")


@pytest.mark.parametrize(
    ("findings", "words"),
    [
        ([PEAK, ORDER], "order of item < relation (resid, ridge) is supported without peak"),
        ([PEAK, RELATION, replace(ORDER, component="attn")], "without peak"),
        ([PEAK, replace(ORDER, verdict="not supported")], "is not supported without peak"),
        ([replace(PEAK, verdict="inconclusive"), replace(PEAK, finding="decline")], "decline of item"),
        ([PEAK, replace(PEAK, verdict="not supported")], "is supported and not supported"),
        ([replace(PEAK, p=0.2)], "is supported at p = 0.200"),
    ],
)
def test_what_is_at_odds_is_named(findings: list[Finding], words: str) -> None:
    assert words in " ".join(contradictions(findings, PRESUPPOSED))


def test_what_presupposes_has_a_p_at_least_that_of_its_ground() -> None:
    report = gated([PEAK, replace(RELATION, p=0.02), ORDER], PRESUPPOSED)
    assert [finding.p for finding in report] == [0.01, 0.02, 0.02]
    assert contradictions(report, PRESUPPOSED) == []


@pytest.mark.parametrize("study", ["hierarchy", "exits", "segments", "causal"])
def test_every_study_names_what_its_findings_rest_on(study: str) -> None:
    rules = registry.get("studies", study).presupposed
    assert rules
    assert all(rule.kind != getattr(rule, "needs", getattr(rule, "other", "")) for rule in rules)


def answers(seed: int) -> list[ScoredSet]:
    """Question sets whose signal is absent, at the edge of what is seen, or clear, and stays, falls or rises late."""
    rng = np.random.default_rng([seed, 37])
    depth = np.linspace(0, 1, POINTS)
    sets = []
    for level in ("facts", "arithmetic", "reasoning", "logic", "cross-lingual"):
        n = int(rng.choice([12, 40, 120]))
        rise = rng.choice([0.0, 0.3, 0.8, 2.0]) / (1 + np.exp(-(depth - rng.uniform(0.0, 0.9)) / 0.05))
        rise[-1] *= rng.choice([0.3, 1.0, 1.6])
        for language in ("en", "fr") if level == "cross-lingual" else ("en",):
            kinds = ("integer", "float") if level == "arithmetic" else ("all",)
            items = tuple(
                Question(f"{language} {i}: {i} + {i}.{i % 9 + 1}", tuple("abcd"), (i % 4,), f"g{i // len(kinds)}", k)
                for i, k in zip(range(n), [*kinds] * n, strict=False)
            )
            after = rng.normal(size=(n, 4, POINTS)) + np.eye(4)[np.arange(n) % 4][:, :, None] * rise
            ones = np.ones(n * 4)
            data = QuestionSet(f"{level}-{language}", level, items, language=language)
            sets.append(
                ScoredSet(data=data, after=after.reshape(-1, POINTS), bare=rng.normal(size=(n * 4, POINTS)),
                          tokens=np.repeat(1.0 + np.arange(n) % 3, 4), characters=ones, bytes=ones)
            )  # fmt: skip
    return sets


def exit_report(seed: int) -> list[Finding]:
    return analyse(answers(seed), ExitSettings(), 200, seed)[1]


def check_exits(reports: int) -> None:
    odds = [contradictions(as_written(gated(exit_report(seed), EXITS)), EXITS) for seed in range(reports)]
    assert odds == [[]] * reports


def test_no_two_findings_of_an_exits_report_are_at_odds() -> None:
    check_exits(6)


@pytest.mark.truth
def test_no_two_findings_of_many_exits_reports_are_at_odds() -> None:
    check_exits(200)


def test_without_the_rules_findings_of_an_exits_report_are_at_odds() -> None:
    """Gains that start outside the middle half rest on an interval, of a level that the correction takes away."""
    assert contradictions(as_written(exit_report(4)), EXITS) != []


def segments_report(seed: int) -> list[Finding]:
    """The findings of a model with two steps, a ramp or noise, beside a random-weight model of any of these kinds."""
    rng = np.random.default_rng([seed, 41])
    own, other = (record(rng, seed) for _ in range(2))
    untrained = UntrainedRecord(
        boundaries=other.boundaries, existence=other.existence, passages=other.passages, signals=["attention"]
    )
    return segment_findings(own.model_copy(update={"untrained": untrained}))


def record(rng: np.random.Generator, seed: int) -> SegmentsRecord:
    layers = int(rng.choice([12, 24, 30]))
    kind = rng.choice(["steps", "ramp", "noise"])
    model = Segmented("m", "llama", 1e9, layers, cuts=(0.3, 0.7) if kind == "steps" else None, ramp=kind == "ramp")
    values = signals(model, rng) + rng.choice([0.0, 0.3]) * rng.standard_normal(layers)
    return segments_record(values, layers, seed)


def check_segments(reports: int) -> None:
    odds = [contradictions(as_written(gated(segments_report(seed), SEGMENTS)), SEGMENTS) for seed in range(reports)]
    assert odds == [[]] * reports


def test_no_two_findings_of_a_segments_report_are_at_odds() -> None:
    check_segments(3)


@pytest.mark.truth
def test_no_two_findings_of_many_segments_reports_are_at_odds() -> None:
    check_segments(100)


LAST = replace(PEAK, finding="last exit", level="facts", method="sum", verdict="not supported")


@pytest.mark.parametrize(
    ("rules", "findings", "words", "why"),
    [
        ("exits", [replace(LAST, finding="X9", level="logic", verdict="supported")], "X9 of logic", "'exit', which it"),
        ("exits", [LAST, replace(LAST, finding="X2", verdict="supported")], "beside last exit", "'last exit' is not"),
        (
            "exits",
            [LAST, replace(LAST, finding="last against best", verdict="supported")],
            "beside last exit",
            "'last exit' is not supported",
        ),
        (
            "segments",
            [replace(PEAK, finding="boundary", level="boundaries")],
            "without existence",
            "'existence', which it presupposes, is not supported",
        ),
        (
            "segments",
            [replace(PEAK, finding="existence"), replace(PEAK, finding="order of layers", verdict="not supported")],
            "beside existence",
            "'existence' is supported",
        ),
    ],
)
def test_what_is_at_odds_becomes_inconclusive_and_says_why(rules, findings, words, why) -> None:
    own = registry.get("studies", rules).presupposed
    assert words in " ".join(contradictions(findings, own))
    settled = gated(findings, own)
    assert contradictions(settled, own) == []
    assert settled[-1].verdict == "inconclusive"
    assert f"Inconclusive in this report, since {why}" in settled[-1].statement
    assert in_short(settled[-1].statement)["plain"].startswith("Undecided: ")
    assert settled[0] == findings[0] or len(findings) == 1
