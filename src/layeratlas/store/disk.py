"""The disk store: safetensors shards, each valid only with its checksummed receipt."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save

from layeratlas.core.arrays import FloatArray, Ints
from layeratlas.core.checksums import digest_of
from layeratlas.core.errors import FullError, StoreError
from layeratlas.core.files import demand_ownership, sweep_parts, write_atomic
from layeratlas.core.turns import ALONE, Turns
from layeratlas.store.contract import Shape, Store, check_complete, check_request, check_shard, unseen
from layeratlas.store.names import shared_part
from layeratlas.store.receipts import (
    Receipt,
    covered,
    manifest_of,
    read_manifest,
    read_receipt,
    read_receipts,
    receipt_keys,
    shard_path,
    write_manifest,
)


def _amount(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


class DiskStore(Store):
    """Vectors in a folder: `manifest.json`, and `<key>.safetensors` with a receipt `<key>.json` per shard.

    `key` identifies the content (model, texts, settings). A folder with another key is refused, never mixed. A shard
    without a valid receipt of this store, or with bytes that differ from its receipt, is treated as absent and computed
    again. A damaged manifest is rewritten. A process that is helping trusts receipts; the process that it helps reads
    every shard once to compare it with its receipt.
    """

    def __init__(self, folder: Path, shape: Shape, key: str, dtype: str = "float32", turns: Turns = ALONE) -> None:
        self.folder, self.shape, self.key, self.turns = folder, shape, key, turns
        self._dtype: torch.dtype = getattr(torch, dtype)
        self._manifest, known = manifest_of(shape, key, dtype), None
        with contextlib.suppress(StoreError):
            known = read_manifest(folder)
        if known is None:
            write_manifest(folder, self._manifest)
        elif known != self._manifest:
            raise StoreError(
                f"'{folder}' holds activations of another model, texts, settings or library version",
                "those of this run",
                "choose another --out or remove that folder",
            )
        if not turns.helping:
            sweep_parts(folder)
        self._receipts = {key: receipt for key, receipt in read_receipts(folder, self.key) if self._holds(key, receipt)}

    @classmethod
    def open(cls, folder: Path, turns: Turns = ALONE) -> DiskStore:
        """Open an existing folder, with any key."""
        manifest = read_manifest(folder)
        shape = Shape(manifest["texts"], manifest["width"], manifest["points"])
        return cls(folder, shape, manifest["key"], manifest["dtype"], turns)

    def _holds(self, key: str, receipt: Receipt) -> bool:
        return self.turns.helping or digest_of(shard_path(self.folder, key)) == receipt.sha256

    def gather(self, keys: Iterable[str] | None = None) -> None:
        """Take in those of the named shards that other processes have written; by default all."""
        for key in receipt_keys(self.folder) if keys is None else keys:
            receipt = None if key in self._receipts else read_receipt(self.folder, key, self.key)
            if receipt is not None and self._holds(key, receipt):
                self._receipts[key] = receipt

    def adopt(self, folder: Path, planned: Mapping[str, Sequence[int]] | None = None) -> int:
        """Link missing shards from another folder; return how many.

        They are all of a folder with the same content. Of one with other texts, but of the same origin, they are those
        with the content of a `planned` shard, which is given by its key with its rows. A shard whose bytes differ from
        its receipt is left. Where the disk has no links, shards are copied.
        """
        with contextlib.suppress(StoreError):
            known = read_manifest(folder)
            if known == self._manifest:
                there = dict(read_receipts(folder, self.key))
                return sum(self._adopted(folder, key, key, there[key]) for key in there.keys() - self._receipts.keys())
            if self._is_akin(known):
                return sum(self._akin(folder, known["key"], planned or {}))
        return 0

    def _is_akin(self, known: Mapping[str, Any]) -> bool:
        """Return whether a manifest differs from this store's in its texts alone."""
        texts = {"key": shared_part(self.key), "texts": None}
        return {**known, **texts, "key": shared_part(known["key"])} == {**self._manifest, **texts}

    def _akin(self, folder: Path, key: str, planned: Mapping[str, Sequence[int]]) -> Iterator[bool]:
        """Adopt the shards of planned content; yield for each whether it was sound."""
        missing = {shared_part(own): (own, rows) for own, rows in planned.items() if own not in self._receipts}
        for theirs, receipt in read_receipts(folder, key) if missing else ():
            own, rows = missing.get(shared_part(theirs), ("", ()))
            if own and len(rows) == len(receipt.rows):
                kept = Receipt(rows=list(rows), layers=receipt.layers, sha256=receipt.sha256)
                yield self._adopted(folder, theirs, own, kept)

    def _adopted(self, folder: Path, theirs: str, key: str, receipt: Receipt) -> bool:
        """Take the shard `theirs` as `key`, with a receipt of its own; return whether it is sound."""
        with contextlib.suppress(OSError):  # the other run was deleted meanwhile
            path = shard_path(self.folder, key)
            demand_ownership(path)
            path.unlink(missing_ok=True)
            try:
                os.link(shard_path(folder, theirs), path)
            except OSError:
                shutil.copyfile(shard_path(folder, theirs), path)
            if digest_of(path) == receipt.sha256:
                receipt.write(self.folder, key, self.key)
                self._receipts[key] = receipt
                return True
            path.unlink()
        return False

    def finished(self) -> set[str]:
        """Return the keys of the shards whose bytes match their receipts."""
        return set(self._receipts)

    def holds(self, rows: Sequence[int]) -> bool:
        """Return whether each of the texts `rows` has a vector at every layer of every component."""
        return all(bool(seen[list(rows)].all()) for seen in self._seen().values())

    def missing_bytes(self) -> int:
        """Return how many bytes the missing vectors will take."""
        return self.shape.width * self._dtype.itemsize * sum(int((~rows).sum()) for rows in self._seen().values())

    def _seen(self) -> dict[str, NDArray[np.bool_]]:
        """Return, for each component, an array (texts, points) of whether a shard holds the vector."""
        seen = unseen(self.shape)
        for receipt in self._receipts.values():
            for component, (start, stop) in receipt.layers.items():
                seen[component][receipt.rows, start:stop] = True
        return seen

    def check_space(self) -> None:
        """Raise StoreError if the disk has too little space for the missing vectors."""
        free, need = shutil.disk_usage(self.folder).free, self.missing_bytes()
        if need > free:
            raise FullError(
                f"{_amount(free)} are free in '{self.folder}'",
                f"{_amount(need)} for the activations",
                "free some space, use --out on another disk, or a smaller --size",
            )

    def write(
        self, key: str, rows: Sequence[int], values: Mapping[str, FloatArray], first: Mapping[str, int] | None = None
    ) -> None:
        """Write a shard: its bytes first, then the receipt that makes it valid."""
        layers = check_shard(self.shape, rows, values, first)
        tensors = {c: torch.from_numpy(np.ascontiguousarray(a)).to(self._dtype) for c, a in values.items()}
        data = save(tensors)
        write_atomic(shard_path(self.folder, key), data)
        receipt = Receipt(rows=list(rows), layers=layers, sha256=hashlib.sha256(data).hexdigest())
        receipt.write(self.folder, key, self.key)
        self._receipts[key] = receipt

    def read(self, component: str, layer: int) -> FloatArray:
        """Return float32 of shape (texts, width)."""
        out = np.zeros((self.shape.texts, self.shape.width), np.float32)
        for rows, values in self.parts(component, layer):
            out[rows] = values
        return out

    def read_layers(self, component: str, layers: Sequence[int], rows: Ints) -> FloatArray:
        """Return float32 of shape (len(layers), len(rows), width)."""
        for layer in layers:
            check_request(self.shape, component, layer)
        out = np.empty((len(layers), len(rows), self.shape.width), np.float32)
        missing = np.ones((len(layers), self.shape.texts), dtype=bool)
        for key, receipt in self._receipts.items():
            at = np.full(self.shape.texts, -1)
            at[receipt.rows] = np.arange(len(receipt.rows))
            places, wanted = covered(receipt, component, layers), np.flatnonzero(at[rows] >= 0)
            if not places or not len(wanted):
                continue
            with safe_open(shard_path(self.folder, key), framework="pt") as shard:
                values = shard.get_slice(component)
                for place in places:
                    out[place.to, wanted] = values[:, place.at].float().numpy()[at[rows[wanted]]]
                    missing[place.to, receipt.rows] = False
        asked = np.zeros(self.shape.texts, dtype=bool)
        asked[rows] = True
        check_complete(~(asked & missing.any(0)))
        return out

    def parts(self, component: str, layer: int) -> Iterator[tuple[Ints, FloatArray]]:
        """Yield the texts and vectors of one shard at a time; raises StoreError at the end if a text is missing.

        Shards overlap where a sweep over blocks was stopped and begun again in other groups: each text comes once.
        """
        check_request(self.shape, component, layer)
        seen = np.zeros(self.shape.texts, dtype=bool)
        for key, receipt in self._receipts.items():
            rows = np.array(receipt.rows)
            new = ~seen[rows]
            for place in covered(receipt, component, [layer]) if new.any() else ():
                with safe_open(shard_path(self.folder, key), framework="pt") as shard:
                    yield rows[new], shard.get_slice(component)[:, place.at].float().numpy()[new]
                seen[rows] = True
        check_complete(seen)
