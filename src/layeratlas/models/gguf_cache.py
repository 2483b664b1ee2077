"""GGUF weights, dequantised once to a cached fp32 directory; incomplete directories are rebuilt."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layeratlas.core.cache import cache_root
from layeratlas.core.errors import ModelError
from layeratlas.core.progress import Progress
from layeratlas.core.spec import hash_of
from layeratlas.core.versions import version_of
from layeratlas.models.accounting import demand_complete, demand_used
from layeratlas.models.files import digest, hashes
from layeratlas.models.gguf_config import read_gguf_config
from layeratlas.models.gguf_tensors import demand_gguf
from layeratlas.models.sources import Source

MARKER = "layeratlas-gguf.json"
_FORMAT = 3


@dataclass(frozen=True)
class Unpacked:
    """Where to read a GGUF file's weights in full precision: arguments for `from_pretrained`, and a description."""

    where: dict[str, str]
    sha256: str
    quantisation: str


def unpack(source: Source, progress: Progress, anew: bool = False) -> Unpacked:
    """Return where to read a dequantised GGUF file: an fp32 directory in the cache, built on first use.

    The directory is keyed by the file's SHA-256 and the versions of the converting libraries. It is written under a
    temporary name, checksummed and renamed; one with wrong checksums (read again as by `digest`) is rebuilt. If the
    cache cannot be written or the disk is too full, the result points to the GGUF file itself, which is then unpacked
    at each start.
    """
    gguf = Path(source.place)
    sha256 = digest(gguf, anew)
    key = {
        "format": _FORMAT,
        "gguf": sha256,
        "versions": {name: version_of(name) for name in ("torch", "transformers", "gguf")},
    }
    folder = cache_root() / "gguf" / f"{gguf.stem}-{hash_of(key)}"
    marker = _trusted(folder, anew)
    if marker is None and (why := _no_room(folder.parent, gguf)):
        progress.note(f"{gguf.name} is dequantised at every start: {why}")
        return Unpacked(gguf_where(gguf), sha256, quantisation(gguf))
    if marker is None:
        progress.note(f"dequantising {gguf.name} once; later starts read {folder}")
        _build(gguf, folder, key)
        marker = _trusted(folder, anew)
    if marker is None:
        raise ModelError(f"the cache '{folder}' does not hold what was written to it", "a sound disk", "check it")
    return Unpacked({"pretrained_model_name_or_path": str(folder)}, sha256, marker["quantisation"])


def gguf_where(path: Path) -> dict[str, str]:
    """Return the `from_pretrained` arguments that read a GGUF file directly."""
    return {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}


def _no_room(parent: Path, gguf: Path) -> str:
    """Return why the cache cannot be built, or ''. A file with 2 bits per weight grows 16-fold in fp32."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=parent):
            free = shutil.disk_usage(parent).free
    except OSError as error:
        return f"the cache cannot be written ({error.strerror or error}); set LAYERATLAS_CACHE"
    need = 16 * gguf.stat().st_size
    return (
        ""
        if free > need
        else f"the cache's disk has {free / 1e9:.1f} GB free of {need / 1e9:.1f} GB; set LAYERATLAS_CACHE"
    )


def _trusted(folder: Path, anew: bool) -> dict[str, Any] | None:
    try:
        marker: dict[str, Any] = json.loads((folder / MARKER).read_text())
        whole = bool(marker["files"]) and all(digest(folder / name, anew) == h for name, h in marker["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return marker if whole else None


def _build(gguf: Path, folder: Path, key: dict[str, Any]) -> None:
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        convert(gguf, aside)
        marker = {**key, "source": gguf.name, "quantisation": quantisation(gguf), "files": hashes(aside)}
        (aside / MARKER).write_text(json.dumps(marker, indent=1))
        if folder.exists():
            shutil.rmtree(folder)
        try:
            aside.rename(folder)
        except OSError:
            # Another process finished the same directory first; the caller verifies its checksums.
            if not folder.exists():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def convert(gguf: Path, folder: Path) -> None:
    """Write a GGUF file's weights (fp32 safetensors), config and fast tokenizer to a directory.

    Raises ModelError if the file lacks a weight or holds a tensor that the model does not use.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = gguf_where(gguf)
    AutoTokenizer.from_pretrained(**place).save_pretrained(folder)
    model, report = AutoModelForCausalLM.from_pretrained(
        **place, config=read_gguf_config(gguf), dtype=torch.float32, output_loading_info=True, **dense()
    )
    demand_complete(str(gguf), model, report["missing_keys"])
    demand_used(str(gguf), model, report["unexpected_keys"])
    demand_gguf(gguf, model)
    model.save_pretrained(folder)


def dense() -> dict[str, Any]:
    """Return the arguments that make transformers unpack GGUF weights; older versions always do."""
    try:
        from transformers.utils.quantization_config import GgufConfig
    except ImportError:
        return {}
    return {"quantization_config": GgufConfig(dequantize=True)}


def quantisation(gguf: Path) -> str:
    """Return a GGUF file's quantisation in words: the types of its tensors, by share of the weights."""
    from gguf import GGUFReader

    sizes: Counter[str] = Counter()
    for tensor in GGUFReader(gguf).tensors:
        sizes[tensor.tensor_type.name] += int(tensor.n_elements)
    whole = sum(sizes.values())
    shares = [f"{name} ({size / whole:.0%})" for name, size in sizes.most_common() if size / whole >= 0.005]
    return "GGUF " + ", ".join(shares)
