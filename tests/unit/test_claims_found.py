"""Claims of the exits and segments studies: read from findings of their own name, over one run or several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from layeratlas.core import registry
from layeratlas.core.spec import RunSpec
from layeratlas.runs.claim import Judgement
from layeratlas.runs.finding_table import FINDING_SCHEMA
from layeratlas.runs.finished import FinishedRun


def run(
    study: str, *rows: tuple[str, str, float, float, float, str], model: str = "m", size: float = 1e9, **changed: Any
) -> FinishedRun:
    """A run of findings (finding, level, estimate, lo, hi, verdict); `changed` are entries of its manifest."""
    rows_of_findings = [
        (model, study, finding, level, "resid", "sum", f"Said of {level}.", *numbers, 0.01, "a null", verdict, 50)
        for finding, level, *numbers, verdict in rows
    ]
    findings = pl.DataFrame(rows_of_findings, schema=list(FINDING_SCHEMA), orient="row")
    about = {"name": model, "parameters": size, "family": "llama"}
    spec = RunSpec(study=study, size="quick").model_dump(mode="json") | {"model": {"id": model}}
    manifest = {"spec": spec, "model": about, "texts": {"hash": "the same"}} | changed
    return FinishedRun(Path("runs") / model, manifest=manifest, findings=findings)


def judge(claim: str, *runs: FinishedRun) -> Judgement:
    judgement: Judgement = registry.get("claims", claim).judge(runs)
    return judgement


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


JOINING = {
    "x5": ("exits", 2, "llama"),
    "x7": ("exits", 3, "llama"),
    "p1_1": ("segments", 2, "llama"),
    "p_boundaries": ("segments", 6, "qwen2"),
    "p_brittleness": ("segments", 6, "qwen2"),
}


def joined(claim: str) -> list[FinishedRun]:
    """As few comparable runs as the claim asks for, half of them of another family where it asks for two."""
    study, count, other = JOINING[claim]
    runs = [run(study, model=f"m{i}", size=1e9 + i) for i in range(count)]
    for each in runs[count // 2 :]:
        each.manifest["model"]["family"] = other
    return runs


@pytest.mark.parametrize("claim", JOINING)
@pytest.mark.parametrize(
    ("changed", "reason", "needs"),
    [
        ({"texts": {"hash": "others"}}, "other texts", "--size quick --out NEW"),
        ({"spec": {"size": "full"}}, "size full against quick", "--size quick --out NEW"),
        ({"spec": {"capture": {"position": "mean"}}}, "position mean against last", "--size quick --out NEW"),
        ({"spec": {"settings": {"strict": True}}}, "study settings, strict True against None", "--out NEW"),
        ({"versions": {"torch": "1.0"}}, "torch 1.0 against None", "--size quick --out NEW"),
    ],
)
def test_runs_that_are_not_alike_decide_nothing_together(claim, changed, reason, needs):
    runs = joined(claim)
    assert "cannot be compared" not in judge(claim, *runs).statement
    odd = runs[-1].manifest
    for part, value in changed.items():
        nested = {k: odd[part][k] | v if isinstance(v, dict) else v for k, v in dict(value).items()}
        odd[part] = odd.get(part, {}) | nested
    found = judge(claim, *runs)
    assert found.verdict == "inconclusive"
    assert found.statement.startswith("Not judged: 'runs/m")
    assert reason in found.statement
    assert needs in found.needs
    assert found.needs.startswith(f"run again: layeratlas run {runs[0].study} --model m{len(runs) - 1}")


@pytest.mark.parametrize("claim", JOINING)
def test_a_model_counts_once_among_models(claim):
    runs = joined(claim)
    found = judge(claim, *runs, joined(claim)[0])
    assert (found.verdict, found.needs) == ("inconclusive", "leave one out")
    assert "are runs of the same model (m0)" in found.statement
    if claim != "p1_1":
        assert f"(here {len(runs) - 1})" in judge(claim, *runs[:-1], runs[0]).needs


def test_a_run_of_another_family_does_not_stand_in_the_way():
    rows = ("X5", "all", 0.0, -0.01, 0.01, "inconclusive")
    pair = [run("exits", rows, model=name, size=size) for name, size in (("small", 1e9), ("large", 7e9))]
    alien = run("exits", rows, model="alien", texts={"hash": "others"})
    alien.manifest["model"]["family"] = "qwen2"
    assert judge("x5", *pair, alien).verdict == "supported"


def test_runs_that_each_speak_for_themselves_need_not_be_alike():
    good = ("X2", "facts", 0.1, 0.05, 0.15, "supported")
    assert judge("x2", run("exits", good), run("exits", model="other", texts={"hash": "others"})).verdict == "supported"


def test_local_brittleness_reads_relative_noise_alone():
    """A run may hold B of several kinds, on scales of their own; the first of them need not be noise."""
    runs = []
    for i in range(8):
        noise = 10.0 if i < 4 else 1.0
        row = ("brittleness", "Local", noise * 1.01**i, noise, noise, "supported")
        other = ("brittleness", "Local", 1e4 if i % 2 else 1e-4, 1.0, 1.0, "supported")
        one = run("segments", other, row, model=f"m{i}", size=1e9 * (1 + i % 4))
        one.manifest["model"]["family"] = "a" if i < 4 else "b"
        findings = one.findings.with_columns(method=pl.Series(["scaling", "noise"]))
        runs.append(FinishedRun(one.folder, manifest=one.manifest, findings=findings))
    found = judge("p_brittleness", *runs)
    assert found.verdict == "supported"
    assert "largest over smallest B 9.9 " in found.statement
    without = [
        FinishedRun(r.folder, manifest=r.manifest, findings=r.findings.filter(pl.col("method") == "scaling"))
        for r in runs
    ]
    assert judge("p_brittleness", *without).needs.endswith("with noise=relative")


STILL, WILD = [(0.25, 0.7)] * 4, [(0.1, 0.3), (0.6, 0.9), (0.15, 0.85), (0.45, 0.5)]


def cut(families: dict[str, list[tuple[float, float]]]) -> Judgement:
    runs = []
    for family, places in families.items():
        for i, (a, b) in enumerate(places):
            rows = [("boundary", "boundaries", at, at - 0.04, at + 0.04, "supported") for at in (a, b)]
            one = run("segments", *rows, model=f"{family}-{i}", size=1e9 * (1 + i))
            one.manifest["model"] |= {"family": family, "layers": 32}
            runs.append(one)
    return judge("p_boundaries", *runs)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("families", "verdict"),
    [
        ({"llama-2": STILL, "Llama-3.1": STILL, "qwen2.5": WILD}, "supported"),
        ({"llama-2": STILL, "llama-3": WILD, "qwen2": WILD}, "not supported"),
        ({"llama": STILL, "qwen2": WILD, "qwen3": WILD}, "supported"),
        ({"llama": STILL, "qwen2": WILD, "qwen3": STILL}, "not supported"),
        ({"llama": STILL, "tinyllama": WILD, "qwen2_moe": STILL, "qwen2": WILD}, "supported"),
        ({"mllama": STILL, "llama_moe": STILL, "qwen2": WILD}, "inconclusive"),
    ],
)
def test_every_family_of_a_name_counts_by_itself_and_others_do_not(families, verdict, order):
    found = cut(dict(list(families.items())[::order]))
    assert found.verdict == verdict
    if verdict != "inconclusive":
        named = [family for family in families if family not in ("tinyllama", "qwen2_moe")]
        assert all(f"{family} 0." in found.statement for family in named)
        assert "tinyllama" not in found.statement
