"""The files that a run writes before its first result: without a result, they are of no use to a later process."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from layeratlas.core.files import demand_ownership
from layeratlas.runs.kept_progress import PROGRESS
from layeratlas.runs.lock import LOCK
from layeratlas.store.receipts import MANIFEST

# The decision on `--precision fast`, beside what is stored of the texts.
PRECISION_FILE = "precision.json"
_PART = ".*.part"
_STORE = (MANIFEST, PRECISION_FILE, _PART)
# By folder: the texts or questions, and two stores of vectors.
_BEGUN = {"items": ("*.parquet", _PART), "activations": _STORE, "exits": _STORE}


def clear_beginning(folder: Path) -> bool:
    """Remove what a run wrote before its first result, and return whether that was all.

    `run.json`, the lock and the progress stay. If the folder holds anything else (a result, a file of the user, a link
    to another disk), nothing is removed. Raises LockLostError if another process has taken the folder over.
    """
    try:
        begun = _beginning(folder)
        if begun is None:
            return False
        demand_ownership(folder / "run.json")
        for path in begun:
            path.rmdir() if path.is_dir() else path.unlink()
    except OSError:
        return False
    return True


def _beginning(folder: Path) -> list[Path] | None:
    """Return the files and then the folders that a run wrote before its first result; None if there is more."""
    found: list[Path] = []
    for path in folder.iterdir():
        if path.name in _BEGUN and path.is_dir() and not path.is_symlink():
            within = list(path.iterdir())
            if not all(_is_named(file, *_BEGUN[path.name]) for file in within):
                return None
            found += [*within, path]
        elif _is_named(path, _PART):
            found.append(path)
        elif path.name not in ("run.json", LOCK, PROGRESS):
            return None
    return found


def _is_named(path: Path, *names: str) -> bool:
    """Return whether a path is a file, and no link, of one of some names."""
    return path.is_file() and not path.is_symlink() and any(fnmatch(path.name, name) for name in names)
