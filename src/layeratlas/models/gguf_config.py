"""Turn a GGUF file's metadata into a config: apply what transformers drops, or refuse the file and name the key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from layeratlas.models.gguf_shapes import apply_falcon, apply_rotary, refused
from layeratlas.models.gguf_tensors import demand_whole

# Metadata keys that transformers does not map, and their names in the config.
_APPLIED = {
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
    "attention.sliding_window": "sliding_window",
    "attention.key_length": "head_dim",
    "attention.value_length": "head_dim",
    "attention.clamp_kqv": "clip_qkv",
    "logit_scale": "logit_scale",
    "use_parallel_residual": "use_parallel_residual",
    "expert_count": "num_local_experts",
    "expert_used_count": "num_experts_per_tok",
    "expert_feed_forward_length": "moe_intermediate_size",
    "expert_shared_feed_forward_length": "shared_expert_intermediate_size",
    "expert_weights_norm": "norm_topk_prob",
}
# The families' names for the epsilon of their norms and for the context length.
_NAMES = {
    "attention.layer_norm_epsilon": ("layer_norm_epsilon", "layer_norm_eps", "norm_eps", "norm_epsilon"),
    "attention.layer_norm_rms_epsilon": ("rms_norm_eps", "norm_eps", "layer_norm_epsilon"),
    "context_length": ("max_position_embeddings", "n_positions", "seq_length"),
}
_NEUTRAL = {"attention.causal": True, "expert_count": 0, "expert_used_count": 0, "rope.scaling.finetuned": None}
_ROPE = "rope.scaling."
_YARN = {"yarn_beta_fast": "beta_fast", "yarn_beta_slow": "beta_slow"}
_PLAIN_YARN = {"yarn_ext_factor": 1.0, "yarn_attn_factor": 1.0, "attn_factor": 1.0, "yarn_log_multiplier": 0.1}


def read_gguf_config(path: Path) -> Any:
    """Return the config of a GGUF file with its rope scaling, factors, softcaps and context.

    Raises ModelError for a split file, and for metadata that the architecture's config cannot express (the error names
    the key).
    """
    from gguf import GGUFReader
    from transformers import AutoConfig

    demand_whole(path)
    reader = GGUFReader(path)
    architecture = str(reader.fields["general.architecture"].contents())
    metadata = {
        key.removeprefix(f"{architecture}."): field.contents()
        for key, field in reader.fields.items()
        if key.startswith(f"{architecture}.")
    }
    config = AutoConfig.from_pretrained(str(path.parent), gguf_file=path.name)
    mapped = _mapped(architecture, reader)
    for key, value in metadata.items():
        if key in mapped or key.startswith(_ROPE) or (key in _NEUTRAL and _NEUTRAL[key] in (None, value)):
            continue
        _apply(path, config, key, value)
    if config.model_type == "mistral" and "attention.sliding_window" not in metadata:
        config.sliding_window = None  # the class's default holds for one checkpoint only
    factors = {
        t.name: np.array(t.data, np.float64).ravel().tolist() for t in reader.tensors if t.name.startswith("rope_f")
    }
    if config.model_type == "falcon":
        apply_falcon(path, config, metadata, frozenset(tensor.name for tensor in reader.tensors))
    apply_rotary(path, config, metadata)
    _apply_rope(path, config, metadata, factors)
    return config


class _Recorder(dict[str, Any]):
    """Metadata that records which keys are read."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.asked.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


def _mapped(architecture: str, reader: Any) -> set[str]:
    """Return the keys that transformers puts into the config itself; keys that it reads but ignores are shapes."""
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
    from transformers.integrations.gguf.gguf_config_mapping import GGUF_CONFIG_ARCHS

    if architecture in GGUF_CONFIG_ARCHS:
        metadata = _Recorder({key: field.contents() for key, field in reader.fields.items()})
        GGUF_CONFIG_ARCHS[architecture](metadata, tuple(tensor.name for tensor in reader.tensors))
        return {key.removeprefix(f"{architecture}.") for key in metadata.asked} | {"vocab_size"}
    names = {"qwen2moe": "qwen2_moe", "qwen3moe": "qwen3_moe", "gpt-oss": "gpt_oss", "minimax-m2": "minimax_m2"}
    mapping = GGUF_CONFIG_MAPPING.get(names.get(architecture, architecture), {})
    # transformers writes GPT-2's context length to a field that the config ignores. A wrong length of the MLP shows in
    # the shapes of its tensors.
    known = {*mapping, "vocab_size", "rope.dimension_count", "feed_forward_length"}
    return known - ({"context_length"} if architecture == "gpt2" else set())


def _apply(path: Path, config: Any, key: str, value: Any) -> None:
    names = _NAMES.get(key) or (_APPLIED.get(key, ""),)
    name = next((name for name in names if name and hasattr(config, name)), None)
    if name is None and key == "context_length":
        name = "max_seq_len"  # ALiBi sets no bound (BLOOM); keep the file's
    if name is None:
        raise refused(path, key, value)
    setattr(config, name, value)


def _apply_rope(path: Path, config: Any, metadata: Mapping[str, Any], factors: Mapping[str, list[float]]) -> None:
    scaling = {key.removeprefix(_ROPE): value for key, value in metadata.items() if key.startswith(_ROPE)}
    kind = str(scaling.get("type", "none"))
    original = scaling.get("original_context_length")
    rope = dict(getattr(config, "rope_parameters", None) or {})
    if factors:
        both = factors.get("rope_freqs.weight")
        rope |= {
            "rope_type": "longrope",  # with the same factors at every length, it divides each frequency by its own
            "short_factor": factors.get("rope_factors_short.weight", both),
            "long_factor": factors.get("rope_factors_long.weight", both),
            "attention_factor": float(scaling.get("attn_factor", 1.0)),
            "original_max_position_embeddings": int(original or config.max_position_embeddings),
        }
        if both is None and original is None:
            raise refused(path, "rope factors", "long and short without an original context")
        config.original_max_position_embeddings = rope["original_max_position_embeddings"]
    elif kind == "linear":
        rope |= {"rope_type": "linear", "factor": float(scaling["factor"])}
    elif kind == "yarn":
        odd = next((k for k, v in _PLAIN_YARN.items() if k in scaling and not np.isclose(scaling[k], v)), None)
        if odd is not None:
            raise refused(path, _ROPE + odd, scaling[odd])
        rope |= {"rope_type": "yarn", "factor": float(scaling["factor"])}
        rope |= {name: float(scaling[key]) for key, name in _YARN.items() if key in scaling}
        rope["original_max_position_embeddings"] = int(original or config.max_position_embeddings)
    elif kind != "none" and not (kind == "longrope" and float(scaling.get("factor", 1.0)) == 1.0):
        raise refused(path, f"{_ROPE}type", kind)
    if rope != (getattr(config, "rope_parameters", None) or {}):
        if getattr(config, "rope_parameters", None) is None:
            raise refused(path, "rope scaling", kind)
        config.rope_parameters = rope
