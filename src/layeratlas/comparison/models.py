"""The compared quantities of each model: those of its level curves, and those added by its study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from layeratlas.comparison.cohort import Cohort
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.quantity import Place, RunQuantity
from layeratlas.stats.draws import Key, LevelDraws
from layeratlas.stats.quantities import EVEN, Quantity, curve_quantities

SCHEMA: dict[str, Any] = {
    "study": pl.String,
    "model": pl.String,
    "family": pl.String,
    "parameters": pl.Float64,
    "quantity": pl.String,
    "level": pl.String,
    "component": pl.String,
    "method": pl.String,
    "metric": pl.String,
    "estimate": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
}


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model's curves and quantities; `of_curves` are the keys of quantities computed from curves."""

    name: str
    run: FinishedRun
    curves: Mapping[Key, LevelDraws]
    quantities: Mapping[Place, RunQuantity]
    of_curves: frozenset[Place]

    def value(self, place: Place) -> Quantity:
        """Return the quantity with a key."""
        return self.quantities[place].value


def read_models(cohort: Cohort) -> list[Model]:
    """Return the models of a cohort, with the quantities of the first method's curves and of the study."""
    return [_model(cohort, name, run) for name, run in zip(cohort.names, cohort.runs, strict=True)]


def _model(cohort: Cohort, name: str, run: FinishedRun) -> Model:
    curves = _curves(run)
    quantities = {
        quantity.place: quantity for key, curve in curves.items() for quantity in _of_curve(cohort, run, key, curve)
    }
    of_curves = frozenset(quantities)
    quantities |= {quantity.place: quantity for quantity in cohort.plugin.quantities(run)}
    return Model(name=name, run=run, curves=curves, quantities=quantities, of_curves=of_curves)


def _curves(run: FinishedRun) -> dict[Key, LevelDraws]:
    """Return the level curves of each level's and component's first method, the run's main method first."""
    if run.draws is None:
        return {}
    keys = sorted(run.draws.keys, key=lambda key: key.method != run.method)
    first: dict[tuple[str, str], str] = {}
    for key in keys:
        first.setdefault((key.level, key.component), key.method)
    kept = [key for key in keys if key.method == first[key.level, key.component]]
    return {key: curve for key in kept if (curve := run.draws.curve(key)) is not None}


def _of_curve(cohort: Cohort, run: FinishedRun, key: Key, curve: LevelDraws) -> list[RunQuantity]:
    encoded = run.presence(cohort.plugin.presence).get((key.level, key.component), False)
    words = cohort.level_words.get(key.level, key.level)
    return [
        RunQuantity(
            place=Place(quantity=name, level=key.level, component=key.component, method=key.method, metric=key.metric),
            label=f"{name} of {words}",
            value=value,
            paired=True,
        )
        for name, value in curve_quantities(curve, key.component, placed=encoded).items()
    ]


def unpaired(model: Model, place: Place) -> Quantity:
    """Return a quantity with newly drawn errors, independent of all other models and quantities."""
    value = model.value(place)
    rng = np.random.default_rng([*f"{model.name} {place}".encode()])
    return replace(value, noise=rng.choice(value.noise, EVEN))


def is_paired(place: Place, *models: Model) -> bool:
    """Return whether models share the draws of a quantity, so that their differences are paired."""
    counts = {len(model.value(place).noise) for model in models}
    return len(counts) == 1 and all(model.quantities[place].paired for model in models)


def quantity_table(study: str, models: Sequence[Model]) -> pl.DataFrame:
    """Return one row per model and quantity, with its own 95 % interval."""
    rows = []
    for model in models:
        for place, quantity in model.quantities.items():
            lo, hi = quantity.value.interval
            if quantity.value.unit == "depth":
                lo, hi = max(lo, 0.0), min(hi, 1.0)
            about = {
                "study": study,
                "model": model.name,
                "family": model.run.family,
                "parameters": model.run.parameters,
            }
            rows.append({**about, **asdict(place), "estimate": quantity.value.estimate, "lo": lo, "hi": hi})
    return pl.DataFrame(rows, schema=SCHEMA)


def families_of(models: Sequence[Model]) -> dict[str, list[Model]]:
    """Return the models of each family by size, without models of unknown size."""
    families: dict[str, list[Model]] = {}
    for model in models:
        if model.run.parameters > 0:
            families.setdefault(model.run.family, []).append(model)
    return {name: sorted(members, key=lambda model: model.run.parameters) for name, members in families.items()}
