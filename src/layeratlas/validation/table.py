"""Why a verdict can be trusted: what is planted must be found, and on nothing nothing may be found."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy
from joblib import Parallel, delayed

from layeratlas.core.arrays import Floats
from layeratlas.core.progress import Progress
from layeratlas.core.spec import Size
from layeratlas.validation.planted import designs, hump, simulate

LAYERS = 30
SHORT = ("items", "relations", "analogies")
EVERY = (*SHORT, "grammar", "documents", "buried")
_TOP, _WIDTH = 1.3, 3.0  # an accuracy of 0.90 at the peak; humps as sharp as those of small models
CHAIN = ("item", "relation", "analogy")


@dataclass(frozen=True)
class Row:
    """One line of the table: how often something was said, of how many times it could have been, and what is asked.

    `at_least` or `at_most` is the rate that is asked for.
    """

    planted: str
    said: str
    hits: int
    of: int
    at_least: float = 0.0
    at_most: float = 1.0

    @property
    def rate(self) -> float:
        """The share of hits."""
        return self.hits / max(self.of, 1)

    @property
    def passed(self) -> bool:
        """Whether a rate lies between its two bounds, or misses its one bound by no more than chance 1 time in 100."""
        if self.at_least and self.at_most < 1:
            return self.at_least <= self.rate <= self.at_most
        low = scipy.stats.binom.cdf(self.hits, self.of, self.at_least) > 0.01 if self.at_least else True
        high = scipy.stats.binom.sf(self.hits - 1, self.of, self.at_most) > 0.01 if self.at_most < 1 else True
        return bool(low and high)


Case = Callable[[np.random.Generator, Mapping[str, str]], tuple[dict[str, Floats], dict[str, int]]]


def _ordered(rng: np.random.Generator, levels: Mapping[str, str]) -> tuple[dict[str, Floats], dict[str, int]]:
    """Return one hump a level, in order, and its peak."""
    first = int(rng.integers(3, 8))
    at = dict(zip(CHAIN, (first, first + int(rng.integers(5, 8)), first + int(rng.integers(11, 15))), strict=True))
    return {task: _TOP * hump(LAYERS, at[level], _WIDTH) for task, level in levels.items()}, at


def _twice(rng: np.random.Generator, levels: Mapping[str, str]) -> tuple[dict[str, Floats], dict[str, int]]:
    """Return two humps at the same layers for every level, and moves from layer to layer that all tasks share."""
    first = int(rng.integers(3, 6))
    both = np.maximum(hump(LAYERS, first, 1.5), hump(LAYERS, first + 9, 1.5))
    shared = 0.15 * rng.standard_normal(LAYERS + 1)
    return dict.fromkeys(levels, np.maximum(0.0, 0.35 + 0.9 * both + shared)), {}


def _plateau(rng: np.random.Generator, levels: Mapping[str, str]) -> tuple[dict[str, Floats], dict[str, int]]:
    """Return a rise over some ten layers to a plateau, the same for every level and in every run."""
    rise = 1 / (1 + np.exp(-(np.arange(LAYERS + 1) - 8.0) / 2))
    return dict.fromkeys(levels, rise), {}


def _nothing(rng: np.random.Generator, levels: Mapping[str, str]) -> tuple[dict[str, Floats], dict[str, int]]:
    """Return no signal at all."""
    return dict.fromkeys(levels, np.zeros(LAYERS + 1)), {}


CASES: dict[str, tuple[Case, tuple[str, ...]]] = {
    "three humps in order": (_ordered, SHORT),
    "two humps, shared moves": (_twice, SHORT),
    "one plateau": (_plateau, SHORT),
    "nothing": (_nothing, EVERY),
}


def _once(case: str, size: Size, seed: int) -> dict[str, Any]:
    """Simulate one run and return its findings, its level curves and where its peaks were planted."""
    from threadpoolctl import threadpool_limits

    make, tasks = CASES[case]
    data = designs(tasks, size)
    rng = np.random.default_rng([seed, *case.encode()])
    strength, peaks = make(rng, {one.name: one.level for one in data})
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        findings = simulate(Path(folder) / "run", data, strength, seed)
        curves = pl.read_parquet(Path(folder) / "run" / "curves.parquet")
    kept = curves.filter(pl.col("metric") == "accuracy", pl.col("stratum") == "all", pl.col("task") == "all")
    return {"findings": findings, "peaks": peaks, "curves": kept.sort("level", "layer")}


def _said(runs: Sequence[dict[str, Any]], finding: str) -> tuple[int, int]:
    """Return how often a finding was supported, and how often it was judged."""
    tables = [run["findings"].filter(pl.col("finding") == finding) for run in runs]
    return sum(int((t["verdict"] == "supported").sum()) for t in tables), sum(len(t) for t in tables)


def _peaks_found(runs: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Return how many peaks lie within one layer of where they were planted."""
    hits = of = 0
    for run in runs:
        for level, layer in run["peaks"].items():
            found = run["findings"].filter(pl.col("finding") == "peak", pl.col("level") == level)
            hits += abs(found["estimate"].item() * LAYERS - layer) <= 1.01
            of += 1
    return hits, of


