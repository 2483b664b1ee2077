"""Hashes of the files that a model came from."""

from __future__ import annotations

from pathlib import Path

from layeratlas.core.files import sha256_file

_RECORDED = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.gguf")


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every weight, config and tokenizer file in a model's directory, by name."""
    names = sorted({path for pattern in _RECORDED for path in folder.glob(pattern) if path.is_file()})
    return {path.name: sha256_file(path) for path in names}
