"""Read a few texts at a few layers from a finished store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from layeratlas.core.arrays import FloatArray
from layeratlas.core.checksums import digest_of
from layeratlas.core.errors import StoreError
from layeratlas.store.receipts import ShardPlace, covered, read_manifest, read_receipts, shard_path


def points_of(folder: Path, component: str) -> int:
    """Return how many layers of a component a store holds (0 for none); raises StoreError if there is no store."""
    return int(read_manifest(folder)["points"].get(component, 0))


def read_rows(folder: Path, component: str, layers: Sequence[int], rows: Sequence[int]) -> FloatArray:
    """Return float32 of shape (len(layers), len(rows), width).

    The checksum of every shard that is read is verified, once per process. Raises StoreError if a text is missing, a
    shard is damaged or a number is not finite.
    """
    manifest = read_manifest(folder)
    out = np.full((len(layers), len(rows), manifest["width"]), np.nan, np.float32)
    framework = "pt" if manifest["dtype"] == "bfloat16" else "np"  # only bfloat16 needs torch
    place_of = {row: place for place, row in enumerate(rows)}
    for key, receipt in read_receipts(folder, manifest["key"]):
        wanted = [ShardPlace(to=place_of[row], at=at) for at, row in enumerate(receipt.rows) if row in place_of]
        shown = covered(receipt, component, layers)
        if wanted and shown:
            path = shard_path(folder, key)
            _check(path, receipt.sha256)
            with _opened(path, framework) as shard:
                _copy(shard.get_slice(component), shown, wanted, out)
    if not np.isfinite(out).all():
        raise StoreError(f"'{folder}' lacks some of the texts", "a finished capture", "run the same command again")
    return out


def _check(path: Path, sha256: str) -> None:
    """Raise StoreError if a shard's bytes do not match its receipt."""
    stat = path.stat()
    if _digest(path, stat.st_mtime_ns, stat.st_size, stat.st_ino) != sha256:
        raise StoreError(
            f"'{path}' was changed or damaged after it was written",
            "a whole shard",
            "run the study again in a new --out",
        )


@lru_cache(maxsize=4096)
def _digest(path: Path, *stamp: int) -> str:
    return digest_of(path)


@contextmanager
def _opened(path: Path, framework: str) -> Iterator[Any]:
    try:
        with safe_open(path, framework=framework) as shard:
            yield shard
    except (OSError, SafetensorError) as error:
        raise StoreError(f"'{path}' cannot be read", "a whole shard", "run the same command again") from error


def _copy(values: Any, of_layers: Sequence[ShardPlace], of_texts: Sequence[ShardPlace], out: FloatArray) -> None:
    to_layers, from_layers = [layer.to for layer in of_layers], [layer.at for layer in of_layers]
    for text in of_texts:
        row = values[text.at : text.at + 1]
        row = row if isinstance(row, np.ndarray) else row.float().numpy()
        out[to_layers, text.to] = row[0][from_layers]
