"""Whether a model's weights stay in memory or are streamed from its files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.models.checkpoint import Checkpoint
from layeratlas.models.precision import dtype_of
from layeratlas.models.sources import Source

_FILES = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]
_NOT = ["original/*", "consolidated*"]


def find_weights(source: Source, spec: ModelSpec, where: dict[str, Any]) -> Checkpoint | None:
    """Return a model's safetensors files; None for a GGUF file that has no dequantised copy in the cache.

    Downloads a hub model that is not cached yet. Raises ModelError if streaming was requested and the weights cannot be
    streamed.
    """
    if source.kind == "hub":
        return Checkpoint(_snapshot(source, spec, bool(where.get("local_files_only"))))
    if "gguf_file" not in where:
        return Checkpoint(Path(where["pretrained_model_name_or_path"]))
    if spec.weights == "streamed":
        raise ModelError(
            f"'{spec.id}' is streamed from its dequantised copy, which could not be cached",
            "room in the cache",
            "set LAYERATLAS_CACHE to a disk with room",
        )
    return None


def is_downloaded(source: Source, spec: ModelSpec) -> bool:
    """Return whether every safetensors file of a hub model is on this machine."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        Checkpoint(_snapshot(source, spec, offline=True))
    except (LocalEntryNotFoundError, ModelError):
        return False
    return True


def _snapshot(source: Source, spec: ModelSpec, offline: bool) -> Path:
    from huggingface_hub import snapshot_download

    return Path(
        snapshot_download(
            source.place, revision=spec.revision, allow_patterns=_FILES, ignore_patterns=_NOT, local_files_only=offline
        )
    )


def is_streamed(spec: ModelSpec, checkpoint: Checkpoint, room: int) -> bool:
    """Return whether to stream: as the spec says, or, by default, if the weights in their dtype exceed `room` (bytes).

    Quantised weights stay resident, since they can only be unpacked for the whole model. Raises ModelError if streaming
    was requested for a quantised model.
    """
    if spec.weights == "resident":
        return False
    if is_quantised(checkpoint.folder):
        if spec.weights == "streamed":
            raise ModelError(f"'{spec.id}' is quantised", "plain weights to stream", "use --weights resident")
        return False
    size = checkpoint.numbers * dtype_of(spec.dtype).itemsize
    return spec.weights == "streamed" or size > room


def is_quantised(folder: Path) -> bool:
    """Return whether the config in a model's directory declares quantised weights."""
    return bool(quantisation_config(folder))


def quantisation_config(folder: Path) -> dict[str, Any]:
    """Return the quantisation settings in a model directory's config; empty if there are none."""
    from transformers import PretrainedConfig

    found = PretrainedConfig.get_config_dict(folder)[0].get("quantization_config")
    return found if isinstance(found, dict) else {}