def _covered(runs: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Return how many intervals of level curves hold the mean of all runs, each run having drawn its texts anew."""
    parts = [run["curves"].select("estimate", "lo", "hi").to_numpy() for run in runs]
    table = np.stack(parts)
    truth = table[:, :, 0].mean(0)
    inside = (table[:, :, 1] <= truth) & (truth <= table[:, :, 2])
    return int(inside.sum()), inside.size


def table(runs: Mapping[str, Sequence[dict[str, Any]]]) -> list[Row]:
    """Return the lines of the table for the runs of each case."""
    humps, twice, flat, nothing = (runs[name] for name in CASES)
    names = list(CASES)
    rows = [
        Row(names[0], "peak within one layer", *_peaks_found(humps), at_least=0.95),
        Row(names[0], "order", *_said(humps, "order"), at_least=0.9),
        Row(names[0], "decline", *_said(humps, "decline"), at_least=0.9),
        Row(names[0], "second peak", *_said(humps, "second peak"), at_most=0.05),
        Row(names[0], "coordination", *_said(humps, "coordination"), at_most=0.05),
        Row(names[1], "second peak", *_said(twice, "second peak"), at_least=0.9),
        Row(names[1], "coordination", *_said(twice, "coordination"), at_least=0.9),
        Row(names[1], "order", *_said(twice, "order"), at_most=0.05),
        Row(names[2], "order", *_said(flat, "order"), at_most=0.05),
        Row(names[2], "decline", *_said(flat, "decline"), at_most=0.05),
        Row(names[2], "second peak", *_said(flat, "second peak"), at_most=0.05),
        Row(names[2], "coordination", *_said(flat, "coordination"), at_most=0.05),
        Row(names[2], "95 % interval holds the truth", *_covered(flat), at_least=0.93, at_most=0.97),
    ]
    any_peak = sum(bool(_said([run], "peak")[0]) for run in nothing)
    rows.append(Row(names[3], "any peak in a run", any_peak, len(nothing), at_most=0.05))
    for name in sorted({name for run in nothing for name in run["findings"]["finding"]} - {"peak"}):
        hits = sum(bool(_said([run], name)[0]) for run in nothing)
        rows.append(Row(names[3], f"any {name} in a run", hits, len(nothing), at_most=0.05))
    return rows


def validate(runs: int, size: Size = "quick", progress: Progress | None = None, seed: int = 0) -> list[Row]:
    """Simulate so many runs of each case and return the table."""
    jobs = [(case, seed + i) for case in CASES for i in range(runs)]
    made: dict[str, list[dict[str, Any]]] = {case: [] for case in CASES}
    with (progress or Progress()).stage("simulate", len(jobs)) as step:
        work = Parallel(n_jobs=os.cpu_count() or 1, return_as="generator")(
            delayed(_once)(case, size, one) for case, one in jobs
        )
        for (case, _), result in zip(jobs, work, strict=True):
            made[case].append(result)
            step.advance()
    return table(made)
