"""The choice of findings that a comparison's page shows first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import zip_longest
from typing import Any

import polars as pl

from layeratlas.comparison.kinds import rank
from layeratlas.core import registry
from layeratlas.core.errors import SpecError
from layeratlas.report.lead import MOST
from layeratlas.report.lead import headlines as in_brief

Row = dict[str, Any]
_HEADLINES, _PER_KIND, _PER_STUDY = 14, 3, 7


def headlines(findings: pl.DataFrame) -> tuple[list[Row], list[Row]]:
    """Return the findings of several models that are shown first, and the rest.

    Decided findings come first, in the order of kinds, with at most three per kind.
    """
    rows = findings.to_dicts()
    rows.sort(key=lambda row: (row["verdict"] == "inconclusive", rank(row["finding"])))
    return _split(rows, _first_of(rows, _HEADLINES))


def headlines_by_study(findings: pl.DataFrame) -> tuple[list[Row], list[Row]]:
    """Return the findings of one model that are shown first, seven per study, and the rest."""
    rows = findings.to_dicts()
    first = [row for of_study in _by_study(rows).values() for row in _first_of(of_study, _PER_STUDY)]
    return _split(rows, first)


def leading(findings: pl.DataFrame) -> list[Row]:
    """Return the few findings of one model with which its page starts: the first of each study, then the second."""
    found = [in_brief(rows, MOST) for rows in _by_study(findings.to_dicts()).values()]
    turns = [row for turn in zip_longest(*found) for row in turn if row is not None]
    few = turns[:MOST]
    return [row for of_study in found for row in of_study if any(row is one for one in few)]


def _by_study(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the findings of each study, decided ones first, otherwise in the order of its report."""
    by_study = {}
    for name in dict.fromkeys(row["study"] for row in rows):
        of_study = [row for row in rows if row["study"] == name]
        of_study.sort(key=partial(_turn, _places(name)))
        by_study[name] = of_study
    return by_study


def _turn(places: Mapping[str, int], row: Row) -> tuple[bool, int]:
    return row["verdict"] == "inconclusive", places.get(row["finding"], len(places))


def _places(study: str) -> dict[str, int]:
    """Return the order of a study's kinds of findings; empty if the study's package is not installed here."""
    with suppress(SpecError):
        return {kind: place for place, kind in enumerate(registry.get("studies", study).headlines)}
    return {}


def _first_of(rows: Sequence[Row], most: int) -> list[Row]:
    """Return the first `most` rows, at most three of a kind."""
    first: list[Row] = []
    for row in rows:
        if len(first) < most and sum(kept["finding"] == row["finding"] for kept in first) < _PER_KIND:
            first.append(row)
    return first


def _split(rows: Sequence[Row], first: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    return list(first), [row for row in rows if row not in first]
