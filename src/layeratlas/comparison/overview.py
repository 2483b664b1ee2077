"""What a comparison says first: who has what, what differs most, what is equal, and what is not decided."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import polars as pl

from layeratlas.comparison.cohort import Cohort
from layeratlas.comparison.differences import ends_in_words, least_of
from layeratlas.comparison.kinds import ComparisonKind
from layeratlas.comparison.models import Model
from layeratlas.core.formatting import num
from layeratlas.runs.quantity import Place
from layeratlas.stats.contrasts import MARGINS
from layeratlas.stats.verdicts import Verdict, could_have_seen

# The most quantities that a line names; the others are counted.
MOST = 3
_RESIDUAL = "resid"
_SHOWN, _SMALL = "shown", "too small to matter"
# What a run says of a level, by the verdict on its presence, in the order of a line.
_STATES: Mapping[Verdict | None, str] = {
    "supported": _SHOWN,
    "inconclusive": "undecided",
    "not supported": _SMALL,
    None: "not tested",
}


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
    lines = [*_levels(cohort, models, table), *_differences(models, findings, table)]
    return [Line(cohort.study, says, text) for says, text in lines]


def _levels(cohort: Cohort, models: Sequence[Model], table: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield in which models levels are shown, undecided, too small to matter and not tested."""
    judged = {model.name: model.run.presence_verdicts(cohort.plugin.presence) for model in models}
    places = dict.fromkeys(place for verdicts in judged.values() for place in verdicts)
    told: dict[tuple[int, str], list[str]] = {}
    for level, component in places:
        if component == _RESIDUAL:
            states = {name: _STATES[verdicts.get((level, component))] for name, verdicts in judged.items()}
            key = list(states.values()).count(_SHOWN), _in_words(states, _told_apart(table, level))
            told.setdefault(key, []).append(cohort.level_words.get(level, level))
    for (_, says), levels in sorted(told.items(), key=lambda entry: -entry[0][0]):
        yield says, f"{', '.join(levels)}."


def _in_words(states: Mapping[str, str], apart: Container[frozenset[str]]) -> str:
    """Return the state of a level in words, from that of each model and the pairs of models that are told apart.

    That a level is shown in one model and not in another is no difference of the two (Gelman and Stern 2006). It is
    shown in some models `alone` where it is too small to matter in all others and each of these pairs differs.
    """
    named = {state: [name for name in states if states[name] == state] for state in _STATES.values()}
    named = {state: names for state, names in named.items() if names}
    if len(named) == 1:
        return f"{next(iter(named))} in {'both' if len(states) == 2 else 'all'}"
    if [*named] == [_SHOWN, _SMALL] and all(frozenset(pair) in apart for pair in product(*named.values())):
        return f"{_SHOWN} in {', '.join(named[_SHOWN])} alone"
    return "; ".join(f"{state} in {', '.join(names)}" for state, names in named.items())


def _told_apart(table: pl.DataFrame, level: str) -> set[frozenset[str]]:
    """Return the pairs of models whose peak values of a level differ."""
    rows = table.filter(component=_RESIDUAL, level=level, quantity=ComparisonKind.PEAK_VALUE, verdict="supported")
    return {frozenset(pair) for pair in rows.select("model_a", "model_b").iter_rows()}


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
