"""The kinds of findings of a comparison itself; kinds for a study's own quantities are named by the study."""

from __future__ import annotations

from enum import StrEnum


class ComparisonKind(StrEnum):
    """A kind of finding of a comparison."""

    SIZE = "size"
    SIZE_THRESHOLD = "size threshold"
    FAMILY = "family"
    PEAK_DEPTH = "peak depth"
    PEAK_VALUE = "peak value"
    LEARNED = "learned"
    STEP = "step of emergence"
    DRIFT = "depth over training"
    FOLLOW = "answers after levels"


# The quantities of curves that have findings, in order.
CURVE_KINDS = (ComparisonKind.PEAK_DEPTH, ComparisonKind.PEAK_VALUE)
# A page shows these kinds first, then the kinds named by studies, then differences between curves.
_FIRST = (
    ComparisonKind.FOLLOW,
    ComparisonKind.STEP,
    ComparisonKind.DRIFT,
    ComparisonKind.LEARNED,
    ComparisonKind.SIZE_THRESHOLD,
    ComparisonKind.SIZE,
    ComparisonKind.FAMILY,
)


def by_size(kind: str) -> str:
    """Return the kind of finding on how a study's findings of `kind` change with model size."""
    return f"{kind} by size"


def rank(kind: str) -> int:
    """Return the rank of a kind on the page; 0 comes first."""
    if kind in _FIRST:
        return _FIRST.index(ComparisonKind(kind))
    return len(_FIRST) + (1 + CURVE_KINDS.index(ComparisonKind(kind)) if kind in CURVE_KINDS else 0)
