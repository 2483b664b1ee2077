"""Operations on a folder given by its path: check it, open its study, build its page."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from layeratlas.core import registry
from layeratlas.core.addresses import SCHEMES
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.files import COMPARISON
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.study import Study

# The most characters of a folder's name in a message.
_SHOWN = 60
# `Path` collapses the double slash of an address.
_ADDRESS = re.compile(f"({'|'.join(SCHEMES)}|file):/")
_TAKES_BUCKETS = "only runs, atlases and sweeps are written to one, with --out"


def report(folder: str | Path) -> Path:
    """Rebuild the page of a finished run or comparison from its tables alone, and return its path."""
    folder = folder_path(folder)
    if (folder / COMPARISON).exists():
        from layeratlas.comparison.page import build_comparison

        return build_comparison(folder)
    from layeratlas.report import build

    return build(folder, study_of(FinishedRun(folder)))


def figures(folder: str | Path) -> Path:
    """Draw the charts of a finished run or comparison as SVG and PNG files and return their folder, FOLDER/figures.

    They are drawn from the tables alone. Raises StoreError if a table is missing or unreadable.
    """
    folder = folder_path(folder)
    if (folder / COMPARISON).exists():
        from layeratlas.comparison.page import draw_comparison

        return draw_comparison(folder)
    from layeratlas.report import draw

    return draw(folder, study_of(FinishedRun(folder)))


def index(folder: str | Path) -> Path:
    """Write the page that lists every run and comparison below a folder and return its path, FOLDER/index.html.

    Raises StoreError if the folder has no run, or is a sweep, which has its own index.
    """
    from layeratlas.report.index import write_index

    return write_index(folder_path(folder))


def study_of(run: FinishedRun) -> Study | None:
    """Return a run's study; None if its package is not installed here."""
    with suppress(SpecError):
        study: Study = registry.get("studies", run.study)
        return study
    return None


def folder_path(folder: object) -> Path:
    """Return a folder's path, with a leading `~` as the home folder, like paths of models and texts.

    Raises SpecError for a non-path, a path that is not UTF-8, or an impossible file name.
    """
    if not isinstance(folder, str | Path):
        raise SpecError(f"a folder is {folder!r}", "a path")
    if _ADDRESS.match(str(folder)):
        raise SpecError(f"{_brief(folder)} is the address of a bucket", "a folder of this machine", _TAKES_BUCKETS)
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise SpecError(f"the folder name {str(folder)!a} is not UTF-8", "", "rename the folder") from None
    path = Path(os.path.expanduser(folder))
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return path  # created, or refused, when it is written or read
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SpecError(f"the folder {_brief(folder)} cannot be used ({reason})", "a path", "check it") from None
    return path


def folder_beside(run: Path, out: str | Path | None, ending: str) -> Path:
    """Return the folder to write what a run has to give: `out`, or RUN-ENDING beside the run."""
    here = run.resolve()  # a run may be named '.'
    return folder_path(out) if out is not None else here.with_name(f"{here.name}-{ending}")


def check_new(folder: Path) -> None:
    """Raise StoreError unless a folder is new or empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StoreError(f"'{folder}' is not empty", "a new or empty folder", "choose another --out")


def _brief(folder: object) -> str:
    name = str(folder)
    return ascii(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Give an empty folder beside a new one, and move it there at the end; after an error the next call clears it."""
    part = target.resolve().with_name(f".{target.resolve().name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    part.replace(target)
