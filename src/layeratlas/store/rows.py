"""A few texts at a few layers out of a finished store, without reading the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from layeratlas.core.arrays import FloatArray
from layeratlas.core.errors import StoreError
from layeratlas.core.files import read_json


def points_of(folder: Path, component: str) -> int:
    """Return how many layers a store holds of a component, 0 where it holds none; raises StoreError without a store."""
    return int(read_json(folder / "manifest.json")["points"].get(component, 0))


def read_rows(folder: Path, component: str, layers: Sequence[int], rows: Sequence[int]) -> FloatArray:
    """Return float32 of shape (len(layers), len(rows), width).

    Checksums are not computed again: that would read the whole store. Raises StoreError where a text is missing or a
    number is not finite.
    """
    manifest = read_json(folder / "manifest.json")
    out = np.full((len(layers), len(rows), manifest["width"]), np.nan, np.float32)
    wanted = {row: i for i, row in enumerate(rows)}
    framework = "pt" if manifest["dtype"] == "bfloat16" else "np"
    for path in sorted(folder.glob("*.json")):
        if path.name == "manifest.json" or not path.with_suffix(".safetensors").exists():
            continue
        receipt = read_json(path)
        start, stop = receipt["layers"].get(component, (0, 0))
        inside = [(i, layer - start) for i, layer in enumerate(layers) if start <= layer < stop]
        here = [(wanted[row], place) for place, row in enumerate(receipt["rows"]) if row in wanted]
        if inside and here:
            _take(path.with_suffix(".safetensors"), component, framework, (inside, here, out))
    if not np.isfinite(out).all():
        raise StoreError(f"'{folder}' lacks some of the texts", "a finished capture", "run the same command again")
    return out


def _take(path: Path, component: str, framework: str, job: tuple[list[Any], list[Any], FloatArray]) -> None:
    inside, here, out = job
    at, local = (list(part) for part in zip(*inside, strict=True))
    try:
        with safe_open(path, framework=framework) as shard:
            values = shard.get_slice(component)
            for to, place in here:
                row = values[place : place + 1]
                row = row.float().numpy() if framework == "pt" else row
                out[at, to] = row[0][local]
    except (OSError, SafetensorError) as error:
        raise StoreError(f"'{path}' cannot be read", "a whole shard", "run the same command again") from error
