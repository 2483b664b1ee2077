"""The quantities of segments runs for comparing models: boundaries, brittleness, segments, spread within a family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from layeratlas.core import formatting as wording
from layeratlas.core.arrays import Floats
from layeratlas.core.errors import StoreError
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import by_family
from layeratlas.runs.quantity import ModelSegment, Place, RunQuantity
from layeratlas.runs.tables import read_table
from layeratlas.stats.intervals import Z90, Z95
from layeratlas.stats.quantities import Quantity, grid_error, normal_errors
from layeratlas.stats.spread import Spread, spread_of
from layeratlas.stats.verdicts import Effect, decide
from layeratlas.studies.segments.names import (
    BOUNDARY_DRAWS_FILE,
    BRITTLENESS,
    EXACT,
    SEGMENT_NAMES,
    SegmentFinding,
)

# A spread over models needs at least this many models, each with at least this many blocks.
FEWEST_MODELS, FEWEST_BLOCKS = 3, 8
_NO_BOUNDARIES = "no two boundaries were found, so that this is a boundary fitted to smooth change"


def quantities(run: FinishedRun) -> list[RunQuantity]:
    """Return both boundaries (fractions of depth) and the brittleness of each segment (log10), with their errors.

    The errors are the draws that the run kept. Without kept draws, they are independent draws from a normal
    distribution as wide as the finding's interval.
    """
    return [*_boundaries(run), *_brittleness(run)]


def _boundaries(run: FinishedRun) -> list[RunQuantity]:
    findings = run.of_kind(SegmentFinding.BOUNDARY)
    doubt = "" if any(finding.verdict == "supported" for finding in findings) else _NO_BOUNDARIES
    quantities = []
    for number, finding in enumerate(findings, 1):
        drawn = boundary_draws(run, number)
        spread = (finding.hi - finding.lo) / (2 * Z90)  # boundaries have 90 % intervals
        noise = normal_errors(spread) if drawn is None else drawn / run.blocks - finding.estimate
        value = Quantity(
            estimate=finding.estimate,
            noise=noise,
            grain=grid_error(1 / run.blocks if run.blocks else 0.0),
            unit="depth",
        )
        name = f"boundary {number}"
        place = Place(quantity=name, level=finding.level, component="resid", method=finding.method, metric="depth")
        quantities.append(
            RunQuantity(place=place, label=name, value=value, paired=drawn is not None, doubt=doubt),
        )
    return quantities


def boundary_draws(run: FinishedRun, boundary: int) -> Floats | None:
    """Return the draws (B,) of the first (1) or second (2) boundary, in blocks; None if the run kept none.

    They belong to the method that found the run's boundaries.
    """
    if not run.blocks:
        return None
    try:
        table = read_table(run.folder / BOUNDARY_DRAWS_FILE)
        method = run.manifest["spec"].get("settings", {}).get("method", EXACT)
        rows = table.filter(pl.col("method") == method, pl.col("boundary") == boundary).sort("draw")
    except (StoreError, pl.exceptions.PolarsError):
        return None
    return rows["layer"].cast(pl.Float64).to_numpy() if len(rows) else None


def _brittleness(run: FinishedRun) -> list[RunQuantity]:
    quantities = []
    for finding in run.of_kind(SegmentFinding.BRITTLENESS):
        if not (finding.estimate > 0 and finding.lo > 0):
            continue
        drawn = run.draws.value(f"{BRITTLENESS} {finding.level}") if run.draws else None
        spread = (np.log10(finding.hi) - np.log10(finding.lo)) / (2 * Z95)
        estimate = float(np.log10(finding.estimate))
        noise = normal_errors(spread) if drawn is None else np.log10(drawn) - estimate
        quantities.append(
            RunQuantity(
                place=Place(
                    quantity=BRITTLENESS,
                    level=finding.level,
                    component="resid",
                    method=finding.method,
                    metric="log10 KL / strength²",
                ),
                label=f"{BRITTLENESS} of {finding.level}",
                value=Quantity(estimate=estimate, noise=noise, grain=0.0, unit="log10"),
                paired=drawn is not None,
            )
        )
    return quantities


def segments_of(run: FinishedRun) -> list[ModelSegment]:
    """Return the segments between a run's two boundaries; empty unless it has two."""
    boundaries = [finding.estimate for finding in run.of_kind(SegmentFinding.BOUNDARY)]
    if len(boundaries) < len(SEGMENT_NAMES) - 1:
        return []
    ends = [0.0, *boundaries[: len(SEGMENT_NAMES) - 1], 1.0]
    return [
        ModelSegment(name=name, left=left, right=right)
        for name, left, right in zip(SEGMENT_NAMES, ends[:-1], ends[1:], strict=True)
    ]


def spread_findings(runs: Sequence[FinishedRun]) -> list[Finding]:
    """Return, for each family with three or more models, the CV of both boundaries and its nulls."""
    findings = []
    for family, members in by_family(runs).items():
        boundaries = [[finding.estimate for finding in run.of_kind(SegmentFinding.BOUNDARY)][:2] for run in members]
        blocks = [run.blocks for run in members]
        if len(members) < FEWEST_MODELS or min(blocks) < FEWEST_BLOCKS or any(len(pair) < 2 for pair in boundaries):
            continue
        spreads = spread_of(np.array(boundaries), blocks)
        findings += [_spread_finding(family, i, spread, len(members)) for i, spread in enumerate(spreads, 1)]
    return findings


def _spread_finding(family: str, boundary: int, spread: Spread, models: int) -> Finding:
    verdict = decide(shown=spread.stable, refuted=spread.variable)
    says = {
        "supported": "varies less than boundary-free signals and random boundaries do",
        "not supported": "varies as random boundaries do",
        "inconclusive": "varies as boundaries fitted to a smooth ramp do",
    }[verdict]
    nulls = {"smooth ramp": spread.ramp, "white noise": spread.white, "random boundaries": spread.random}
    bands = ", ".join(f"{null.lo:.2f} to {null.hi:.2f} ({name})" for name, null in nulls.items())
    return curve_finding(
        "boundary spread",
        Subject(level=f"boundary {boundary} in {family}", component="resid", method="all", n=models),
        statement=f"Boundary {boundary} {says} in {family} ({models} models): coefficient of variation "
        f"{spread.cv:.2f}, standard deviation {wording.num(spread.sd, 3)} of depth; without boundaries {bands}.",
        effect=Effect(estimate=spread.cv, lo=spread.ramp.lo, hi=spread.ramp.hi),
        null="two boundaries fitted to a smooth ramp or to white noise, and random ones, in models of as many blocks",
        verdict=verdict,
    )
