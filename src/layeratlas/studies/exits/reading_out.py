"""Which exits a run reads out: all, every n-th, or a list. The last exit is always included: it is the full model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from layeratlas.core.errors import SpecError

ALL_EXITS = "all"
_EVERY = re.compile(r"every ([1-9]\d*)")
_LISTED = re.compile(r"\d+(,\d+)*")
# The manifest entry of a run that did not read out all exits.
EXITS_READ = "exits_read"


def check_exits(asked: str) -> None:
    """Raise SpecError unless `asked` is `all`, `every N`, or numbers separated by commas."""
    if asked != ALL_EXITS and not _EVERY.fullmatch(asked) and not _LISTED.fullmatch(asked.replace(" ", "")):
        raise SpecError(f"the exits '{asked}'", "all, every N, or numbers with commas between (0,10,20)", "correct it")


def exits_of(asked: str, points: int) -> list[int]:
    """Return the exits of a model with `points` points, ascending; `every N` counts down from the last one.

    Raises SpecError for an exit that the model does not have.
    """
    last = points - 1
    if asked == ALL_EXITS:
        return list(range(points))
    if every := _EVERY.fullmatch(asked):
        return list(range(last % int(every[1]), points, int(every[1])))
    listed = {int(number) for number in asked.split(",")}
    if max(listed) > last:
        raise SpecError(f"exit {max(listed)} is asked for", f"exits 0 to {last}, which this model has", "correct exits")
    return sorted(listed | {last})


def read_exits(run: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the exits that a run read out, from its manifest; empty for all."""
    return tuple(run.get(EXITS_READ, ()))
