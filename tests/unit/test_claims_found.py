"""Claims of the exits and segments studies: read from findings of their own name, over one run or several."""

from __future__ import annotations

import polars as pl
import pytest

from layeratlas import registry
from layeratlas.claim import Judgement, RunTables
from layeratlas.records import FINDING_COLUMNS


def run(study: str, *rows: tuple[str, str, float, float, float, str], model: str = "m", size: float = 1e9) -> RunTables:
    """A run of findings (finding, level, estimate, lo, hi, verdict)."""
    made = [
        (model, study, finding, level, "resid", "sum", f"Said of {level}.", *numbers, 0.01, "a null", verdict, 50)
        for finding, level, *numbers, verdict in rows
    ]
    findings = pl.DataFrame(made, schema=list(FINDING_COLUMNS), orient="row")
    about = {"name": model, "parameters": size, "family": "llama"}
    return RunTables({"spec": {"study": study}, "model": about}, pl.DataFrame(), findings)


def judge(claim: str, *runs: RunTables) -> Judgement:
    found: Judgement = registry.get("claims", claim).judge(runs)
    return found


@pytest.mark.parametrize("claim", ["x1", "x2", "x3", "x4", "x6", "x8"])
def test_a_claim_of_exits_is_as_good_as_its_weakest_level(claim):
    name = claim.upper()
    good, bad = (name, "facts", 0.1, 0.05, 0.15, "supported"), (name, "logic", -0.1, -0.15, -0.05, "not supported")
    assert judge(claim, run("exits", good)).verdict == "supported"
    assert judge(claim, run("exits", good, bad)).verdict == "not supported"
    open_ = judge(claim, run("exits", ("exit", "facts", 0.1, 0.05, 0.15, "supported")))
    assert open_.verdict == "inconclusive"
    assert open_.needs.startswith("layeratlas run exits")
    assert judge(claim).needs == "layeratlas run exits"


def test_two_boundaries_must_stand_out_in_every_model():
    clear, none = (("existence", "boundaries", 0.1, 0.0, 0.2, v) for v in ("supported", "not supported"))
    assert judge("p1_1", run("segments", clear)).verdict == "supported"
    both = judge("p1_1", run("segments", clear, model="a"), run("segments", none, model="b"))
    assert both.verdict == "not supported"
    assert "a: Said of" in both.statement
    assert judge("p1_1", run("segments", clear, model="a"), run("segments", model="b")).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        ((0.01, 0.00, 0.02), "supported"),
        ((0.20, 0.18, 0.22), "not supported"),
        ((0.04, -0.06, 0.14), "inconclusive"),
    ],
)
def test_low_layers_are_alike_only_where_a_large_gap_is_excluded(second, verdict):
    one = run("exits", ("X5", "all", 0.0, -0.01, 0.01, "inconclusive"), model="small")
    two = run("exits", ("X5", "all", *second, "inconclusive"), model="large", size=7e9)
    assert judge("x5", one, two).verdict == verdict
    assert judge("x5", one).needs.startswith("layeratlas run exits on 2 sizes of a family")
