"""What a GGUF file says of rotary dimensions and heads where transformers' mapping does not reach the config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layeratlas.core.errors import ModelError

_PARTIAL = "partial_rotary_factor"


def refused(path: Path, key: str, value: Any) -> ModelError:
    """Return the refusal of metadata that no config holds."""
    return ModelError(
        f"'{path}' sets {key} to {value}, which transformers does not apply",
        "metadata that the config can hold",
        "use the model's safetensors",
    )


def apply_rotary(path: Path, config: Any, metadata: Mapping[str, Any]) -> None:
    """Set how many dimensions of a head are rotated, and the base of their frequencies, as the file says.

    Without a number a file rotates whole heads, as llama.cpp does. Raises ModelError where the config cannot hold it.
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
    """Set what the mapping of Falcon misses: the MLP's width, biases, the epsilon of the norms.

    Raises ModelError for files of several key heads, whose fused queries llama.cpp reorders and transformers does not.
    """
    heads = int(metadata.get("attention.head_count_kv", 1))
    if heads != 1 or "blk.0.attn_norm_2.weight" in names:
        raise refused(path, "attention.head_count_kv", heads)
    config.ffn_hidden_size = int(metadata.get("feed_forward_length", config.ffn_hidden_size))
    config.bias = "blk.0.attn_qkv.bias" in names
