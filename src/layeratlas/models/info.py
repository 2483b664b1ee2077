"""Describe a loaded model as a JSON-able record for `run.json`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layeratlas.core.spec import ModelSpec
from layeratlas.models.files import hashes
from layeratlas.models.gguf_cache import Unpacked
from layeratlas.models.hub import snapshot_hashes
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.sources import Source
from layeratlas.models.tokenizing import appends_eos


@dataclass(frozen=True)
class Hashes:
    """SHA-256 of each of a model's `files`, by name (for a hub model, at its revision), and of its `tokenizer`."""

    files: dict[str, str]
    tokenizer: str


def hashes_of(source: Source, unpacked: Unpacked | None, bare: LoadedModel, anew: bool = False) -> Hashes:
    """Return the hashes of a model's files (including an adapter's) and of its tokenizer; `anew` as for `digest`."""
    files = _files(source, unpacked, bare.spec.revision, anew) | _adapter_files(bare.spec, anew)
    return Hashes(files, tokenizer_hash(bare.tokenizer))


def describe(loaded: LoadedModel, source: Source, unpacked: Unpacked | None, made_from: Hashes) -> dict[str, Any]:
    """Return identity, size, tokenizer, numeric settings and file hashes of a loaded model."""
    model, config, bos = loaded.model, loaded.model.config, loaded.bos_id
    return {
        "id": loaded.spec.id,
        "name": _name(loaded.spec, source),
        "source": source.kind,
        "class": type(model).__name__,
        "family": config.model_type,
        "revision": getattr(config, "_commit_hash", None) or loaded.spec.revision,
        "layers": loaded.anatomy.n_layers,
        "width": loaded.anatomy.width,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "vocabulary": int(config.get_text_config().vocab_size),
        "context": loaded.context,
        "dtype": loaded.spec.dtype,
        "attention": config._attn_implementation,
        "device": str(loaded.device),
        "weights": "streamed" if loaded.streamer else "remote" if loaded.remote else "resident",
        "processes": loaded.spec.parallel,
        "bos": _bos_policy(loaded),
        "bos_id": bos,
        "eos": "none appended" + (", though the tokenizer itself does" if appends_eos(loaded.tokenizer) else ""),
        "tokenizer_hash": made_from.tokenizer,
        "chat": None if loaded.chat is None else loaded.chat.record(),
        "quantisation": _quantisation(loaded, source, unpacked),
        "files": made_from.files,
    }


def _name(spec: ModelSpec, source: Source) -> str:
    """Return the model's name, with its revision if one was given: two revisions are two models."""
    return f"{source.name} {spec.revision}" if source.kind == "hub" and spec.revision else source.name


def _bos_policy(loaded: LoadedModel) -> str:
    bos = loaded.bos_id
    if loaded.chat is not None:
        return "as the chat template writes it, none prepended"
    if bos is not None:
        return f"one {loaded.tokenizer.convert_ids_to_tokens(bos)} prepended to every text"
    reasons = {"never": " (bos='never')", "tokenizer": " (bos='tokenizer': it prepends none itself)"}
    return "none prepended" + reasons.get(loaded.spec.bos, ": the tokenizer has none")


def tokenizer_hash(tokenizer: Any) -> str:
    """Return a SHA-256 of the tokenizer's vocabulary and rules."""
    if tokenizer.is_fast:
        text = tokenizer.backend_tokenizer.to_str()
    else:
        text = json.dumps(tokenizer.get_vocab(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _quantisation(loaded: LoadedModel, source: Source, unpacked: Unpacked | None) -> str:
    """Return how the checkpoint's weights are quantised, and whether the model keeps them so."""
    from transformers import PretrainedConfig

    spec = loaded.spec
    if unpacked is not None:
        return f"{unpacked.quantisation}, dequantised to {spec.dtype}"
    # When transformers dequantises (block FP8 without a GPU), it deletes the record from the model's config.
    stored = PretrainedConfig.get_config_dict(source.place, revision=spec.revision, local_files_only=True)[0]
    record = stored.get("quantization_config")
    if record is None:
        return "none"
    block = record.get("weight_block_size")
    shape = f" in blocks of {' x '.join(map(str, block))}" if block else ""
    kept = getattr(loaded.model.config, "quantization_config", None)
    settings = kept if isinstance(kept, dict) or kept is None else kept.to_dict()
    plain = settings is None or settings.get("dequantize")
    how = f"dequantised to {spec.dtype}" if plain else "kept as stored"
    return f"{record.get('quant_method', 'unknown method')}{shape}, {how}"


def _files(source: Source, unpacked: Unpacked | None, revision: str | None, anew: bool) -> dict[str, str]:
    if unpacked is not None:
        return {Path(source.place).name: unpacked.sha256}
    if source.kind == "directory":
        return hashes(Path(source.place), anew)
    return snapshot_hashes(source.place, revision, anew)


def _adapter_files(spec: ModelSpec, anew: bool) -> dict[str, str]:
    digests = {} if spec.adapter is None else hashes(Path(spec.adapter), anew)
    return {f"adapter/{name}": digest for name, digest in digests.items()}
