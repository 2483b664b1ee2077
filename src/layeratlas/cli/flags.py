"""What the commands share: flags of the model, pairs such as NAME=VALUE, and errors in one line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn

import typer

from layeratlas.core.errors import AtlasError, SpecError
from layeratlas.core.processes import Terminated, stop_workers, stoppable

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


# Set to see the traceback of a fault of this package.
_TRACEBACK = "LAYERATLAS_TRACEBACK"


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Turn every error into one line on stderr and an exit code; SIGTERM and SIGHUP act as Ctrl-C does."""
    try:
        with stoppable():
            yield
    except typer.Exit:
        raise
    except KeyboardInterrupt as error:
        _stop(error)
    except Exception as error:
        interrupt = _interrupt_behind(error)
        if interrupt is not None:
            _stop(interrupt)
        if os.environ.get(_TRACEBACK):
            raise
        _say(_in_words(error))
        raise typer.Exit(error.exit_code if isinstance(error, AtlasError) else 1) from None


def _stop(error: KeyboardInterrupt) -> NoReturn:
    stop_workers()
    number = error.number if isinstance(error, Terminated) else signal.SIGINT
    word = "interrupted" if number == signal.SIGINT else "terminated"
    _say(f"{word}; finished work is kept, run the same command again to resume")
    raise typer.Exit(128 + number) from None


def _interrupt_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the interrupt that an import turned into an error of its own, if any."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


def _in_words(error: Exception) -> str:
    if isinstance(error, AtlasError):
        return str(error)
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    if isinstance(error, MemoryError) or "memory" in type(error).__name__.lower() or "can't allocate memory" in reason:
        return f"out of memory ({reason}); expected more free memory; use a smaller --size or --dtype bfloat16"
    if isinstance(error, OSError):
        return f"the system refused ({reason[:200]}); expected files that can be read and written; check the path"
    return f"internal error, {type(error).__name__}: {reason}; please report it with {_TRACEBACK}=1, which shows where"


def _say(text: str) -> None:
    print(f"layeratlas: {text}".encode(errors="backslashreplace").decode(), file=sys.stderr)


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
    except (ValueError, RecursionError):
        return text
