"""A finished run: its tables are read when asked for, its findings are records, and what is broken is one line."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

import fake_models as fake
from fake_models import FakeModel
from layeratlas.core import registry
from layeratlas.core.errors import StoreError
from layeratlas.runs.finding import FINDING_COLUMNS, Finding, finding_table
from layeratlas.runs.finished import FinishedRun, read_run

MODEL = FakeModel("small", lambda level, depth: fake.hump(0.4)(depth))
FINDING = Finding(
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


def in_memory(*findings: Finding) -> FinishedRun:
    manifest = {"spec": {"study": "hierarchy"}, "model": {"name": "m", "family": "llama"}}
    return FinishedRun("nowhere", manifest=manifest, findings=finding_table(findings, "m", "hierarchy"))


def test_findings_come_back_as_they_were_written():
    run = in_memory(FINDING, replace(FINDING, level="relation"))
    assert run.of_kind("peak") == [FINDING, replace(FINDING, level="relation")]
    assert run.findings.columns == list(FINDING_COLUMNS)


def test_an_empty_table_has_the_columns_and_types_of_a_full_one():
    assert in_memory().findings.schema == in_memory(FINDING).findings.schema
    assert in_memory().of_kind("peak") == []
    assert in_memory().method == ""


def test_a_kind_is_read_from_its_first_method_unless_another_is_named():
    second = replace(FINDING, method="svm", estimate=0.6)
    run = in_memory(FINDING, second, replace(FINDING, component="attn", method="svm"))
    assert run.of_kind("peak") == [FINDING]
    assert run.of_kind("peak", method="svm") == [second]
    assert [finding.component for finding in run.of_kind("peak", "attn")] == ["attn"]


def test_a_family_is_given_to_a_copy():
    run = in_memory(FINDING)
    assert run.in_family({"mine": "M"}).family == "mine"
    assert run.in_family({"mine": "other"}) is run
    assert run.family == "llama"


def test_a_table_is_read_only_when_it_is_asked_for(tmp_path):
    folder = fake.write_model(tmp_path / "run", MODEL)
    (folder / "curves.parquet").write_bytes(b"no")
    run = FinishedRun(folder)
    assert (run.model, run.blocks, run.complete) == ("small", 24, True)
    assert run.of_kind("peak")
    with pytest.raises(StoreError, match=r"curves\.parquet cannot be read \(.*\); expected a whole file; run it again"):
        _ = run.curves
    with pytest.raises(StoreError, match=r"curves\.parquet cannot be read"):
        read_run(folder)
    (folder / "curves.parquet").unlink()
    with pytest.raises(StoreError, match=r"no curves\.parquet in '.*run'; expected a run whose analysis is finished"):
        _ = FinishedRun(folder).curves


def test_segments_lie_between_the_boundaries_of_a_run_that_has_two(tmp_path):
    study = registry.get("studies", "segments")
    model = replace(MODEL, study="segments", boundaries=(0.25, 0.75), brittleness={"Local": 10.0})
    run = read_run(fake.write_model(tmp_path / "run", model))
    assert [(s.name, s.left, s.right) for s in study.segments_of(run)] == [
        ("Local", 0.0, 0.25),
        ("Intermediate", 0.25, 0.75),
        ("Global", 0.75, 1.0),
    ]
    values = {quantity.label: quantity.value.estimate for quantity in study.quantities(run)}
    assert values == pytest.approx({"boundary 1": 0.25, "boundary 2": 0.75, "brittleness of Local": 1.0})
    without = FinishedRun(run.folder, findings=run.findings.filter(pl.col("finding") != "boundary"))
    assert study.segments_of(without) == []
