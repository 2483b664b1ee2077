"""Errors that end in one line: what was found, what was expected, what to do."""

from __future__ import annotations


class AtlasError(Exception):
    """A problem that the user can act on.

    The message is one line. The command line prints it and exits with `exit_code`; from Python it is an
    ordinary exception.
    """

    exit_code = 2

    def __init__(self, found: str, expected: str = "", todo: str = "") -> None:
        self.found, self.expected, self.todo = found, expected, todo
        parts = [found]
        if expected:
            parts.append(f"expected {expected}")
        if todo:
            parts.append(todo)
        super().__init__(" ".join("; ".join(parts).split()))


class SpecError(AtlasError):
    """A name, flag or setting that does not exist or does not fit."""


class DataError(AtlasError):
    """Texts, labels or groups that cannot be measured."""


class ModelError(AtlasError):
    """A model that cannot be loaded safely, or whose anatomy was not found."""


class IdentityError(ModelError):
    """A model that failed a self-test: what we would measure is not what the model computes."""


class CaptureError(AtlasError):
    """A text or an activation that cannot be captured."""


class StoreError(AtlasError):
    """A run folder that cannot be written, or whose content cannot be trusted."""

    exit_code = 3
