"""Converts dates to numbers: years with a fraction."""

from __future__ import annotations

from calendar import isleap
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from layeratlas.data.readers.row import Row


def with_dates(rows: Sequence[Row], column: str) -> list[Row]:
    """Return rows with the dates of a column as years with a fraction; unchanged if any value is not an ISO date."""
    years = [_year(row.fields[column]) for row in rows]
    if any(year is None for year in years):
        return list(rows)
    return [Row({**row.fields, column: year}, row.where) for row, year in zip(rows, years, strict=True)]


def _year(value: Any) -> float | None:
    """Return a date as a fractional year (1986.0 for 1 January 1986); None if the value is not a date."""
    if isinstance(value, date):
        day = value
    elif isinstance(value, str) and "-" in value:
        try:
            day = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    else:
        return None
    return day.year + (day.timetuple().tm_yday - 1) / (366 if isleap(day.year) else 365)
