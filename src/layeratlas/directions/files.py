"""The files of a direction: tensors with a manifest, and llama.cpp's control vector."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from layeratlas.core.arrays import Floats
from layeratlas.core.checksums import digest_of
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.files import write_atomic, write_json

SAFETENSORS, GGUF = ".safetensors", ".gguf"
# The fields of a direction, and the steering vector for other libraries.
TENSORS, STEER = ("weight", "offset", "scale", "means"), "steer"
# llama.cpp adds `direction.N` to the output of block N; it supports neither block 0 nor the embeddings.
FIRST_BLOCK = 1
_FORMAT = 1
_MANIFEST = "manifest"


def check_suffix(path: Path) -> None:
    """Raise SpecError for the name of a file that a direction cannot be written to."""
    if path.suffix not in (SAFETENSORS, GGUF):
        raise SpecError(
            f"'{path.name}' ends in '{path.suffix}'", "a name that ends in .safetensors or .gguf", "choose one of these"
        )


def write_tensors(path: Path, manifest: Mapping[str, Any], tensors: Mapping[str, Floats]) -> None:
    """Write tensors in float32 with the manifest as metadata, and the manifest to `FILE.json`."""
    narrow = {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()}
    write_atomic(path, save(narrow, metadata={_MANIFEST: json.dumps(manifest)}))
    _write_manifest(path, manifest)


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Floats]]:
    """Return the manifest and the tensors (float64) of a file; raises StoreError for a file of another kind."""
    if not path.is_file():
        raise StoreError(
            f"there is no file '{path}'", "a .safetensors file of 'layeratlas direction'", "check the path"
        )
    try:
        with safe_open(path, framework="np") as file:
            tensors = {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}  # noqa: SIM118
            return json.loads(file.metadata()[_MANIFEST]), tensors
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise no_direction(path) from error


def no_direction(path: object) -> StoreError:
    """Return the error for a file that holds no direction."""
    return StoreError(
        f"'{path}' holds no direction", "a .safetensors file of 'layeratlas direction'", "save it again as .safetensors"
    )


def write_control_vector(path: Path, manifest: Mapping[str, Any], block: int, vector: Floats) -> None:
    """Write a control vector with one direction, which llama.cpp adds to the output of a block."""
    from gguf import GGUFWriter

    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "direction.gguf"
        writer = GGUFWriter(part, "controlvector")
        writer.add_string("controlvector.model_hint", str(manifest["source"]["family"]))
        writer.add_uint32("controlvector.layer_count", 1)
        writer.add_string(f"layeratlas.{_MANIFEST}", json.dumps(manifest))
        writer.add_tensor(f"direction.{block}", np.ascontiguousarray(vector, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        write_atomic(path, part.read_bytes())
    _write_manifest(path, manifest)


def _write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write a file's manifest, with the file's digest, to `FILE.json`."""
    write_json(path.with_name(f"{path.name}.json"), {"format": _FORMAT, **manifest, "sha256": digest_of(path)})
