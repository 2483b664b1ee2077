"""Claims about the ratio of brittleness and the place of boundaries over sizes, on planted families of runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from layeratlas.core import registry
from layeratlas.core.spec import RunSpec
from layeratlas.runs.claim import Judgement
from layeratlas.runs.finding_table import FINDING_SCHEMA
from layeratlas.runs.finished import FinishedRun

SIZES = (1e9, 3e9, 8e9, 2e10, 7e10)


def run(name: str, family: str, size: float, *rows: tuple[str, str, float, str]) -> FinishedRun:
    """A run of the segments study with findings (finding, level, estimate, method)."""
    rows_of_findings = [
        (name, "segments", kind, level, "resid", method, "Said.", at, at, at, 0.01, "a null", "supported", 12)
        for kind, level, at, method in rows
    ]
    findings = pl.DataFrame(rows_of_findings, schema=list(FINDING_SCHEMA), orient="row")
    spec = RunSpec(study="segments", size="quick").model_dump(mode="json") | {"model": {"id": name}}
    about = {"name": name, "parameters": size, "family": family}
    return FinishedRun(Path(name), manifest={"spec": spec, "model": about, "texts": {"hash": "t"}}, findings=findings)


def judge(claim: str, runs: list[FinishedRun]) -> Judgement:
    judged: Judgement = registry.get("claims", claim).judge(runs)
    return judged


def brittle(seed: int, spread: float, **means: float) -> list[FinishedRun]:
    """Four models of each family, whose log10 B of the Local segment is normal around its mean."""
    rng = np.random.default_rng(seed)
    return [
        run(f"{family}{i}", family, SIZES[i], ("brittleness", "Local", 10 ** (mean + spread * rng.normal()), "noise"))
        for family, mean in means.items()
        for i in range(4)
    ]


@pytest.mark.parametrize(
    ("gap", "spread", "verdict"),
    [
        (np.log10(493), 0.1, "supported"),
        (np.log10(2), 0.1, "not supported"),
        (4.5, 0.1, "not supported"),
        (np.log10(493), 1.0, "inconclusive"),
    ],
)
def test_the_ratio_of_geometric_means_is_read_beside_the_published_one(gap, spread, verdict):
    judgement = judge("p_ratio", brittle(0, spread, llama=0.0, qwen2=gap))
    assert judgement.verdict == verdict
    assert "qwen2 over llama" in judgement.statement
    assert judgement.lo <= judgement.estimate <= judgement.hi


def test_the_interval_of_the_ratio_holds_the_truth_as_often_as_it_says():
    true, hits = 10**2.0, 0
    for seed in range(300):
        judgement = judge("p_ratio", brittle(seed, 0.3, llama=0.0, qwen2=2.0))
        hits += judgement.lo <= true <= judgement.hi
    assert 0.92 <= hits / 300 <= 0.98


def test_families_alike_are_never_called_a_ratio_of_493():
    verdicts = [judge("p_ratio", brittle(seed, 0.5, llama=0.0, qwen2=0.0)).verdict for seed in range(100)]
    assert verdicts.count("supported") == 0


def test_a_ratio_needs_two_models_of_two_families():
    runs = brittle(0, 0.1, llama=0.0, qwen2=2.0)
    assert "on 2 families" in judge("p_ratio", runs[:4]).needs
    assert judge("p_ratio", runs[:5]).verdict == "inconclusive"


def cut(places: list[tuple[float, float]], sizes: tuple[float, ...] = SIZES) -> list[FinishedRun]:
    return [
        run(f"m{i}", "llama", sizes[i], *(("boundary", "boundaries", at, "passages") for at in two))
        for i, two in enumerate(places)
    ]


def moved(by: float, spread: float = 0.01) -> list[tuple[float, float]]:
    """Boundaries of which the second moves by so much of the depth over the sizes."""
    rng = np.random.default_rng(4)
    way = (np.log10(SIZES) - 9) / np.log10(70)
    return [(0.3 + spread * rng.normal(), 0.6 + by * w + spread * rng.normal()) for w in way]


@pytest.mark.parametrize(
    ("by", "spread", "verdict"),
    [(0.0, 0.01, "supported"), (0.3, 0.01, "not supported"), (0.0, 0.15, "inconclusive"), (0.06, 0.03, "inconclusive")],
)
def test_boundaries_that_keep_their_place_over_sizes_are_told_from_those_that_move(by, spread, verdict):
    judgement = judge("p_stable", cut(moved(by, spread)))
    assert judgement.verdict == verdict
    assert judgement.n == 5


def test_sizes_within_ten_times_or_models_without_boundaries_decide_nothing():
    narrow = tuple(1e9 * (1 + 0.5 * i) for i in range(5))
    assert judge("p_stable", cut(moved(0.0), narrow)).verdict == "inconclusive"
    none = [
        FinishedRun(each.folder, manifest=each.manifest, findings=each.findings.with_columns(verdict=pl.lit("open")))
        for each in cut(moved(0.0))
    ]
    judgement = judge("p_stable", none)
    assert (judgement.verdict, judgement.needs[:23]) == ("inconclusive", "layeratlas run segments")
