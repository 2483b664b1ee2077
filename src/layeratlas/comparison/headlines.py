"""Which findings a comparison's page shows first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from layeratlas.comparison.kinds import rank

Row = dict[str, Any]
_HEADLINES, _PER_KIND, _PER_STUDY = 14, 3, 7


def headlines(findings: pl.DataFrame) -> tuple[list[Row], list[Row]]:
    """Return the findings of several models that are shown first, and the rest.

    Decided ones first, in the order of kinds, at most three per kind.
    """
    rows = findings.to_dicts()
    rows.sort(key=lambda row: (row["verdict"] == "inconclusive", rank(row["finding"])))
    return _split(rows, _first_of(rows, _HEADLINES))


def headlines_by_study(findings: pl.DataFrame) -> tuple[list[Row], list[Row]]:
    """Return the findings of one model that are shown first, seven per study, and the rest."""
    rows = findings.to_dicts()
    first: list[Row] = []
    for study in dict.fromkeys(row["study"] for row in rows):
        of_study = [row for row in rows if row["study"] == study]
        of_study.sort(key=lambda row: row["verdict"] == "inconclusive")
        first += _first_of(of_study, _PER_STUDY)
    return _split(rows, first)


def _first_of(rows: Sequence[Row], most: int) -> list[Row]:
    """Return the first rows, three of a kind at most."""
    first: list[Row] = []
    for row in rows:
        if len(first) < most and sum(kept["finding"] == row["finding"] for kept in first) < _PER_KIND:
            first.append(row)
    return first


def _split(rows: Sequence[Row], first: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    return list(first), [row for row in rows if row not in first]
