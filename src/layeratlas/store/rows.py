"""A few texts at a few layers out of a finished store, without reading the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from layeratlas.core.arrays import FloatArray
from layeratlas.core.errors import StoreError
from layeratlas.store.receipts import ShardPlace, covered, read_manifest, read_receipts, shard_path


def points_of(folder: Path, component: str) -> int:
    """Return how many layers a store holds of a component, 0 where it holds none; raises StoreError without a store."""
    return int(read_manifest(folder)["points"].get(component, 0))


def read_rows(folder: Path, component: str, layers: Sequence[int], rows: Sequence[int]) -> FloatArray:
    """Return float32 of shape (len(layers), len(rows), width).

    Checksums are not computed again: that would read the whole store. Raises StoreError where a text is missing or a
    number is not finite.
    """
    manifest = read_manifest(folder)
    out = np.full((len(layers), len(rows), manifest["width"]), np.nan, np.float32)
    framework = "pt" if manifest["dtype"] == "bfloat16" else "np"  # what needs no torch does not import it
    place_of = {row: place for place, row in enumerate(rows)}
    for key, receipt in read_receipts(folder):
        wanted = [ShardPlace(to=place_of[row], at=at) for at, row in enumerate(receipt.rows) if row in place_of]
        shown = covered(receipt, component, layers)
        if wanted and shown:
            with _opened(shard_path(folder, key), framework) as shard:
                _copy(shard.get_slice(component), shown, wanted, out)
    if not np.isfinite(out).all():
        raise StoreError(f"'{folder}' lacks some of the texts", "a finished capture", "run the same command again")
    return out


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
