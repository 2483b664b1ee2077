"""Refuses names that are spelled in two ways, because each spelling would become a separate class or group."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

from layeratlas.core.errors import DataError


def check_alike(values: Iterable[tuple[Any, str, bool]], what: str, where: str) -> None:
    """Raise DataError if two names differ only in surrounding white space, in Unicode composition, or as `1` and `1.0`.

    `values` has each value as it was read, as it is written, and whether it can be read as a number.
    """
    seen: dict[tuple[bool, Any], str] = {}
    truths: dict[bool, str] = {}
    for value, written, is_number in values:
        key = float(written) if is_number else unicodedata.normalize("NFC", written.strip())
        other = seen.setdefault((is_number, key), written)
        if is_number or isinstance(value, bool):
            truths.setdefault(isinstance(value, bool), written)
        if other != written:
            raise _refusal(other, written, what, where)
    if len(truths) > 1:
        raise _refusal(truths[False], truths[True], what, where)


def _refusal(one: str, other: str, what: str, where: str) -> DataError:
    return DataError(
        f"{where} has the {what}s {one!r} and {other!r}", f"one way of writing a {what}", "write it one way"
    )
