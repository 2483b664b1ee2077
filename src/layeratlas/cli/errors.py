"""Errors and interrupts of a command: one line on stderr, and an exit code."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn

import typer

from layeratlas.core.errors import AtlasError
from layeratlas.core.processes import Terminated, stop_workers, stoppable

# Set this variable to see the traceback of an internal error.
_TRACEBACK = "LAYERATLAS_TRACEBACK"


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Turn every error into one line on stderr and an exit code; SIGTERM and SIGHUP act like Ctrl-C.

    If the output pipe is closed by its reader (`| head`), the command ends silently, as with SIGPIPE.
    """
    try:
        with stoppable():
            yield
            sys.stdout.flush()
    except typer.Exit:
        raise
    except KeyboardInterrupt as error:
        _stop(error)
    except Exception as error:
        interrupt = _interrupt_behind(error)
        if interrupt is not None:
            _stop(interrupt)
        if isinstance(error, BrokenPipeError) and _output_is_closed():
            raise typer.Exit(128 + signal.SIGPIPE) from None
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


def _output_is_closed() -> bool:
    """Tell whether the output is a closed pipe; if so, discard the remaining output."""
    watch = select.poll()
    watch.register(sys.stdout.fileno(), 0)
    closed = any(event & select.POLLERR for _, event in watch.poll(0))
    if closed:  # otherwise the interpreter would report an error when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return closed


def _interrupt_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the interrupt that an import wrapped into another error, if any."""
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
