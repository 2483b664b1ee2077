"""Apply a GGUF file's rotary dimensions and Falcon settings, which transformers does not map to the config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layeratlas.core.errors import ModelError

_PARTIAL = "partial_rotary_factor"


def refused(path: Path, key: str, value: Any) -> ModelError:
    """Return the error for metadata that the config cannot express."""
    return ModelError(
        f"'{path}' sets {key} to {value}, which transformers does not apply",
        "metadata that the config can hold",
        "use the model's safetensors",
    )


def apply_rotary(path: Path, config: Any, metadata: Mapping[str, Any]) -> None:
    """Set the number of rotary dimensions per head and the base of their frequencies from the file.

    If the file gives no number, whole heads are rotated, as in llama.cpp. Raises ModelError if the config cannot
    express the number.
    """
    rope = getattr(config, "rope_parameters", None)
    if not isinstance(rope, dict) or any(isinstance(value, dict) for value in rope.values()):
        return
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    count = int(metadata.get("rope.dimension_count", head))
    if int(head * rope.get(_PARTIAL, 1.0)) != count and getattr(config, "rotary_dim", None) != count:
        if _PARTIAL not in rope:
            raise refused(path, "rope.dimension_count", count)
        rope[_PARTIAL] = count / head
    base = metadata.get("rope.freq_base")
    if base is not None and rope.get("rope_theta") != base:
        rope["rope_theta"] = float(base)


def apply_falcon(path: Path, config: Any, metadata: Mapping[str, Any], names: frozenset[str]) -> None:
    """Set the Falcon settings that transformers does not map: the width of the MLP and whether there are biases.

    Raises ModelError for files with several key heads: llama.cpp reorders their fused queries, transformers does not.
    """
    heads = int(metadata.get("attention.head_count_kv", 1))
    if heads != 1 or "blk.0.attn_norm_2.weight" in names:
        raise refused(path, "attention.head_count_kv", heads)
    config.ffn_hidden_size = int(metadata.get("feed_forward_length", config.ffn_hidden_size))
    config.bias = "blk.0.attn_qkv.bias" in names
