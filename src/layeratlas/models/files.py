"""Hashes of the files that a model came from; those of large files are kept in the cache as long as the file stays."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from layeratlas.core.cache import cache_root
from layeratlas.core.checksums import read_sealed, write_sealed
from layeratlas.core.errors import AtlasError
from layeratlas.core.files import sha256_file
from layeratlas.core.spec import DEFAULT_MODEL

_RECORDED = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.gguf")
# The files among these that decide a model's numbers: its weights, and how it is built and encodes texts.
_WEIGHTS = ("*.safetensors", "*.gguf")
_CONFIGS = ("*.safetensors.index.json", "config.json", "generation_config.json", "adapter_config.json")
_TOKENIZER = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "*.model")
_DECIDE = (*_WEIGHTS, *_CONFIGS, *_TOKENIZER, "chat_template*", "*.jinja")
# Smaller files are hashed in a moment.
SMALLEST = 2**20
# A file that was changed this many seconds ago may be changed again without a new time, where clocks are coarse.
_SETTLED = 3.0


def hashes(folder: Path, anew: bool = False) -> dict[str, str]:
    """Return the SHA-256 of every weight, config and tokenizer file in a model's directory, by name."""
    names = sorted({path for pattern in _RECORDED for path in folder.glob(pattern) if path.is_file()})
    return {path.name: digest(path, anew) for path in names}


def changed_files(model: str, adapter: str | None, recorded: Mapping[str, str]) -> list[str]:
    """Return the names of files that are now others than `recorded`, of a model in a directory or a `.gguf` file.

    `recorded` are hashes by name, as in `run.json`. Of a hub model, or one that is not on this machine, there are none.
    Only files that decide the model's numbers count; weights that are gone are not others.
    """
    place = Path(os.path.expanduser(model))
    if model == DEFAULT_MODEL:  # the name of the built-in model, even where a folder is called so
        return []
    if os.path.isdir(place):
        now = hashes(place)
    elif place.suffix == ".gguf" and os.path.isfile(place):
        now = {place.name: digest(place)}
    else:
        return []
    own = "adapter/"
    if adapter is not None and os.path.isdir(adapter):
        now |= {f"{own}{name}": found for name, found in hashes(Path(adapter)).items()}
    else:
        recorded = {name: found for name, found in recorded.items() if not name.startswith(own)}
    gone = {name for name in recorded if name not in now and _is(name, _WEIGHTS)}
    return [name for name in differing(recorded, now) if name not in gone]


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the names of the files that decide a model's numbers and have other hashes, or none, in one of the two."""
    before, after = deciding(before), deciding(after)
    return sorted(name for name in {*before, *after} if after.get(name) != before.get(name))


def deciding(recorded: Mapping[str, str]) -> dict[str, str]:
    """Return the hashes of those files of a model, by name, that decide its numbers."""
    return {name: found for name, found in recorded.items() if _is(name, _DECIDE)}


def _is(name: str, patterns: tuple[str, ...]) -> bool:
    """Return whether the name of a recorded file, of the model or its adapter, has one of these forms."""
    return any(fnmatchcase(name.rsplit("/", 1)[-1], pattern) for pattern in patterns)


def digest(path: Path, anew: bool = False) -> str:
    """Return the SHA-256 of a file's bytes; raises OSError as `sha256_file` does.

    The digest of a large file is kept in the user's cache, and read from there unless `anew`, while the file has the
    same place, size, inode and times of change. Every write sets the last of these (ctime), which programs cannot set
    back. What is not noticed is a disk that loses bits by itself; `layeratlas check` reads the files anew.
    """
    before = _stamp(path)
    if before["size"] < SMALLEST:
        return sha256_file(path)
    receipt = cache_root() / "hashes" / f"{hashlib.sha256(os.fsencode(before['path'])).hexdigest()}.json"
    if not anew:
        with suppress(AtlasError, OSError, KeyError):
            kept = read_sealed(receipt)
            if kept["stamp"] == before:
                return str(kept["sha256"])
    found = sha256_file(path)
    if _stamp(path) == before and time.time() - before["changed"] / 1e9 > _SETTLED:
        with suppress(AtlasError, OSError):
            write_sealed(receipt, {"stamp": before, "sha256": found})
    return found


def _stamp(path: Path) -> dict[str, Any]:
    """Return what changes with every write to a file; names of links lead to the file itself."""
    real = path.resolve()
    seen = real.stat()
    return {
        "path": os.fsdecode(real),
        "size": seen.st_size,
        "file": [seen.st_dev, seen.st_ino],
        "modified": seen.st_mtime_ns,
        "changed": seen.st_ctime_ns,
    }
