"""Hashes of the files that a model came from."""

from __future__ import annotations

import hashlib
from pathlib import Path

_RECORDED = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.gguf")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every weight, config and tokenizer file in a model's directory, by name."""
    names = sorted({path for pattern in _RECORDED for path in folder.glob(pattern) if path.is_file()})
    return {path.name: sha256(path) for path in names}
