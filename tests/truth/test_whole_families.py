"""Whole families of simulated runs through `compare`: what was planted in them is called, and nothing else is.

Stated rates: 5 % for whatever is not there, in a comparison's findings and in its claims, of which a verdict over
several pairs, levels or boundaries is corrected or needs them all.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from joblib import Parallel, delayed
from scipy.stats import binom

from layeratlas.comparison import compare
from layeratlas.comparison import page as comparing
from planted_families import SIZES, answering, segmented

EARLY, LATE, ROUNDED = (0.25, 0.75), (0.5, 0.85), (0.25, 0.65)


def anywhere(rng: np.random.Generator) -> tuple[float, float]:
    """Two cuts at random, a tenth of the depth apart at least."""
    first, second = np.sort(rng.uniform(0, 0.7, 2))
    return 0.1 + float(first), 0.2 + float(second)


SEGMENTS: Mapping[str, Callable[[str, int, np.random.Generator], Mapping[str, object]]] = {
    # A family's own boundaries and brittleness; brittleness grows with size in both.
    "by family": lambda family, i, rng: {
        "cuts": EARLY if family == "llama" else LATE,
        "brittleness": (30.0 if family == "llama" else 1.0) * 2.0**i * 10 ** rng.normal(0, 0.15),
    },
    # Llama's stand still and Qwen's do not.
    "one steady": lambda family, i, rng: {"cuts": EARLY if family == "llama" else anywhere(rng)},
    # The same in all models but for rounding to a block, and brittleness goes with size alone.
    "all alike": lambda family, i, rng: {"cuts": ROUNDED, "brittleness": 3.0**i * 10 ** rng.normal(0, 0.15)},
    "all anywhere": lambda family, i, rng: {"cuts": anywhere(rng), "brittleness": 10 ** rng.normal(0, 0.5)},
    # No boundaries: a smooth ramp, and noise.
    "ramp": lambda family, i, rng: {"ramp": True, "brittleness": 10 ** rng.normal(0, 0.5)},
    "noise": lambda family, i, rng: {"brittleness": 10 ** rng.normal(0, 0.5)},
}
EXITS: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    # Large: models of one size may differ by 0.03, and four of them tell little about that.
    "threshold": {"reasoning": (0.55, 0.55, 0.55, 0.95), "facts": (0.7, 0.7, 0.7, 0.7)},
    "line": {"reasoning": (0.55, 0.653, 0.746, 0.95), "facts": (0.7, 0.7, 0.7, 0.7)},
    "equal": {"reasoning": (0.7,) * 4, "facts": (0.7,) * 4},
}

PLANTED: Mapping[str, Any] = {**SEGMENTS, **EXITS}


def compared(folder: Path, case: str, seed: int) -> tuple[pl.DataFrame, ...]:
    """Simulate a family of runs and return the findings, claims and differences of their comparison."""
    comparing.build_comparison = lambda place: place  # type: ignore[assignment]  # the page is tested elsewhere
    home = folder / f"{case}-{seed}"
    home.mkdir(parents=True)
    write = segmented if case in SEGMENTS else answering
    out = compare(write(home, PLANTED[case], seed), home / "out")
    tables = tuple(pl.read_parquet(out / f"{name}.parquet") for name in ("findings", "claims", "differences"))
    shutil.rmtree(home)
    return tables


def said(tables: tuple[pl.DataFrame, ...]) -> Counter[str]:
    """Return what a comparison says, each thing once: claims and findings by verdict, whether any is supported."""
    findings, claims, differences = tables
    names = [f"{name} {verdict}" for name, verdict in claims.select("claim", "verdict").iter_rows()]
    names += [f"any {name}" for name in findings.filter(pl.col("verdict") == "supported")["finding"]]
    names += [": ".join(row[:2]) + f" {row[2]}" for row in findings.select("finding", "level", "verdict").iter_rows()]
    names += [f"differs in {name}" for name in differences.filter(pl.col("verdict") == "supported")["quantity"]]
    return Counter(set(names))


def rates(folder: Path, case: str, runs: int, jobs: int = 1) -> Counter[str]:
    """Return of how many comparisons each thing is true."""
    comparisons = Parallel(jobs)(delayed(compared)(folder, case, seed) for seed in range(runs))
    return sum((said(tables) for tables in comparisons), Counter())


# What must be said in at least this share of comparisons, and what in no more than this share, by what was planted.
ASKED: Mapping[str, tuple[Mapping[str, float], Mapping[str, float]]] = {
    "by family": (
        {
            "family: boundary 1 supported": 0.9,
            "family: boundary 2 supported": 0.9,
            "family: brittleness of Local supported": 0.9,
            "boundary spread: boundary 1 in llama supported": 0.9,
            "boundary spread: boundary 2 in llama supported": 0.9,
            "differs in boundary 1": 0.9,
            "differs in brittleness": 0.9,
            "P1.1 supported": 0.9,
            "P-boundaries not supported": 0.9,
            "P-brittleness supported": 0.9,
        },
        {},
    ),
    "one steady": (
        {
            "boundary spread: boundary 1 in llama supported": 0.9,
            "boundary spread: boundary 2 in llama supported": 0.9,
            "P-boundaries supported": 0.5,
        },
        {"P-boundaries not supported": 0.05, "P-brittleness supported": 0.05},
    ),
    "all alike": (
        {"P1.1 supported": 0.9},
        {"any family": 0.05, "P-brittleness supported": 0.05, "differs in boundary 1": 0.05,
         "differs in boundary 2": 0.05, "P-boundaries supported": 0.05},
    ),
    "all anywhere": ({}, {"any family": 0.05, "P-boundaries supported": 0.05, "P-brittleness supported": 0.05}),
    "ramp": ({}, {"any family": 0.05, "P1.1 supported": 0.05, "P-boundaries supported": 0.05,
                  "differs in boundary 1": 0.05, "differs in boundary 2": 0.05,
                  "boundary spread: boundary 1 in llama supported": 0.05,
                  "boundary spread: boundary 2 in llama supported": 0.05}),
    "noise": ({}, {"any family": 0.05, "P1.1 supported": 0.05, "P-boundaries supported": 0.05,
                   "any boundary spread": 0.05}),
    "threshold": (
        # Four models of four sizes never show that facts rise by less than 0.05, which X7 asks too.
        {"size threshold: reasoning supported": 0.8, "size: reasoning supported": 0.9},
        {"size: facts supported": 0.05, "size threshold: reasoning not supported": 0.05, "X7 not supported": 0.05},
    ),
    "line": (
        {"size: reasoning supported": 0.9},
        {"X7 supported": 0.05, "size threshold: reasoning supported": 0.05, "size: facts supported": 0.05},
    ),
    "equal": ({}, {"any size": 0.05, "any size threshold": 0.05, "X7 supported": 0.05, "X5 not supported": 0.05,
                   "differs in peak value": 0.05, "differs in onset depth": 0.05, "differs in peak depth": 0.05}),
}  # fmt: skip


def check(folder: Path, case: str, runs: int, jobs: int = 1) -> None:
    found = rates(folder, case, runs, jobs)
    at_least, at_most = ASKED[case]
    few = {name: found[name] for name, rate in at_least.items() if binom.cdf(found[name], runs, rate) <= 0.01}
    many = {name: found[name] for name, rate in at_most.items() if binom.sf(found[name] - 1, runs, rate) <= 0.01}
    assert (few, many) == ({}, {})


@pytest.fixture(autouse=True)
def no_page(monkeypatch):
    monkeypatch.setattr(comparing, "build_comparison", comparing.build_comparison)  # put back after each test


@pytest.mark.parametrize("case", ["by family", "ramp", "threshold", "equal"])
def test_planted_families_are_called_and_what_is_not_there_is_not(tmp_path, case):
    check(tmp_path, case, 3)  # with fewer, no outcome is rare enough to fail


@pytest.mark.truth
@pytest.mark.parametrize("case", ASKED)
def test_planted_families_are_called_at_the_stated_rates(tmp_path, case):
    check(tmp_path, case, 100, jobs=2)


def test_values_by_size_are_those_that_were_planted(tmp_path, monkeypatch):
    monkeypatch.setattr(comparing, "build_comparison", lambda place: place)
    tops = EXITS["threshold"]
    out = compare(answering(tmp_path, tops, 0), tmp_path / "out")
    last = pl.read_parquet(out / "sizes.parquet").filter(pl.col("where") == "last")
    assert set(last["level"]) == set(tops)
    for level, planted in tops.items():
        rows = last.filter(pl.col("level") == level)
        assert rows["parameters"].to_list() == list(SIZES)
        assert rows["value"].to_list() == pytest.approx(planted, abs=0.04)
