"""Which findings a report starts with."""

from __future__ import annotations

from typing import Any

import polars as pl

from layeratlas.runs.study import Study

MAIN_COMPONENT = "resid"
_LONG = 20
_SUPPORTED = "supported"


def overview(findings: pl.DataFrame, study: Study | None) -> list[dict[str, Any]]:
    """Return the findings of the first method on the residual stream (or the first component), headlines first.

    Of more than twenty, the study's `details` are left to the table of all findings, except for supported findings of a
    kind that is a headline too. A study without curves has all its findings here.
    """
    if findings.is_empty():
        return []
    if study is not None and not study.curves:
        return _headlines_first(findings.to_dicts(), study)
    components = findings["component"].to_list()
    component = MAIN_COMPONENT if MAIN_COMPONENT in components else components[0]
    rows = findings.filter(pl.col("method") == pl.col("method").first(), pl.col("component") == component).to_dicts()
    if study is None:
        return rows
    if len(rows) > _LONG:
        striking = set(study.headlines) & set(study.details)
        rows = [
            row
            for row in rows
            if row["finding"] not in study.details or (row["finding"] in striking and row["verdict"] == _SUPPORTED)
        ]
    return _headlines_first(rows, study)


def _headlines_first(rows: list[dict[str, Any]], study: Study) -> list[dict[str, Any]]:
    places = {kind: place for place, kind in enumerate(study.headlines)}
    return sorted(rows, key=lambda row: places.get(row["finding"], len(places)))
