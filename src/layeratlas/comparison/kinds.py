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


_BY_SIZE = " by size"
_TESTED = {
    ComparisonKind.SIZE: "the value depends on model size",
    ComparisonKind.SIZE_THRESHOLD: "size helps only past a threshold",
    ComparisonKind.FAMILY: "the value depends on the family, beyond size",
    ComparisonKind.LEARNED: "the value rises over training",
    ComparisonKind.STEP: "the level emerges in training",
    ComparisonKind.DRIFT: "the depth moves over training",
    ComparisonKind.FOLLOW: "answers emerge later in training than the levels they need",
}


def by_size(kind: str) -> str:
    """Return the kind of finding on how a study's findings of `kind` change with model size."""
    return f"{kind}{_BY_SIZE}"


def tested(kind: str) -> str:
    """Return what a supported finding of a kind says; other kinds than these are quantities that models differ in."""
    if kind in _TESTED:
        return _TESTED[ComparisonKind(kind)]
    if kind.endswith(_BY_SIZE):
        return f"{kind.removesuffix(_BY_SIZE)} depends on model size"
    return f"models differ in {kind}"


def rank(kind: str) -> int:
    """Return the rank of a kind on the page; 0 comes first."""
    if kind in _FIRST:
        return _FIRST.index(ComparisonKind(kind))
    return len(_FIRST) + (1 + CURVE_KINDS.index(ComparisonKind(kind)) if kind in CURVE_KINDS else 0)
