"""Read the TOML file of a sweep; what no run could be made of is refused with its line."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layeratlas.core.errors import AtlasError, SpecError, at_fault
from layeratlas.sweeps.spec import SweepSpec, Variant
from layeratlas.sweeps.units import units_of

# What may end a file that is cut within an array.
_ENDS = ("", "]", "]]", "]}", "]]}")


def read_sweep(path: Path) -> SweepSpec:
    """Return the sweep of a TOML file; raises SpecError, with the number of the line at fault, as `units_of` does."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SpecError(f"'{path}' cannot be read ({reason})", "a TOML file", "check the path") from None
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SpecError(f"'{path}' is not TOML ({error})", "lines such as models = ['smollm2-135m']") from None
    try:
        sweep = SweepSpec(**{**values, "variants": _variants(values)})
        units_of(sweep)
    except AtlasError as error:
        line = line_of(text, error.at)
        raise SpecError(f"'{path}', line {line}: {error.problem}", error.expected, error.todo) from None
    return sweep


def _variants(values: dict[str, Any]) -> tuple[Variant, ...]:
    given = values.get("variants", [])
    if not isinstance(given, list) or not all(isinstance(fields, dict) for fields in given):
        with at_fault("variants"):
            raise SpecError("variants is not a table", "[[variants]] tables")
    variants = []
    for number, fields in enumerate(given):
        with at_fault("variants", number):
            variants.append(Variant(**fields))
    return tuple(variants)


def line_of(text: str, keys: Sequence[str | int]) -> int:
    """Return the line, from 1, at which a value of a TOML file begins, or the innermost table around it; else 1.

    `keys` lead to the value, those of arrays by number. It is the first line up to which the file, with its open arrays
    closed, holds the value: the parser itself decides what a table, a dotted key or an array is.
    """
    lines, reached, found = text.splitlines(keepends=True), 0, 1
    for number in range(1, len(lines) + 1):
        depth = _depth("".join(lines[:number]), keys)
        if depth > reached:
            reached, found = depth, number
    return found


def _depth(text: str, keys: Sequence[str | int]) -> int:
    """Return how many of the keys, one within the other, the beginning of a file holds."""
    for end in _ENDS:
        with contextlib.suppress(tomllib.TOMLDecodeError):
            value: Any = tomllib.loads(text + end)
            depth = 0
            with contextlib.suppress(LookupError, TypeError):
                for key in keys:
                    value = value[key]
                    depth += 1
            return depth
    return 0
