"""Descriptions of a spec's fields and their values, for error messages and `layeratlas list settings`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

_PLAIN = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_LIMITS = (("ge", "at least {}"), ("gt", "greater than {}"), ("le", "at most {}"), ("lt", "less than {}"))
_CHOICES = re.compile(r"\^\((.+)\)\$")
_ANY_NAME = re.compile(r"\[[^]]+\]\+")


def alternatives(names: list[str]) -> str:
    """Return `a`, `a or b`, `a, b or c`."""
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def takes_only_numbers(annotation: Any) -> bool:
    """Tell whether a field of this type takes numbers, alone or in a list, and no truth values."""
    kinds = set(_leaves(annotation))
    return bool(kinds & {int, float}) and not kinds & {bool, Any, object}


def _leaves(annotation: Any) -> Iterator[Any]:
    """Yield the types that a type is made of."""
    inner = () if get_origin(annotation) is Literal else get_args(annotation)
    for kind in inner:
        yield from _leaves(kind)
    if not inner:
        yield annotation


def accepted(field: FieldInfo) -> str:
    """Return the values that a field takes, such as `a whole number, at least 0` or `text, letter or cloze`."""
    patterns = [pattern for limit in field.metadata if (pattern := getattr(limit, "pattern", None))]
    words = _matching(patterns[0]) if patterns else _of_type(field.annotation)
    limits = [
        text.format(value if isinstance(value := getattr(limit, name), int) else f"{value:g}")
        for limit in field.metadata
        for name, text in _LIMITS
        if getattr(limit, name, None) is not None
    ]
    none = ["or null"] if NoneType in get_args(field.annotation) else []
    return ", ".join([words, *limits, *none])


def _matching(pattern: str) -> str:
    """Return `last, mean or span:NAME` for `^(last|mean|span:[a-z]+)$`."""
    choices = _CHOICES.fullmatch(pattern)
    return alternatives(_ANY_NAME.sub("NAME", choices[1]).split("|")) if choices else f"text like {pattern}"


def _of_type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return alternatives([str(value) for value in inner])
    if origin in (Union, UnionType):
        return alternatives([_of_type(kind) for kind in inner if kind is not NoneType])
    if origin is tuple:
        return f"a list, each {_of_type(inner[0])}"
    return _PLAIN.get(annotation, "names with values" if origin is dict else getattr(annotation, "__name__", "a value"))
