"""Flags of the command line to specs and settings; errors to one line and an exit code."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import typer

from layeratlas.core.errors import AtlasError, SpecError


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Turn what the user can act on into one line on stderr and an exit code."""
    try:
        yield
    except AtlasError as error:
        print(f"layeratlas: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        print("layeratlas: interrupted; finished work is kept, run the same command again to resume", file=sys.stderr)
        raise typer.Exit(130) from None


def spec_of(kind: type[Any], **fields: Any) -> Any:
    """Build a spec; a value that does not fit raises SpecError."""
    from pydantic import ValidationError

    try:
        return kind(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        expected = kind.model_fields[name].description or first["msg"][0].lower() + first["msg"][1:]
        raise SpecError(f"--{name.replace('_', '-')} {first['input']!r} does not fit", expected, "see --help") from None


def settings(pairs: list[str]) -> dict[str, Any]:
    """Return `NAME=VALUE` flags as a dict; a value that reads as JSON is that, any other is a word."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise SpecError(f"--set {pair!r} does not fit", "NAME=VALUE", "see the study's page")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def families(pairs: list[str]) -> dict[str, str]:
    """Return `NAME=PART` flags as a dict."""
    parts = [pair.partition("=") for pair in pairs]
    for name, equals, part in parts:
        if not (name and equals and part):
            raise SpecError(f"--family {name + equals + part!r} does not fit", "NAME=PART", "see --help")
    return {name: part for name, _, part in parts}
