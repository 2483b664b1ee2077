"""The effect of model size within a family: on the values of level curves, and the shape of this effect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import polars as pl

from layeratlas.comparison.cohort import Cohort
from layeratlas.comparison.kinds import ComparisonKind
from layeratlas.comparison.models import Model, families_of
from layeratlas.comparison.slopes import FEWEST, slope_findings
from layeratlas.core.formatting import counted
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats import scaling
from layeratlas.stats.draws import Key
from layeratlas.stats.models_effect import ModelEffect, SizedValues, model_effect
from layeratlas.stats.quantities import Quantity
from layeratlas.stats.scaling import BySize, Growth, Where, equal_p, growth, read_at
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Effect, could_have_seen, decide

SCHEMA: dict[str, Any] = {
    "study": pl.String,
    "family": pl.String,
    "level": pl.String,
    "where": pl.String,
    "model": pl.String,
    "parameters": pl.Float64,
    "value": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "shape": pl.String,
}
_NULL = "equal values at every size"
_AT = {Where.PEAK: "at its peak", Where.LAST: "at the last layer", Where.MIDDLE: "at depth 0.50"}


@dataclass(frozen=True, kw_only=True)
class _Series:
    """A level's value in the models of one family, smallest first, at one position on its curve."""

    family: str
    key: Key
    where: Where
    words: str
    models: Sequence[Model]
    values: Sequence[Quantity]
    data: BySize

    @property
    def quantity(self) -> tuple[Key, Where]:
        return self.key, self.where

    @property
    def name(self) -> str:
        return f"The value of {self.words} {_AT[self.where]}"


def size_findings(cohort: Cohort, models: Sequence[Model]) -> tuple[list[Finding], pl.DataFrame]:
    """Return the effects of size on each level of the residual stream, in families of three or more sizes, and a table.

    Values are taken at the peak, the last layer and half of the depth; p is Holm-corrected over these and over levels.
    """
    families = {
        name: members
        for name, members in families_of(models).items()
        if len({model.run.parameters for model in members}) >= FEWEST
    }
    if not families:
        return [_too_few(cohort.study, models)], pl.DataFrame(schema=SCHEMA)
    findings: list[Finding] = []
    rows: list[dict[str, Any]] = []
    by_family = {family: _all_series(family, members, cohort.level_words) for family, members in families.items()}
    of_models = _model_effects(series for all_series in by_family.values() for series in all_series)
    for family, members in families.items():
        all_series = by_family[family]
        ps = holm([equal_p(series.data, of_models[series.quantity]) for series in all_series])
        for series, p in zip(all_series, ps, strict=True):
            effect = growth(series.data, p=p, effect=of_models[series.quantity])
            findings.append(_growth_finding(series, effect))
            if effect.verdict == "supported":
                findings.append(_shape_finding(series, effect))
            rows += [{"study": cohort.study, **row} for row in _rows(series, effect)]
        for kind, component in cohort.plugin.scaled.items():
            findings += slope_findings(members, family, kind, component, cohort.level_words)
    return findings, pl.DataFrame(rows, schema=SCHEMA)


def _model_effects(all_series: Iterable[_Series]) -> dict[tuple[Key, Where], ModelEffect]:
    """Return the random effect of the model on each quantity, from the spread of all families."""
    together: dict[tuple[Key, Where], list[SizedValues]] = {}
    for series in all_series:
        together.setdefault(series.quantity, []).append(series.data.sized)
    return {quantity: model_effect(families) for quantity, families in together.items()}


def _too_few(study: str, models: Sequence[Model]) -> Finding:
    most = max((len(members) for members in families_of(models).values()), default=0)
    return curve_finding(
        ComparisonKind.SIZE,
        Subject(level="all", component="resid", method="all", n=len(models)),
        statement=f"The effect of size cannot be measured on {counted(most, 'size')} of a family: it needs "
        f"{FEWEST} or more (layeratlas run {study} on further sizes).",
        effect=Effect(estimate=nan),
        null=_NULL,
        verdict="inconclusive",
    )


def _all_series(family: str, models: Sequence[Model], words: Mapping[str, str]) -> list[_Series]:
    keys = [key for key in models[0].curves if key.component == "resid" and all(key in m.curves for m in models)]
    parameters = [model.run.parameters for model in models]
    all_series = []
    for where in Where:
        for key in keys:
            curves = [model.curves[key] for model in models]
            data = scaling.by_size(curves, parameters, key.component, where)
            if data is None:
                continue
            all_series.append(
                _Series(
                    family=family,
                    key=key,
                    where=where,
                    words=words.get(key.level, key.level),
                    models=models,
                    values=[read_at(curve, key.component, where).value for curve in curves],
                    data=data,
                )
            )
    return all_series


def _growth_finding(series: _Series, effect: Growth) -> Finding:
    says = {
        "supported": "changes",
        "not supported": f"is equal within {scaling.HARDLY:g}",
        "inconclusive": f"has no detected change ({could_have_seen(f'{effect.seen:.2f}')})",
    }[effect.verdict]
    first, last = series.models[0].name, series.models[-1].name
    return curve_finding(
        ComparisonKind.SIZE,
        Subject(level=series.key.level, component="resid", method=series.key.method, n=effect.sizes),
        statement=f"{series.name} {says} over {effect.sizes} sizes of {series.family}: {first} to {last} "
        f"{effect.rise:+.2f} [{effect.lo:+.2f}, {effect.hi:+.2f}]; {_models_words(effect)}.",
        effect=Effect(estimate=effect.rise, lo=effect.lo, hi=effect.hi, p=effect.p),
        null=_NULL,
        verdict=effect.verdict,
    )


def _models_words(effect: Growth) -> str:
    """Return the contribution of variation between models to the interval, in words."""
    return f"models of one size are taken to differ by {effect.of_models:.3f} (standard deviation)"


def _shape_finding(series: _Series, effect: Growth) -> Finding:
    sizes = sorted({model.run.parameters for model in series.models})
    below, above = (_name_of(series, sizes[at]) for at in (effect.step - 1, effect.step))
    verdict = decide(shown=effect.shape == "threshold", refuted=effect.shape == "linear")
    says = {
        "supported": f"is a threshold between {below} and {above}, not a line in log parameters",
        "not supported": "is a line in log parameters, not a threshold",
        "inconclusive": f"is undecided between a line and a threshold (between {below} and {above})",
    }[verdict]
    flat, line, step = np.sqrt(effect.errors)
    return curve_finding(
        ComparisonKind.SIZE_THRESHOLD,
        Subject(level=series.key.level, component="resid", method=series.key.method, n=effect.sizes),
        statement=f"{series.name} in {series.family} {says}: errors on held-out items {flat:.3f} (flat), {line:.3f} "
        f"(line), {step:.3f} (threshold); {_models_words(effect)}.",
        effect=Effect(estimate=float(line - step), p=effect.p_shape),
        null="data of the other shape favour this one as strongly",
        verdict=verdict,
    )


def _name_of(series: _Series, parameters: float) -> str:
    """Return the name of the first model of a size."""
    return next(model.name for model in series.models if model.run.parameters == parameters)


def _rows(series: _Series, effect: Growth) -> list[dict[str, Any]]:
    rows = []
    for model, value in zip(series.models, series.values, strict=True):
        lo, hi = value.interval
        rows.append(
            {
                "family": series.family,
                "level": series.key.level,
                "where": str(series.where),
                "model": model.name,
                "parameters": model.run.parameters,
                "value": value.estimate,
                "lo": lo,
                "hi": hi,
                "shape": effect.shape,
            }
        )
    return rows
