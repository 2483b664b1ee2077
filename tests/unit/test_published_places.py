"""Claims about published layers, declines, documents and grammar: planted places are found, others are refuted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import fake_models as fake
import planting
from fake_models import FakeModel
from layeratlas.core import registry
from layeratlas.runs.claim import Judgement
from layeratlas.runs.finished import FinishedRun, read_run
from layeratlas.studies.hierarchy.findings.documents import document_findings

Shape = Callable[[np.ndarray], np.ndarray]


def run_of(folder: Path, shapes: Mapping[str, Shape], *, layers: int = 28, parameters: float = 3e9) -> FinishedRun:
    """A run whose levels have these true curves; a second peak is called supported where it is planted or not."""
    model = FakeModel(
        "m", lambda level, depth: shapes[level](depth), layers, parameters=parameters, levels=tuple(shapes),
        spread=0.006,
    )  # fmt: skip
    run = read_run(fake.write_model(folder / "m", model))
    kind = pl.col("finding") == "second peak"
    said = pl.when(kind).then(pl.lit("supported")).otherwise("verdict").alias("verdict")
    findings = run.findings.with_columns(said, p=pl.when(kind).then(0.01).otherwise("p"))
    return FinishedRun(run.folder, manifest=run.manifest, findings=findings)


def judge(claim: str, run: FinishedRun) -> Judgement:
    judged: Judgement = registry.get("claims", claim).judge([run])
    return judged


def peak(at: float, width: float = 0.04) -> Shape:
    return fake.hump(at, 0.9, width)


def flat(depth: np.ndarray) -> np.ndarray:
    return np.full(len(depth), 0.5)


PUBLISHED = {"item": peak(4.5 / 28), "relation": peak(10 / 28), "analogy": peak(12.5 / 28)}


def test_peaks_at_the_published_layers_support_the_claim(tmp_path):
    finding = judge("h1_layers", run_of(tmp_path, PUBLISHED))
    assert finding.verdict == "supported"
    assert finding.p <= 0.05
    assert "2-7 of 28, depth 0.04 to 0.29" in finding.statement


@pytest.mark.parametrize("level", PUBLISHED)
def test_one_level_that_peaks_elsewhere_refutes_the_published_layers(tmp_path, level):
    finding = judge("h1_layers", run_of(tmp_path, PUBLISHED | {level: peak(0.8)}))
    assert finding.verdict == "not supported"
    assert f"The peak of {level} is at depth 0.7" in finding.statement or "0.8" in finding.statement


@pytest.mark.parametrize("level", PUBLISHED)
def test_a_level_that_does_not_decode_leaves_the_published_layers_open(tmp_path, level):
    assert judge("h1_layers", run_of(tmp_path, PUBLISHED | {level: flat})).verdict == "inconclusive"


def test_the_published_layers_are_those_of_a_small_model(tmp_path):
    assert judge("h1_layers", run_of(tmp_path, PUBLISHED, parameters=7e10)).verdict == "inconclusive"


@pytest.mark.parametrize(("at", "verdict"), [(35 / 80, "supported"), (0.75, "not supported")])
def test_the_layer_of_buried_relations(tmp_path, at, verdict):
    run = run_of(tmp_path, {"buried relation": peak(at, 0.02)}, layers=80, parameters=7e10)
    finding = run.findings.with_columns(lo=pl.col("estimate") - 0.01, hi=pl.col("estimate") + 0.01)
    assert judge("h2_layer", FinishedRun(run.folder, manifest=run.manifest, findings=finding)).verdict == verdict


def two(first: float, second: float) -> Shape:
    one, other = peak(first, 0.025), peak(second, 0.025)
    return lambda depth: np.maximum(one(depth), other(depth))


@pytest.mark.parametrize(
    ("relation", "analogy", "verdict"),
    [
        (two(14 / 80, 29 / 80), two(14 / 80, 29 / 80), "supported"),
        (two(14 / 80, 29 / 80), two(14 / 80, 0.55), "not supported"),
        (two(0.02, 29 / 80), two(14 / 80, 29 / 80), "not supported"),
        (two(14 / 80, 29 / 80), peak(0.3), "inconclusive"),
    ],
)
def test_both_peaks_of_both_levels_must_lie_at_the_published_layers(tmp_path, relation, analogy, verdict):
    run = run_of(tmp_path, {"relation": relation, "analogy": analogy}, layers=80, parameters=7e10)
    assert judge("h3_layers", run).verdict == verdict


def test_second_peaks_that_are_not_shown_have_no_place(tmp_path):
    run = run_of(tmp_path, {"relation": two(0.175, 0.36), "analogy": two(0.175, 0.36)}, layers=80, parameters=7e10)
    unclear = run.findings.with_columns(verdict=pl.lit("inconclusive"))
    assert (
        judge("h3_layers", FinishedRun(run.folder, manifest=run.manifest, findings=unclear)).verdict == "inconclusive"
    )


def held(depth: np.ndarray) -> np.ndarray:
    return 0.5 + 0.3 / (1 + np.exp(-(depth - 0.15) / 0.03))


@pytest.mark.parametrize(
    ("shape", "early", "late"),
    [
        (peak(4 / 28, 0.03), "supported", "not supported"),
        (held, "", "supported"),
        (peak(0.8, 0.2), "not supported", "supported"),
        (flat, "inconclusive", "inconclusive"),
    ],
)
def test_grammar_is_early_or_sustained_late(tmp_path, shape, early, late):
    run = run_of(tmp_path, {"grammar": shape})
    findings = run.findings.with_columns(lo=pl.col("estimate") - 0.02, hi=pl.col("estimate") + 0.02)
    run = FinishedRun(run.folder, manifest=run.manifest, findings=findings)
    if early:  # the peak of a plateau is anywhere on it
        assert judge("h7_early", run).verdict == early
    assert judge("h7_late", run).verdict == late


@pytest.mark.parametrize(("drops", "verdict"), [(("supported", "supported"), "supported"),
                                               (("supported", "not supported"), "not supported"),
                                               (("supported", "inconclusive"), "inconclusive")])  # fmt: skip
def test_items_and_relations_must_both_decline(tmp_path, drops, verdict):
    run = run_of(tmp_path, {"item": peak(0.2), "relation": peak(0.4)})
    rows = run.findings.filter(pl.col("finding") == "peak").with_columns(
        finding=pl.lit("decline"), verdict=pl.Series(drops)
    )
    changed = FinishedRun(run.folder, manifest=run.manifest, findings=rows)
    assert judge("h5", changed).verdict == verdict


@pytest.mark.parametrize(
    ("deep", "spread", "verdict"),
    [
        (0.85, 0.006, "supported"),
        (0.7, 0.006, "not supported"),
        (0.5, 0.006, "not supported"),
        (0.72, 0.04, "inconclusive"),
    ],
)
def test_deep_documents_must_beat_their_words(deep, spread, verdict):
    """The bag of words reaches 0.7: what decodes as well from deep layers is no abstraction."""
    estimate = [0.5] * 4 + [0.8] * 5 + [deep] * 4
    curve = planting.drawn_curve(estimate, spread, level="document", baseline=0.7)
    (finding,) = document_findings([curve], planting.PHRASING)
    assert finding.verdict == verdict
    assert document_findings([planting.drawn_curve(estimate, spread, level="item")], planting.PHRASING) == []
