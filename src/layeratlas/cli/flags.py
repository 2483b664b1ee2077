"""What the commands share: flags of the model, pairs such as NAME=VALUE, and errors in one line."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from layeratlas.core.errors import AtlasError, SpecError

MODEL = "Hub id, local directory, .gguf file or built-in alias."
RevisionOption = Annotated[str | None, typer.Option(help="Hub revision of the model.")]
DtypeOption = Annotated[str | None, typer.Option(help="float32 (default), bfloat16 or float16.")]
AttentionOption = Annotated[str | None, typer.Option(help="Attention kernel: sdpa (default) or eager.")]
DeviceOption = Annotated[str | None, typer.Option(help="auto (default), cpu, cuda, cuda:1 ...")]
BosOption = Annotated[
    str | None, typer.Option(help="auto (default: one BOS token where the tokenizer has one) or never.")
]
WeightsOption = Annotated[
    str | None,
    typer.Option(help="resident, streamed (a few blocks in memory at a time) or auto (default)."),
]
MemoryOption = Annotated[float | None, typer.Option(help="GB that the model may take. Default: what is free.")]
AdapterOption = Annotated[str | None, typer.Option(help="Directory of a PEFT adapter to merge into the weights.")]
RemoteOption = Annotated[bool, typer.Option("--trust-remote-code", help="Run Python code from the model's repository.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress, only where the report is.")]
FamilyOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=PART: models with PART in their name or folder belong to the family NAME; repeatable."),
]


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Turn an error that the user can act on into one line on stderr and an exit code."""
    try:
        yield
    except AtlasError as error:
        print(f"layeratlas: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        print("layeratlas: interrupted; finished work is kept, run the same command again to resume", file=sys.stderr)
        raise typer.Exit(130) from None


def settings(pairs: list[str]) -> dict[str, Any]:
    """Return `NAME=VALUE` flags as a dict; a value that is JSON (4, true, null) is read as such, any other as text."""
    return {name: _value(text) for name, text in _pairs(pairs, "--set", "NAME=VALUE", "layeratlas list settings")}


def families(pairs: list[str]) -> dict[str, str]:
    """Return `NAME=PART` flags as a dict; raises SpecError for an empty part."""
    named = _pairs(pairs, "--family", "NAME=PART", "see --help")
    for name, part in named:
        if not part:
            raise SpecError(f"--family '{name}=' does not fit", "NAME=PART", "see --help")
    return dict(named)


def _pairs(pairs: list[str], flag: str, form: str, todo: str) -> list[tuple[str, str]]:
    split = [pair.partition("=") for pair in pairs]
    for pair, (name, equals, _) in zip(pairs, split, strict=True):
        if not (name and equals):
            raise SpecError(f"{flag} {pair!r} does not fit", form, todo)
    return [(name, value) for name, _, value in split]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
