"""Statements agree with their subjects: levels of built-in tasks are plural nouns, one of a user's own is singular."""

from __future__ import annotations

import re

import numpy as np
import pytest

import planting
from layeratlas.studies.hierarchy.analysing import find
from layeratlas.studies.hierarchy.findings.compression import _content_finding
from layeratlas.studies.hierarchy.findings.documents import _finding as deep_documents
from layeratlas.studies.hierarchy.phrasing import Phrasing

DEPTH = np.linspace(0, 1, 31)
VERBS = "decode|emerge|gain|lie|peak"
LEVELS = {"first": "items of the first kind", "second": "items of the second kind"}


def statements(phrasing: Phrasing) -> list[str]:
    """The statements of a run of two levels in order, and of a flat level that is tested for deep content."""
    humps = [
        planting.drawn_curve((0.5 + 0.4 * np.exp(-(((DEPTH - at) / 0.12) ** 2))).tolist(), 0.01, level=level)
        for level, at in (("first", 0.2), ("second", 0.6))
    ]
    flat = planting.drawn_curve([0.5] * 31, 0.001, level="first", baseline=0.7)
    deep = [deep_documents(flat, phrasing), _content_finding(flat, 1.0, 19, phrasing)]
    return [finding.statement for finding in (*find(humps, phrasing), *deep)]


@pytest.mark.parametrize(
    ("phrasing", "subject", "verb"),
    [
        (Phrasing(), "[Ll]evel '(?:first|second)'", rf"(?:{VERBS})s"),
        (Phrasing(levels=LEVELS), "[Ii]tems of the \\w+ kind", VERBS),
    ],
)
def test_the_verb_of_a_statement_agrees_with_its_level(phrasing: Phrasing, subject: str, verb: str) -> None:
    said = [re.match(rf"(?:Whether )?({subject}) (?P<verb>{verb})\b", text) for text in statements(phrasing)]
    assert {"decode", "emerge", "gain", "peak"} <= {found["verb"].removesuffix("s") for found in said if found}
    other = VERBS if verb != VERBS else rf"(?:{VERBS})s"
    assert not [
        text for text in statements(phrasing) if re.search(rf"({subject}|kind|'first'|'second') ({other})\b", text)
    ]
