"""Refuses translators that cannot be fitted or loaded before any question is asked."""

from __future__ import annotations

from pathlib import Path

from layeratlas.core.errors import SpecError
from layeratlas.studies.exits.settings import ExitSettings

# Of every four passages, two are for fitting, one for choosing the penalty and one for the held-out loss.
HELD_OUT = 4
_FILES = ("tuned_on", "translators")


def check_tuned(settings: ExitSettings) -> None:
    """Raise SpecError or DataError for files of translators that are missing, too short, or not asked for."""
    given = {name: getattr(settings, name) for name in _FILES if getattr(settings, name)}
    if given and not settings.tuned:
        raise SpecError(f"--set {next(iter(given))} without tuned=true", "both", "add --set tuned=true")
    if settings.tuned_on:
        from layeratlas.data.readers.passages import read_passages

        check_count(len(read_passages(settings.tuned_on).texts))
    if settings.translators and not Path(settings.translators).is_file():
        raise SpecError(
            f"there is no file '{settings.translators}'", "a .safetensors file of translators", "check the path"
        )


def check_count(passages: int) -> None:
    """Raise SpecError for fewer passages than translators need."""
    if passages < HELD_OUT:
        raise SpecError(f"{passages} passages to fit translators on", f"{HELD_OUT} or more", "use a longer file")
