"""The choice of findings with which a report starts."""

from __future__ import annotations

from typing import Any

import polars as pl

from layeratlas.runs.study import Study

MAIN_COMPONENT = "resid"
_LONG = 20
_SUPPORTED = "supported"


def overview(findings: pl.DataFrame, study: Study | None) -> list[dict[str, Any]]:
    """Return the findings of the first method on the residual stream (or the first component), headlines first.

    For a study without curves, findings of all methods are included. If there are more than twenty, the study's
    `details` appear only in the table of all findings, except supported ones whose kind is also a headline.
    """
    rows = main_findings(findings, study).to_dicts()
    if study is None:
        return rows
    if len(rows) > _LONG:
        hidden = set(study.details)
        striking = hidden & set(study.headlines)
        rows = [
            row
            for row in rows
            if row["finding"] not in hidden or (row["finding"] in striking and row["verdict"] == _SUPPORTED)
        ]
    return _headlines_first(rows, study)


def main_findings(findings: pl.DataFrame, study: Study | None) -> pl.DataFrame:
    """Return the findings of the first method on the residual stream, or all of a study without curves."""
    if study is not None and not study.curves:
        return findings
    components = findings["component"].to_list()
    component = MAIN_COMPONENT if MAIN_COMPONENT in components else next(iter(components), MAIN_COMPONENT)
    return findings.filter(pl.col("method") == pl.col("method").first(), pl.col("component") == component)


def _headlines_first(rows: list[dict[str, Any]], study: Study) -> list[dict[str, Any]]:
    places = {kind: place for place, kind in enumerate(study.headlines)}
    return sorted(rows, key=lambda row: places.get(row["finding"], len(places)))
