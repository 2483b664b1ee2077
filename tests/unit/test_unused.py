"""Encoded and not used: the point that a finding names is one that its verdict is about."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from layeratlas.studies.causal.effects import unused_point


def cell(point: int, encoded: str, used: str, loss: float) -> Any:
    """A point: whether a probe reads the label there, and whether the answers need it."""
    sure = {"supported": 0.001, "inconclusive": 0.07}[encoded]
    reading = SimpleNamespace(gain=SimpleNamespace(p=sure), verdict=encoded)
    ruled_out = 0.001 if used == "not supported" else 1.0
    return SimpleNamespace(
        point=point, reading=reading, unused_p=ruled_out, used=SimpleNamespace(estimate=loss), verdict=used
    )


EARLY = cell(1, "inconclusive", "not supported", -0.01)
USED = (cell(3, "supported", "supported", 0.9), cell(4, "supported", "supported", 0.5))


@pytest.mark.parametrize(
    ("cells", "point", "verdict"),
    [
        # A loss is ruled out where the label is not shown to be encoded: this says nothing about where it is.
        ([EARLY, *USED], 4, "not supported"),
        ([EARLY, cell(2, "supported", "not supported", 0.0), *USED], 2, "supported"),
        ([EARLY, *USED, cell(5, "supported", "inconclusive", 0.1)], 1, "inconclusive"),
        ([EARLY], 1, "inconclusive"),
    ],
)
def test_the_point_named_is_one_where_the_label_is_encoded(cells: list[Any], point: int, verdict: str) -> None:
    found, _, said = unused_point(SimpleNamespace(cells=cells))
    assert (found.point, said) == (point, verdict)
