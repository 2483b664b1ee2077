"""Claims of the hierarchy study: decided by findings, never beyond what the model allows, open where parts lack."""

from __future__ import annotations

import polars as pl
import pytest

from layeratlas.core import registry
from layeratlas.runs.claim import judgement_table
from layeratlas.runs.finding import FINDING_COLUMNS
from layeratlas.runs.finished import FinishedRun
from layeratlas.stats.verdicts import Verdict

MINE = ("h1", "h2", "h3", "h4")
ROWS = {
    "emergence order": ("item < relation", "relation < analogy"),
    "order": ("item < relation", "relation < analogy"),
    "deep content": ("buried item", "buried relation", "buried analogy"),
    "deep compression": ("buried item", "buried relation", "buried analogy"),
    "second peak": ("relation", "analogy", "item"),
    "coordination": ("all experiments",),
}


def run(parameters: float, verdict: Verdict = "supported", **changed: Verdict) -> FinishedRun:
    """A run whose findings all have one verdict, but for the levels (or findings) named."""
    rows = []
    for finding, levels in ROWS.items():
        for level in levels:
            mine = changed.get(level.replace(" < ", "_"), changed.get(finding.replace(" ", "_"), verdict))
            component = "attn" if finding == "coordination" else "resid"
            named = ("m", "hierarchy", finding, level, component, "ridge", f"Said of {level}.")
            rows.append((*named, 0.1, 0.05, 0.15, 0.01, "a null", mine, 50))
    findings = pl.DataFrame(rows, schema=list(FINDING_COLUMNS), orient="row")
    manifest = {"spec": {"study": "hierarchy"}, "model": {"name": f"m{parameters:.0e}", "parameters": parameters}}
    return FinishedRun("m", manifest=manifest, findings=findings)


def verdicts(*runs: FinishedRun) -> dict[str, str]:
    table = judgement_table([registry.get("claims", name) for name in MINE], runs)
    return dict(table.select("claim", "verdict").iter_rows())


def test_a_model_is_judged_on_the_claims_that_speak_of_its_size():
    assert verdicts(run(3e9)) == {"H1": "supported", "H2": "supported", "H3": "inconclusive", "H4": "inconclusive"}
    assert verdicts(run(7e10)) == {"H1": "inconclusive", "H2": "supported", "H3": "supported", "H4": "supported"}


def test_what_cannot_be_decided_here_says_what_to_run():
    table = judgement_table([registry.get("claims", "h3")], [run(1.35e8)]).row(0, named=True)
    assert "has 0.14 billion parameters" in table["here"]
    assert table["to decide it"] == "layeratlas run hierarchy on a model of at least 30 billion parameters"
    assert (
        judgement_table([registry.get("claims", "h1")], []).row(0, named=True)["to decide it"]
        == "layeratlas run hierarchy"
    )


@pytest.mark.parametrize("part", ["item_relation", "relation_analogy"])
@pytest.mark.parametrize("verdict", ["not supported", "inconclusive"])
def test_an_order_is_as_good_as_its_weaker_step(part, verdict):
    assert verdicts(run(3e9, **{part: verdict}))["H1"] == verdict


def test_the_order_of_emergence_decides_and_that_of_peaks_is_named():
    """A peak on a plateau carries no order, so peaks that stay open, or are reversed, leave the verdict as it is."""
    for peaks in ("inconclusive", "not supported"):
        judged = judgement_table([registry.get("claims", "h1")], [run(3e9, order=peaks)]).row(0, named=True)
        assert judged["verdict"] == "supported"
        assert f"By peak ({peaks})" in judged["here"]
    assert verdicts(run(3e9, emergence_order="not supported", order="supported"))["H1"] == "not supported"


@pytest.mark.parametrize("part", ["buried_item", "buried_relation"])
def test_deep_content_is_a_conjunction_of_its_levels(part):
    """Items alone never decide for relations; analogies are no part of the claim."""
    short = run(3e9)
    one = short.findings.filter(pl.col("level") != part.replace("_", " "))
    assert verdicts(FinishedRun("m", manifest=short.manifest, findings=one))["H2"] == "inconclusive"
    unclear = pl.when(pl.col("level") == part.replace("_", " ")).then(pl.lit("inconclusive")).otherwise("verdict")
    findings = short.findings.with_columns(verdict=unclear)
    assert verdicts(FinishedRun("m", manifest=short.manifest, findings=findings))["H2"] == "inconclusive"
    rest = short.findings.filter(pl.col("level") != "buried analogy")
    assert verdicts(FinishedRun("m", manifest=short.manifest, findings=rest))["H2"] == "supported"


def test_a_missing_part_leaves_a_claim_open():
    short = run(3e9)
    findings = short.findings.filter(pl.col("level") != "relation < analogy")
    assert verdicts(FinishedRun("m", manifest=short.manifest, findings=findings))["H1"] == "inconclusive"


def test_of_several_runs_the_one_that_a_claim_speaks_of_decides():
    assert verdicts(run(1e8, "not supported"), run(7e10))["H3"] == "supported"
    assert verdicts(run(1e8), run(7e10, "not supported"))["H1"] == "supported"


def test_of_several_runs_it_is_said_whose_verdict_it_is_and_which_differ():
    def here(*runs: FinishedRun) -> str:
        return str(judgement_table([registry.get("claims", "h2")], runs)["here"][0])

    assert here(run(3e9)).startswith("Said of")
    assert here(run(3e9), run(1e9)).startswith("m3e+09: Said of")
    assert "Other models" not in here(run(3e9), run(1e9))
    assert here(run(3e9), run(1e9, "not supported")).endswith("Other models: m1e+09: not supported.")
