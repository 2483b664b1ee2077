"""Whether a label decodes before the last token of its text, and at which place first."""

from __future__ import annotations

from typing import Any

import polars as pl

from layeratlas.core.formatting import estimate
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.intervals import ALPHA, MARGIN
from layeratlas.stats.verdicts import Effect, Verdict, could_have_seen, decide
from layeratlas.studies.hierarchy.names import METRICS, RESIDUAL, HierarchyFinding

Row = dict[str, Any]


def place_findings(table: pl.DataFrame) -> list[Finding]:
    """Return one finding per data set with places before the last token; empty for an empty table.

    p of a place compares its highest value over all points with shuffled labels; Holm over the data set's places.
    """
    if table.is_empty():
        return []
    places = table.unique(["task", "order"], maintain_order=True).sort("order", maintain_order=True)
    sets = places.partition_by("task", maintain_order=True)
    return [_finding(of_set.to_dicts(), table) for of_set in sets if of_set["before"].any()]


def _finding(places: list[Row], table: pl.DataFrame) -> Finding:
    before = [row for row in places if row["before"]]
    decoding = [row for row in before if _decodes(row)]
    highest = table.filter(pl.col("task") == places[0]["task"], pl.col("before")).select(pl.col("hi").max()).item()
    chance = places[0]["chance"]
    verdict = decide(shown=bool(decoding), refuted=highest < chance + MARGIN)
    shown = decoding[0] if decoding else max(before, key=lambda row: float(row["best"]))
    return curve_finding(
        HierarchyFinding.EARLIER_PLACE,
        Subject(level=places[0]["task"], component=RESIDUAL, method=places[0]["method"], n=places[0]["n"]),
        statement=_statement(verdict, shown, places, float(highest - chance)),
        effect=Effect(estimate=shown["best"], lo=shown["best_lo"], hi=shown["best_hi"], p=shown["p"]),
        null="the maximum over all points under label shuffles (Holm over places)",
        verdict=verdict,
    )


def _decodes(row: Row) -> bool:
    return bool(row["p"] <= ALPHA and row["best_lo"] > row["chance"])


def _statement(verdict: Verdict, shown: Row, places: list[Row], top: float) -> str:
    task, measure = f"Task '{shown['task']}'", METRICS.get(shown["metric"], shown["metric"])
    at = f"{measure} {estimate(shown['best'], shown['best_lo'], shown['best_hi'])}"
    best = max(places, key=lambda row: float(row["best"]))
    high = f"best at {best['place']}, point {best['best_layer']} ({best['best']:.2f}; chance {best['chance']:.2f})"
    if verdict == "supported":
        return f"{task} decodes before the last token, first at {shown['place']} ({at}); {high}."
    if verdict == "not supported":
        return f"{task} decodes at no place before the last token by more than {MARGIN:g}; {high}."
    return (
        f"{task} undetected before the last token: at best {at} at {shown['place']} "
        f"({could_have_seen(f'{top:.2f}')} over chance); {high}."
    )
