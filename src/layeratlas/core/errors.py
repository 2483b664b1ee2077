"""Errors that end in one line: what was found, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class AtlasError(Exception):
    """A problem that the user can act on.

    The message is one line. The command line prints it and exits with `exit_code`; from Python it is an
    ordinary exception.
    """

    exit_code = 2
    # The keys that lead to the value at fault in what the user gave, such as ("seeds", 1), as far as they are known.
    at: tuple[str | int, ...] = ()

    def __init__(self, problem: str, expected: str = "", todo: str = "") -> None:
        self.problem, self.expected, self.todo = problem, expected, todo
        parts = [problem]
        if expected:
            parts.append(f"expected {expected}")
        if todo:
            parts.append(todo)
        super().__init__(" ".join("; ".join(parts).split()))


@contextmanager
def at_fault(*keys: str | int) -> Iterator[None]:
    """Put `keys` before those that an error names (`AtlasError.at`)."""
    try:
        yield
    except AtlasError as error:
        error.at = (*keys, *error.at)
        raise


class SpecError(AtlasError):
    """A name, option or setting that does not exist or has a wrong value."""


def unknown_name(what: str, name: object, known: Iterable[str], todo: str = "") -> SpecError:
    """Return the error for a name that does not exist: it lists the known ones and suggests the nearest.

    `todo` is the advice if no known name is close.
    """
    known = list(known)
    near = get_close_matches(str(name), known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else todo
    return SpecError(f"no {what} named '{name}'", f"one of {', '.join(known)}" if known else "none", hint)


class DataError(AtlasError):
    """Texts, labels or groups that cannot be used."""


class ModelError(AtlasError):
    """A model that cannot be loaded safely, or whose anatomy was not found."""


class IdentityError(ModelError):
    """A model that failed a self-test: the activations read would not be those that the model computes with."""


class CaptureError(AtlasError):
    """A text or an activation that cannot be captured."""


class StoreError(AtlasError):
    """A run folder that cannot be written or read, or whose files have changed."""

    exit_code = 3


class FullError(StoreError):
    """A disk with too little space: the same command resumes once there is more."""
