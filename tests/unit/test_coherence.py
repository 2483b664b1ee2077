"""One story per report: no two findings of simulated reports are at odds, and what is at odds is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import planting
from layeratlas.core import registry
from layeratlas.runs.coherence import contradictions, gated
from layeratlas.runs.finding import FINDING_FIELDS, Finding, finding_table
from layeratlas.stats.curves import Curve
from layeratlas.studies.hierarchy.analysing import find
from layeratlas.studies.hierarchy.coherence import PRESUPPOSED

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
    assert all(rule.kind != rule.needs for rule in rules)
