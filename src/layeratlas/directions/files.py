"""The files of a direction: safetensors with everything, and llama.cpp's control vector."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from layeratlas.core.arrays import Floats
from layeratlas.core.checksums import digest_of
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.files import write_atomic, write_json
from layeratlas.directions.direction import Direction, Quality, Source

SAFETENSORS, GGUF = ".safetensors", ".gguf"
# The tensor to add, for libraries that steer; the others are the fields of Direction.
STEER = "steer"
_FIELDS = ("weight", "offset", "scale", "means")
_FORMAT = 1
_MANIFEST = "manifest"
# llama.cpp adds `direction.N` to the output of block N, and has no place for block 0 or the embeddings.
_FIRST_BLOCK = 1


def save_direction(direction: Direction, path: Path, to: str | None = None, versus: str | None = None) -> Path:
    """Write a direction in the format of the path's suffix, and its manifest beside it; return the path."""
    if path.suffix not in (SAFETENSORS, GGUF):
        raise SpecError(f"'{path.name}' ends in '{path.suffix}'", f"a name that ends in {SAFETENSORS} or {GGUF}")
    open_class = len(direction.classes) > 2 and to is None
    vector = None if open_class else direction.vector(to, versus)
    manifest = _manifest(direction) | {STEER: None if vector is None else _steering(direction, vector, to, versus)}
    data = (
        _safetensors(direction, vector, manifest) if path.suffix == SAFETENSORS else _gguf(direction, vector, manifest)
    )
    write_atomic(path, data)
    write_json(path.with_name(f"{path.name}.json"), {**manifest, "sha256": digest_of(path)})
    return path


def _manifest(direction: Direction) -> dict[str, Any]:
    """Return what a direction's file says of itself, as JSON."""
    return {
        "format": _FORMAT,
        "source": asdict(direction.source),
        "quality": asdict(direction.quality),
        "classes": list(direction.classes),
        "counts": list(direction.counts),
        "sign": direction.sign,
        "typical_norm": direction.typical_norm,
    }


def _steering(direction: Direction, vector: Floats, to: str | None, versus: str | None) -> dict[str, Any]:
    """Return what the vector to add is: adding it once goes from the mean of `from` to that of `to`."""
    classes = direction.classes
    return {
        "to": to or (classes[1] if classes else "one unit more"),
        "from": versus or (classes[0] if len(classes) == 2 and to in (None, classes[1]) else "the others"),
        "norm": float(np.linalg.norm(vector)),
        "block": direction.source.block,
    }


def _safetensors(direction: Direction, vector: Floats | None, manifest: Mapping[str, Any]) -> bytes:
    tensors = {name: np.ascontiguousarray(getattr(direction, name), np.float32) for name in _FIELDS}
    if vector is not None:
        tensors[STEER] = np.ascontiguousarray(vector, np.float32)
    data: bytes = save(tensors, metadata={_MANIFEST: json.dumps(manifest)})
    return data


def _gguf(direction: Direction, vector: Floats | None, manifest: Mapping[str, Any]) -> bytes:
    """Return a control vector with one direction; raises SpecError where llama.cpp has no place for it."""
    from gguf import GGUFWriter

    source = direction.source
    if vector is None:
        raise SpecError(
            f"'{source.task}' has {len(direction.classes)} classes and a control vector has one direction",
            f"the class to steer to, one of {', '.join(direction.classes)}",
        )
    if source.component != "resid" or source.block < _FIRST_BLOCK:
        raise SpecError(
            f"a control vector at {source.place}",
            f"point {_FIRST_BLOCK + 1} or later of the residual stream, where llama.cpp can steer",
            "choose another layer, or save it as .safetensors",
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "direction.gguf"
        writer = GGUFWriter(path, "controlvector")
        writer.add_string("controlvector.model_hint", source.family)
        writer.add_uint32("controlvector.layer_count", 1)
        writer.add_string(f"layeratlas.{_MANIFEST}", json.dumps(manifest))
        writer.add_tensor(f"direction.{source.block}", np.ascontiguousarray(vector, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def load_direction(path: str | Path) -> Direction:
    """Return the direction in a `.safetensors` file that `Direction.save` wrote; raises StoreError for any other."""
    try:
        with safe_open(path, framework="np") as file:
            manifest = json.loads(file.metadata()[_MANIFEST])
            tensors = {name: file.get_tensor(name).astype(np.float64) for name in _FIELDS}
        return Direction(
            source=Source(**manifest["source"]),
            quality=Quality(**manifest["quality"]),
            classes=tuple(manifest["classes"]),
            counts=tuple(manifest["counts"]),
            typical_norm=float(manifest["typical_norm"]),
            **tensors,
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"'{path}' holds no direction", "a .safetensors file of 'layeratlas direction'", "save it again"
        ) from error
