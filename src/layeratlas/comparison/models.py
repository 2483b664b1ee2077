"""What is compared of each model: quantities of its level curves, its boundaries and its brittleness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from scipy.special import ndtri

from layeratlas.comparison.cohort import Cohort
from layeratlas.core.arrays import Floats
from layeratlas.runs.finished import FinishedRun
from layeratlas.stats.contrasts import Quantity, quantities
from layeratlas.stats.draws import Key, LevelDraws

SCHEMA: dict[str, Any] = {
    "study": pl.String, "model": pl.String, "family": pl.String, "parameters": pl.Float64, "quantity": pl.String,
    "level": pl.String, "component": pl.String, "method": pl.String, "metric": pl.String, "estimate": pl.Float64,
    "lo": pl.Float64, "hi": pl.Float64,
}  # fmt: skip
_PLACED = ("peak", "exit")
_Z90, _Z95 = 1.644854, 1.959964
_EVEN = 1000


@dataclass(frozen=True)
class Place:
    """What a quantity is of: a level (or segment) in a component, read by a method."""

    quantity: str
    level: str
    component: str
    method: str
    metric: str


@dataclass(frozen=True)
class Model:
    """One model's quantities.

    Those in `paired` share their draws with other models' on the same texts; those in `doubtful` are boundaries that
    the run did not find to exist, which a cut of smooth change has too.
    """

    name: str
    run: FinishedRun
    curves: Mapping[Key, LevelDraws]
    values: Mapping[Place, Quantity]
    paired: frozenset[Place]
    doubtful: frozenset[Place]


def read_models(cohort: Cohort) -> list[Model]:
    """Return the models of a cohort, with the quantities of the first method's curves and of single numbers."""
    return [_read(name, run) for name, run in zip(cohort.names, cohort.runs, strict=True)]


def _read(name: str, run: FinishedRun) -> Model:
    curves: dict[Key, LevelDraws] = {}
    values: dict[Place, Quantity] = {}
    read = readings(run)
    if run.draws is not None:
        for key in _first_method(sorted(run.draws.keys, key=lambda key: key.method != run.method)):
            curve = run.draws.curve(key)
            assert curve is not None  # the key is the file's own
            curves[key] = curve
            placed = read.get((key.level, key.component), False)
            for what, value in quantities(curve, key.component, placed).items():
                values[Place(what, key.level, key.component, key.method, key.metric)] = value
    paired = set(values)
    for place, value, kept in _numbers(run):
        values[place] = value
        paired |= {place} if kept else set()
    shown = any(row.verdict == "supported" for row in run.of_kind("boundary"))
    doubtful = frozenset(() if shown else (p for p in values if p.quantity.startswith("boundary")))
    return Model(name, run, curves, values, frozenset(paired), doubtful)


def _first_method(keys: list[Key]) -> list[Key]:
    first: dict[tuple[str, str], str] = {}
    for key in keys:
        first.setdefault((key.level, key.component), key.method)
    return [key for key in keys if key.method == first[key.level, key.component]]


def readings(run: FinishedRun) -> dict[tuple[str, str], bool]:
    """Return, for each level and component that the run judged, whether anything was found to read (or to answer)."""
    rows = run.findings.filter(pl.col("finding").is_in(_PLACED))
    components = rows["component"].unique().to_list()
    judged = [row for kind in _PLACED for component in components for row in run.of_kind(kind, component)]
    found: dict[tuple[str, str], bool] = {}
    for row in judged:
        key = row.level, row.component
        found[key] = found.get(key, False) or row.verdict == "supported"
    return found


def _numbers(run: FinishedRun) -> list[tuple[Place, Quantity, bool]]:
    """Return boundaries (fractions of depth) and brittleness (log10) with their errors, and whether draws were kept.

    Draws that the run kept are used; else the intervals of its findings, as of independent normal errors.
    """
    out = []
    layers = int(run.manifest["model"].get("layers") or 0)
    for i, row in enumerate(run.of_kind("boundary"), 1):
        drawn = _boundary_draws(run, i) if layers else None
        spread = (row.hi - row.lo) / (2 * _Z90)
        grain = 1 / (layers * np.sqrt(12)) if layers else 0.0
        noise = _noise(None if drawn is None else drawn / layers, row.estimate, spread)
        place = Place(f"boundary {i}", row.level, "resid", row.method, "depth")
        out.append((place, Quantity(row.estimate, noise, grain, "depth"), drawn is not None))
    for row in run.of_kind("brittleness"):
        if not (row.estimate > 0 and row.lo > 0):
            continue
        drawn = run.draws.value(f"brittleness {row.level}") if run.draws else None
        spread = (np.log10(row.hi) - np.log10(row.lo)) / (2 * _Z95)
        centre = float(np.log10(row.estimate))
        noise = _noise(None if drawn is None else np.log10(drawn), centre, spread)
        place = Place("brittleness", row.level, "resid", row.method, "log10 KL / strength²")
        out.append((place, Quantity(centre, noise, 0.0, "log10"), drawn is not None))
    return out


def _boundary_draws(run: FinishedRun, boundary: int) -> Floats | None:
    try:
        table = pl.read_parquet(run.folder / "boundary_draws.parquet", columns=["method", "draw", "boundary", "layer"])
    except (OSError, pl.exceptions.PolarsError):
        return None
    own = run.manifest["spec"].get("settings", {}).get("method", "exact")
    mine = table.filter(pl.col("method") == own, pl.col("boundary") == boundary).sort("draw")
    return mine["layer"].cast(pl.Float64).to_numpy() if len(mine) else None


def _noise(draws: Floats | None, centre: float, spread: float) -> Floats:
    if draws is not None:
        return draws - centre
    even: Floats = spread * ndtri((np.arange(_EVEN) + 0.5) / _EVEN)
    return even


def unpaired(model: Model, place: Place) -> Quantity:
    """Return a quantity whose errors are drawn anew, independently of every other model's and quantity's."""
    value = model.values[place]
    rng = np.random.default_rng([*f"{model.name} {place}".encode()])
    return replace(value, noise=rng.choice(value.noise, _EVEN))


def is_paired(place: Place, *models: Model) -> bool:
    """Return whether models share the draws of a quantity, so that their difference can be taken draw by draw."""
    count = {len(model.values[place].noise) for model in models}
    return len(count) == 1 and all(place in model.paired for model in models)


def quantity_table(study: str, models: Sequence[Model]) -> pl.DataFrame:
    """Return one row a model and quantity, with its own 95 % interval."""
    rows = []
    for model in models:
        for place, value in model.values.items():
            lo, hi = value.interval
            if value.unit == "depth":
                lo, hi = max(lo, 0.0), min(hi, 1.0)
            rows.append(
                {
                    "study": study, "model": model.name, "family": model.run.family,
                    "parameters": model.run.parameters, **asdict(place), "estimate": value.estimate, "lo": lo, "hi": hi,
                }
            )  # fmt: skip
    return pl.DataFrame(rows, schema=SCHEMA)
