"""The metadata of a folder of vectors: its manifest, and a receipt for each shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layeratlas.core.checksums import read_sealed, write_sealed
from layeratlas.core.errors import StoreError
from layeratlas.store.contract import Shape

MANIFEST = "manifest.json"
_FORMAT = 3


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """The content of a shard: the texts `rows`, and for each component its layers as `(first, past the last)`.

    `sha256` is the digest of the shard's bytes.
    """

    rows: list[int]
    layers: dict[str, tuple[int, int]]
    sha256: str

    def write(self, folder: Path, key: str, store: str) -> None:
        """Write the sealed receipt of shard `key`, which makes the shard valid in the store with key `store`."""
        record = {"store": store, "shard": key, "sha256": self.sha256, "rows": self.rows, "layers": self.layers}
        write_sealed(folder / f"{key}.json", record)


def shard_path(folder: Path, key: str) -> Path:
    """Return the file that holds a shard's vectors."""
    return folder / f"{key}.safetensors"


def read_receipts(folder: Path, store: str) -> Iterator[tuple[str, Receipt]]:
    """Yield each shard's key and receipt, in the order of the keys.

    Damaged receipts, receipts of another store or shard, and receipts without a shard are skipped. The shard's bytes
    are not read; compare `sha256` if that matters.
    """
    for key in receipt_keys(folder):
        receipt = read_receipt(folder, key, store)
        if receipt is not None:
            yield key, receipt


def receipt_keys(folder: Path) -> list[str]:
    """Return the keys of the shards that have a receipt of any kind, in order."""
    return [path.stem for path in sorted(folder.glob("*.json")) if path.name != MANIFEST]


def read_receipt(folder: Path, key: str, store: str) -> Receipt | None:
    """Return the receipt of shard `key`; None if `read_receipts` would skip it."""
    try:
        record = read_sealed(folder / f"{key}.json") if shard_path(folder, key).is_file() else {}
        return _receipt(record) if (record["store"], record["shard"]) == (store, key) else None
    except (StoreError, KeyError, TypeError, ValueError):
        return None


def _receipt(record: Mapping[str, Any]) -> Receipt:
    layers = {component: (int(first), int(past)) for component, (first, past) in record["layers"].items()}
    return Receipt(rows=list(record["rows"]), layers=layers, sha256=str(record["sha256"]))


def manifest_of(shape: Shape, key: str, dtype: str) -> dict[str, Any]:
    """Return the manifest of a store with this content."""
    return {
        "format": _FORMAT,
        "key": key,
        "dtype": dtype,
        "texts": shape.texts,
        "width": shape.width,
        "points": dict(shape.points),
    }


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write a store's manifest, sealed."""
    write_sealed(folder / MANIFEST, manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a store's manifest; raises StoreError if it is missing or damaged."""
    return read_sealed(folder / MANIFEST)


@dataclass(frozen=True, kw_only=True)
class ShardPlace:
    """The place of a layer: index `at` in the shard, index `to` among the requested layers."""

    at: int
    to: int


def covered(receipt: Receipt, component: str, layers: Sequence[int]) -> list[ShardPlace]:
    """Return the places of those `layers` of a component that a shard holds."""
    first, past = receipt.layers.get(component, (0, 0))
    return [ShardPlace(at=layer - first, to=number) for number, layer in enumerate(layers) if first <= layer < past]
