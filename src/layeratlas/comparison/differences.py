"""Differences between the models of a cohort, pair by pair, and one finding per quantity and level."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

import polars as pl

from layeratlas.comparison.kinds import CURVE_KINDS
from layeratlas.comparison.models import Model, is_paired, unpaired
from layeratlas.core import formatting as wording
from layeratlas.core.formatting import capitalised
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.runs.quantity import Place
from layeratlas.stats.contrasts import MARGINS, adjusted, verdict_of
from layeratlas.stats.intervals import Z95
from layeratlas.stats.quantities import Quantity, minus
from layeratlas.stats.verdicts import Effect, Verdict, any_holds, could_have_seen, least_seen

SCHEMA: dict[str, Any] = {
    "study": pl.String,
    "model_a": pl.String,
    "model_b": pl.String,
    "quantity": pl.String,
    "level": pl.String,
    "component": pl.String,
    "method": pl.String,
    "metric": pl.String,
    "a": pl.Float64,
    "b": pl.Float64,
    "estimate": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "p": pl.Float64,
    "null": pl.String,
    "verdict": pl.String,
    "paired": pl.Boolean,
}
_UNITS = {"depth": "relative depth", "log10": "log10"}


def differences(study: str, models: Sequence[Model]) -> pl.DataFrame:
    """Return one row per pair of models and quantity: b - a with its 95 % interval and corrected p.

    Depths are fractions of depth, values are in units of the measure, brittleness is log10. Differences are paired if
    both runs kept the same number of draws of the same texts; otherwise the runs' errors are drawn independently. p is
    corrected over all levels and pairs of one quantity and component. A quantity in doubt in either model is
    inconclusive.
    """
    tests = defaultdict(list)
    for a, b in combinations(models, 2):
        for place in a.quantities:
            if place in b.quantities:
                tests[place.quantity, place.component].append((a, b, place))
    rows = []
    for together in tests.values():
        gaps = [_difference(a, b, place) for a, b, place in together]
        for (a, b, place), gap, p in zip(together, gaps, adjusted(gaps), strict=True):
            rows.append({"study": study, **_row(a, b, place, gap, p)})
    return pl.DataFrame(rows, schema=SCHEMA)


def _difference(a: Model, b: Model, place: Place) -> Quantity:
    if is_paired(place, a, b):
        return minus(b.value(place), a.value(place))
    return minus(unpaired(b, place), unpaired(a, place))


def _row(a: Model, b: Model, place: Place, gap: Quantity, p: float) -> dict[str, Any]:
    paired = is_paired(place, a, b)
    doubted = a.quantities[place].doubt or b.quantities[place].doubt
    lo, hi = gap.interval
    how = "paired over groups" if paired else "from the two runs' own intervals"
    return {
        "model_a": a.name,
        "model_b": b.name,
        **asdict(place),
        "a": a.value(place).estimate,
        "b": b.value(place).estimate,
        "estimate": gap.estimate,
        "lo": lo,
        "hi": hi,
        "p": p,
        "null": f"no difference ({how}; largest of all levels and pairs)",
        "verdict": "inconclusive" if doubted else verdict_of(gap, p),
        "paired": paired,
    }


def difference_findings(table: pl.DataFrame, models: Sequence[Model]) -> list[Finding]:
    """Return one finding per quantity and level of the residual stream: how far the models differ, and in which pairs.

    The statement gives the largest difference; its p is corrected for all pairs. For curves, only the depth and the
    value of the peak have findings; all of a study's own quantities do.
    """
    own = [place.quantity for model in models for place in model.quantities if place not in model.of_curves]
    ordered = {name: i for i, name in enumerate(dict.fromkeys(map(str, (*CURVE_KINDS, *own))))}
    kept = table.filter(pl.col("component") == "resid", pl.col("quantity").is_in(list(ordered)))
    groups = kept.group_by("quantity", "level", maintain_order=True)
    findings = [_finding(rows, models) for _, rows in groups]
    return sorted(findings, key=lambda finding: ordered[finding.finding])


def _finding(rows: pl.DataFrame, models: Sequence[Model]) -> Finding:
    """Return the finding of one quantity and level, from the rows of its pairs."""
    differ = rows.filter(pl.col("verdict") == "supported")
    verdict = any_holds(rows["verdict"])
    largest = (differ if len(differ) else rows).sort(pl.col("estimate").abs(), descending=True).row(0, named=True)
    place = Place(**{name: largest[name] for name in Place.__dataclass_fields__})
    return curve_finding(
        place.quantity,
        Subject(level=place.level, component=place.component, method=place.method, n=_texts(models, place.level)),
        statement=_statement(place, largest, rows, verdict, models),
        effect=Effect(estimate=largest["estimate"], lo=largest["lo"], hi=largest["hi"], p=largest["p"]),
        null=largest["null"],
        verdict=verdict,
    )


def _statement(
    place: Place, largest: dict[str, Any], rows: pl.DataFrame, verdict: Verdict, models: Sequence[Model]
) -> str:
    holder = next(model for model in models if place in model.quantities)
    label, unit = holder.quantities[place].label, holder.value(place).unit
    name = capitalised(label) + (f" ({_UNITS[unit]})" if unit in _UNITS else "")
    link = {
        "supported": "differs",
        "not supported": f"is equal within {MARGINS[unit]:g}",
        "inconclusive": f"has no detected difference ({could_have_seen(wording.num(least_of(rows), 2))})",
    }[verdict]
    many = len(rows) > 1
    differing = len(rows.filter(pl.col("verdict") == "supported"))
    pairs = f" between models: {differing} of {len(rows)} pairs differ; the largest:" if many else ":"
    return f"{name} {link}{pairs} {ends_in_words(largest)}.{_doubts(place, models)}"


def ends_in_words(row: Mapping[str, Any]) -> str:
    """Return the values of both models of a pair, and their difference with its interval."""
    ends = ", ".join(f"{wording.num(row[x], 2)} in {row[f'model_{x}']}" for x in ("a", "b"))
    return f"{ends}, {_signed(row['estimate'])} [{_signed(row['lo'])}, {_signed(row['hi'])}]"


def least_of(rows: pl.DataFrame) -> float:
    """Return the smallest difference detectable in every pair, from the widest interval."""
    return least_seen(float((rows["hi"] - rows["lo"]).max()) / (2 * Z95))  # type: ignore[arg-type]


def _doubts(place: Place, models: Sequence[Model]) -> str:
    """Return sentences that name the models in which a quantity is in doubt."""
    doubts: dict[str, list[str]] = {}
    for model in models:
        if place in model.quantities and (doubt := model.quantities[place].doubt):
            doubts.setdefault(doubt, []).append(model.name)
    return "".join(f" In {', '.join(names)} {doubt}." for doubt, names in doubts.items())


def _texts(models: Sequence[Model], level: str) -> int:
    """Return the largest n of the runs' findings on a level."""
    counts = [model.run.findings.filter(pl.col("level") == level)["n"].max() for model in models]
    return max((int(str(count)) for count in counts if count is not None), default=0)


def _signed(value: float) -> str:
    return ("+" if value >= 0 else "") + wording.num(value, 2)
