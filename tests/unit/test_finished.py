"""A finished run: its tables are read when asked for, its findings are records, and what is broken is one line."""

from __future__ import annotations

import math
from dataclasses import replace
from enum import StrEnum
from importlib import import_module

import numpy as np
import polars as pl
import pytest
import scipy

import fake_models as fake
import fake_run
import layeratlas as la
from fake_models import FakeModel
from layeratlas.api.display import lines_of
from layeratlas.core import registry
from layeratlas.core.errors import StoreError
from layeratlas.runs.finding import Finding
from layeratlas.runs.finding_table import FINDING_SCHEMA, finding_table, with_later_columns
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
    assert run.findings.columns == [*FINDING_SCHEMA, "q", "tested"]


@pytest.mark.parametrize("name", ["hierarchy", "exits", "segments", "causal"])
def test_every_kind_of_finding_says_what_it_tests(name):
    kinds = import_module(f"layeratlas.studies.{name}.tested").TESTED
    (names,) = (kind for kind in vars(import_module(f"layeratlas.studies.{name}.names")).values() if _is_kinds(kind))
    assert set(kinds) == set(names)
    assert registry.get("studies", name).tested == kinds
    assert not any(words.endswith(".") or words != words.strip() for words in kinds.values())


def _is_kinds(value):
    return isinstance(value, type) and issubclass(value, StrEnum) and value.__name__.endswith("Finding")


def test_a_finding_that_is_not_supported_names_what_was_tested():
    """Its sentence says what was found instead, which the verdict alone would seem to doubt."""
    opposite = replace(FINDING, verdict="not supported", statement="It peaks earlier.")
    table = finding_table([FINDING, opposite], "m", "s", {"peak": "it peaks deeper"})
    assert lines_of(table) == [
        f"[supported] {FINDING.statement}",
        "[not supported: it peaks deeper] It peaks earlier.",
    ]
    earlier = with_later_columns(table.drop("q", "tested"))
    assert earlier.columns == table.columns
    assert lines_of(earlier)[1] == "[not supported] It peaks earlier."


def test_a_folder_of_an_earlier_version_has_findings_without_the_later_columns(tmp_path):
    folder = fake_run.write_run(tmp_path)
    path = folder / "findings.parquet"
    table = pl.read_parquet(path)
    table.drop([name for name in ("q", "tested") if name in table.columns]).write_parquet(path)
    run = la.load(folder)
    assert set(run.findings["tested"]) == {""}
    assert "[supported]" in run.summary()
    path.unlink()
    with pytest.raises(StoreError, match=r"findings\.parquet"):
        la.load(folder).summary()


def test_an_empty_table_has_the_columns_and_types_of_a_full_one():
    assert in_memory().findings.schema == in_memory(FINDING).findings.schema
    assert in_memory().of_kind("peak") == []
    assert in_memory().method == ""


def test_support_needs_the_correction_over_the_report():
    weak = replace(FINDING, p=0.04)
    nulls = [replace(FINDING, level=f"l{i}", p=0.5 + i / 100, verdict="inconclusive") for i in range(9)]
    table = finding_table([weak, *nulls], "m", "s")
    assert table["q"][0] == pytest.approx(0.4)
    assert table["verdict"][0] == "inconclusive"
    assert "q = 0.400" in table["statement"][0]
    assert finding_table([weak], "m", "s")["verdict"].to_list() == ["supported"]
    strong = finding_table([replace(weak, p=0.004), *nulls], "m", "s")
    assert strong["verdict"][0] == "supported"


def test_an_opposite_effect_needs_the_correction_too_and_an_equivalence_does_not():
    nulls = [replace(FINDING, level=f"l{i}", p=0.5 + i / 100, verdict="inconclusive") for i in range(9)]
    opposite, equal = (replace(FINDING, p=p, verdict="not supported") for p in (0.04, 0.6))
    assert finding_table([opposite, *nulls], "m", "s")["verdict"][0] == "inconclusive"
    assert finding_table([equal, *nulls], "m", "s")["verdict"][0] == "not supported"


def test_a_finding_without_a_p_value_neither_counts_nor_changes():
    table = finding_table([FINDING, replace(FINDING, p=math.nan)], "m", "s")
    assert table["q"][0] == FINDING.p
    assert math.isnan(table["q"][1])
    assert table["verdict"].to_list() == ["supported", "supported"]


def test_a_report_of_null_findings_rarely_supports_any():
    rng = np.random.default_rng(0)
    trials, hits, uncorrected = 200, 0, 0
    for _ in range(trials):
        ps = rng.uniform(size=140)
        reports = [replace(FINDING, p=p, verdict="supported" if p <= 0.05 else "inconclusive") for p in ps]
        uncorrected += any(finding.verdict == "supported" for finding in reports)
        hits += "supported" in set(finding_table(reports, "m", "s")["verdict"])
    assert uncorrected > 0.95 * trials
    assert hits <= scipy.stats.binom.ppf(0.99, trials, 0.05)


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


def test_a_folder_of_runs_is_no_run_and_names_one(tmp_path):
    for name in ("b", "a"):
        fake_run.write_run(tmp_path / name)
    with pytest.raises(StoreError, match=f"'{tmp_path}' holds 2 runs and is none itself; .*, such as '{tmp_path}/a'"):
        FinishedRun(tmp_path).verify()
    with pytest.raises(StoreError, match="does not exist"):
        FinishedRun(tmp_path / "c").verify()
