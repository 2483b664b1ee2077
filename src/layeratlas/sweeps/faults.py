"""Which value of a sweep's file is at fault where a run cannot be made of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from layeratlas.core.errors import AtlasError

Keys = tuple[str | int, ...]
Made = TypeVar("Made")


def blaming(make: Callable[[Mapping[Any, Any]], Made], given: Mapping[Any, Any]) -> Made:
    """Return `make(given)`; an error of it names the value at fault (`AtlasError.at`), by the keys that lead to it.

    From table to table, it is the value without which `make` succeeds or, where several are at fault, without which the
    error is another one; one that the error names comes first.
    """
    try:
        return make(given)
    except AtlasError as error:
        error.at = _value_at_fault(make, given, error.problem)
        raise


def _value_at_fault(make: Callable[[Mapping[Any, Any]], Any], given: Mapping[Any, Any], problem: str) -> Keys:
    keys: Keys = ()
    while True:
        found = []
        for key in _keys_at(given, keys):
            try:
                make(_without(given, (*keys, key)))
                found.append((0, key))
            except AtlasError as error:
                found += [] if error.problem == problem else [(1 if str(key) in problem else 2, key)]
        if not found:
            return keys
        keys = (*keys, min(found, key=lambda one: one[0])[1])


def _keys_at(value: Any, keys: Keys) -> Sequence[str | int]:
    """Return the keys of the table or array to which `keys` lead; none of any other value."""
    for key in keys:
        value = value[key]
    return list(value) if isinstance(value, Mapping) else range(len(value)) if isinstance(value, list | tuple) else ()


def _without(value: Any, keys: Keys) -> Any:
    """Return tables and arrays without one of their values."""
    if isinstance(value, Mapping):
        kept = {key: part for key, part in value.items() if key != keys[0]}
        return {**kept, keys[0]: _without(value[keys[0]], keys[1:])} if keys[1:] else kept
    parts = [_without(part, keys[1:]) if keys[1:] and at == keys[0] else part for at, part in enumerate(value)]
    return parts if keys[1:] else [part for at, part in enumerate(parts) if at != keys[0]]
