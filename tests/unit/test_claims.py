"""Claims of the hierarchy study: decided by findings, never beyond what the model allows, open where parts lack."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import scipy

from layeratlas.core import registry
from layeratlas.runs.claim import judgement_table, others_in_words, rested
from layeratlas.runs.finding_table import FINDING_SCHEMA
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
    findings = pl.DataFrame(rows, schema=list(FINDING_SCHEMA), orient="row")
    manifest = {"spec": {"study": "hierarchy"}, "model": {"name": f"m{parameters:.0e}", "parameters": parameters}}
    return FinishedRun("m", manifest=manifest, findings=findings)


def verdicts(*runs: FinishedRun) -> dict[str, str]:
    table = judgement_table([registry.get("claims", name) for name in MINE], runs)
    return dict(table.select("claim", "verdict").iter_rows())


def test_a_model_is_judged_on_the_claims_that_speak_of_its_size():
    assert verdicts(run(3e9)) == {"H1": "supported", "H2": "supported", "H3": "inconclusive", "H4": "inconclusive"}
    assert verdicts(run(7e10)) == {"H1": "inconclusive", "H2": "supported", "H3": "supported", "H4": "supported"}


def test_claims_that_rest_on_nothing_here_are_counted_and_not_shown():
    claims = [registry.get("claims", name) for name in (*MINE, "h6")]
    judged, others = rested(judgement_table(claims, [run(3e9)]))
    assert judged["claim"].to_list() == ["H1", "H2", "H3", "H4"]
    assert others["claim"].to_list() == ["H6"]
    assert others_in_words(len(others)).startswith("1 claim that is not listed needs other tasks, models or studies: ")
    assert others_in_words(0) == ""
    # Undecided for want of one level of two, or of size: shown, with what would decide it.
    assert judged.filter(claim="H3")["to decide it"].item()
    # Negative control: no run, and every claim needs one.
    judged, others = rested(judgement_table(claims, []))
    assert (len(judged), len(others)) == (0, len(claims))


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


def together(*runs: FinishedRun) -> dict[str, object]:
    return judgement_table([registry.get("claims", "h2")], runs).row(0, named=True)


def run_at_p(parameters: float, p: float, verdict: Verdict) -> FinishedRun:
    """A run whose findings all have one verdict and one p-value."""
    whole = run(parameters, verdict)
    findings = whole.findings.with_columns(p=pl.lit(p))
    return FinishedRun("m", manifest=whole.manifest, findings=findings)


def test_one_run_speaks_in_its_own_words():
    assert str(together(run(3e9))["here"]).startswith("Said of")


def test_all_runs_count_and_their_agreement_is_counted():
    row = together(run(3e9), run(2e9), run(1e9, "inconclusive"))
    assert row["verdict"] == "supported"
    assert str(row["here"]).startswith("2 of 3 models: supported; 1 inconclusive. m3e+09: Said of")


def test_runs_that_contradict_each_other_decide_nothing_and_are_both_named():
    row = together(run(3e9), run(1e9, "not supported"), run(2e9, "inconclusive"))
    assert row["verdict"] == "inconclusive"
    assert "supported by m3e+09; not supported by m1e+09; 1 inconclusive." in str(row["here"])


def test_p_values_are_corrected_over_models():
    assert together(run_at_p(3e9, 0.04, "supported"))["verdict"] == "supported"
    row = together(
        run_at_p(3e9, 0.04, "supported"), run_at_p(2e9, 0.3, "inconclusive"), run_at_p(1e9, 0.5, "inconclusive")
    )
    assert row["verdict"] == "inconclusive"
    assert row["p"] == pytest.approx(0.12)
    strong = together(
        run_at_p(3e9, 0.01, "supported"), run_at_p(2e9, 0.3, "inconclusive"), run_at_p(1e9, 0.5, "inconclusive")
    )
    assert (strong["verdict"], strong["p"]) == ("supported", pytest.approx(0.03))


def test_models_without_the_effect_rarely_support_a_claim_however_many_there_are():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        ps = rng.uniform(size=10)
        nulls = [run_at_p(1e9 + i, p, "supported" if p <= 0.05 else "inconclusive") for i, p in enumerate(ps)]
        hits += together(*nulls)["verdict"] == "supported"
    assert hits <= scipy.stats.binom.ppf(0.99, 200, 0.05)
