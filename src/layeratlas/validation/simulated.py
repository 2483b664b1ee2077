"""One simulated run: its kept results, and the simulation."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.spec import Size
from layeratlas.runs.coherence import contradictions
from layeratlas.runs.finding import FINDING_FIELDS, Finding
from layeratlas.runs.tables import read_table
from layeratlas.studies.hierarchy.coherence import PRESUPPOSED
from layeratlas.studies.hierarchy.names import CURVES, WHOLE
from layeratlas.validation.cases import Case
from layeratlas.validation.planted import placeholder_data, simulate_run

# The columns of a finding and of a level curve that the table reads.
_OF_FINDINGS = {"finding": pl.String, "level": pl.String, "verdict": pl.String, "estimate": pl.Float64}
_OF_CURVES = {"level": pl.String, "layer": pl.Int64, "estimate": pl.Float64, "lo": pl.Float64, "hi": pl.Float64}
# The environment variable from which joblib reads the number of cores.
_CORES = "LOKY_MAX_CPU_COUNT"


@dataclass(frozen=True, kw_only=True)
class SimulatedRun:
    """The kept results of one simulated run.

    These are its findings, its level curves (accuracy), the layers of planted peaks, and whether two of its findings
    contradict each other.
    """

    findings: pl.DataFrame
    curves: pl.DataFrame
    peaks: dict[str, int]
    at_odds: bool

    def record(self) -> dict[str, Any]:
        """Return the run as JSON values."""
        return {
            "findings": self.findings.rows(),
            "curves": self.curves.rows(),
            "peaks": self.peaks,
            "at_odds": self.at_odds,
        }

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> SimulatedRun:
        """Return the run that a record was made from."""
        return cls(
            findings=pl.DataFrame(record["findings"], _OF_FINDINGS, orient="row"),
            curves=pl.DataFrame(record["curves"], _OF_CURVES, orient="row"),
            peaks=record["peaks"],
            at_odds=record["at_odds"],
        )


def simulate_case(case: Case, size: Size, seed: int) -> SimulatedRun:
    """Simulate one run of a case, on one core."""
    from threadpoolctl import threadpool_limits

    material = placeholder_data(case.tasks, size)
    rng = np.random.default_rng([seed, *case.name.encode()])
    signal = case.plant(rng, {data.name: data.level for data in material})
    with tempfile.TemporaryDirectory() as parent, threadpool_limits(1), _one_core():
        folder = Path(parent) / "run"
        findings = simulate_run(folder, material, signal.strength, seed)
        curves = read_table(folder / CURVES)
    levels = curves.filter(pl.col("metric") == "accuracy", pl.col("stratum") == WHOLE, pl.col("task") == WHOLE)
    report = [Finding(**row) for row in findings.select(FINDING_FIELDS).to_dicts()]
    return SimulatedRun(
        findings=findings.select(list(_OF_FINDINGS)),
        curves=levels.sort("level", "layer").select(list(_OF_CURVES)),
        peaks=signal.peaks,
        at_odds=bool(contradictions(report, PRESUPPOSED)),
    )


@contextmanager
def _one_core() -> Iterator[None]:
    """Prevent the stages of a run from starting workers: the runs are already spread over the cores."""
    before = os.environ.get(_CORES)
    os.environ[_CORES] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CORES]
        else:
            os.environ[_CORES] = before
