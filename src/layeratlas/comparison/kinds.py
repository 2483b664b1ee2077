"""The kinds of findings that a comparison makes itself; those of a study's own quantities are named by the study."""

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


# The quantities of curves that get a finding of their own, in order.
CURVE_KINDS = (ComparisonKind.PEAK_DEPTH, ComparisonKind.PEAK_VALUE)
# A page shows these kinds first, then those that studies name, then differences between curves.
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
    """Return the kind of finding that sets a study's findings of a kind against size."""
    return f"{kind} by size"


def rank(kind: str) -> int:
    """Return the place of a kind on the page, 0 first."""
    if kind in _FIRST:
        return _FIRST.index(ComparisonKind(kind))
    return len(_FIRST) + (1 + CURVE_KINDS.index(ComparisonKind(kind)) if kind in CURVE_KINDS else 0)
