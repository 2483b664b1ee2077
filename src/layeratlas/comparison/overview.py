"""What a comparison says first: who has what, what differs most, what is equal, and what is not decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import polars as pl

from layeratlas.comparison.cohort import Cohort
from layeratlas.comparison.differences import ends_in_words, least_of
from layeratlas.comparison.models import Model
from layeratlas.core.formatting import num
from layeratlas.runs.quantity import Place
from layeratlas.stats.contrasts import MARGINS
from layeratlas.stats.verdicts import could_have_seen

# The most quantities that a line names; the others are counted.
MOST = 3
_RESIDUAL = "resid"


class Line(NamedTuple):
    """One line about a study's runs: what it `says`, in a few words, and the `text` with its numbers."""

    study: str
    says: str
    text: str


def overview(cohort: Cohort, models: Sequence[Model], findings: pl.DataFrame, table: pl.DataFrame) -> list[Line]:
    """Return the overview of several models of one study; empty for one model.

    It restates the verdicts of the findings of differences, after their correction, and each run's own verdicts on its
    levels; nothing is tested anew. `table` are the differences by pair. What differs is ordered by its size in units of
    the smallest difference that matters (`stats.contrasts.MARGINS`).
    """
    if len(models) < 2:
        return []
    lines = [*_levels(cohort, models), *_differences(models, findings, table)]
    return [Line(cohort.study, says, text) for says, text in lines]


def _levels(cohort: Cohort, models: Sequence[Model]) -> Iterator[tuple[str, str]]:
    """Yield which levels are shown in all of the models, and which in some alone."""
    having: dict[str, list[str]] = {}
    for model in models:
        for (level, component), shown in model.run.presence(cohort.plugin.presence).items():
            if component == _RESIDUAL:
                having.setdefault(level, []).extend([model.name] * shown)
    names = [model.name for model in models]
    by_models: dict[tuple[str, ...], list[str]] = {}
    for level, found in having.items():
        by_models.setdefault(tuple(name for name in names if name in found), []).append(
            cohort.level_words.get(level, level)
        )
    for owners, levels in sorted(by_models.items(), key=lambda entry: -len(entry[0])):
        if len(owners) == len(names):
            says = "shown in both" if len(names) == 2 else "shown in all"
        else:
            says = f"shown in {', '.join(owners)} alone" if owners else "shown in none"
        yield says, f"{', '.join(levels)}."


def _differences(models: Sequence[Model], findings: pl.DataFrame, table: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield what differs most, what is equal, and what is undecided with the difference that would have been seen."""
    by_verdict: dict[str, list[tuple[float, str]]] = {}
    kept = table.filter(pl.col("component") == _RESIDUAL)
    for finding in findings.filter(pl.col("component") == _RESIDUAL).iter_rows(named=True):
        pairs = kept.filter(quantity=finding["finding"], level=finding["level"], method=finding["method"])
        if not pairs.is_empty():
            size, words = _described(models, finding, pairs)
            by_verdict.setdefault(finding["verdict"], []).append((size, words))
    for verdict, says in (
        ("supported", "differs most"),
        ("not supported", "equal"),
        ("inconclusive", "no difference detected"),
    ):
        ranked = sorted(by_verdict.get(verdict, []), key=lambda entry: -entry[0])
        if ranked:
            more = f"; and {len(ranked) - MOST} more" if len(ranked) > MOST else ""
            yield says, f"{'; '.join(words for _, words in ranked[:MOST])}{more}."


def _described(models: Sequence[Model], finding: dict[str, object], pairs: pl.DataFrame) -> tuple[float, str]:
    """Return a difference's size in units of its margin, and the difference in words, from the rows of its pairs."""
    row = pairs.filter(pl.col("estimate") == finding["estimate"]).head(1)
    largest = (row if len(row) else pairs.head(1)).row(0, named=True)
    place = Place(**{name: largest[name] for name in Place.__dataclass_fields__})
    holder = next(model for model in models if place in model.quantities)
    label, unit = holder.quantities[place].label, holder.value(place).unit
    size = abs(largest["estimate"]) / MARGINS[unit]
    if finding["verdict"] == "supported":
        return size, f"{label}: {ends_in_words(largest)}"
    if finding["verdict"] == "not supported":
        return size, f"{label} (within {MARGINS[unit]:g})"
    return size, f"{label} ({could_have_seen(num(least_of(pairs), 2))})"
