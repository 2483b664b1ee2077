"""GGUF files of tiny random models, whole or with one tensor or one key of metadata changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np

import families

Arrays = dict[str, np.ndarray]
# What a family is called in a GGUF file, and what its file says beside the sizes.
ARCHITECTURES = {
    "llama": "llama",
    "llama_tied": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "starcoder2": "starcoder2",
    "mistral": "llama",
    "phi3": "phi3",
    "gpt2": "gpt2",
    "bloom": "bloom",
    "lfm2": "lfm2",
    "stablelm": "stablelm",
    "nemotron": "nemotron",
    "gemma2": "gemma2",
    "falcon_parallel": "falcon",
}
# Gemma's tokenizer is no byte-level one, so that of its files only the config is read here.
LOADED = tuple(name for name in ARCHITECTURES if name != "gemma2")
LAYER_NORM = {"starcoder2", "gpt2", "bloom", "stablelm", "falcon_parallel"}
# Sizes under other names in the config, or under none.
INNER = {"lfm2": 256, "gpt2": 4 * families.WIDTH, "bloom": 4 * families.WIDTH, "falcon_parallel": 64}
KEYS = {"lfm2": [0, 2, 0], "falcon_parallel": 1}  # by block: those with attention
ALL_HEADS = {"gpt2", "bloom"}
# Of the 8 dimensions of a head.
ROTATED = {"stablelm": 4, "nemotron": 4}
HEAD_SIZED = {"qwen3": 8, "gemma2": 8}


def arrays_of(family: str) -> Arrays:
    """Return a family's random weights under their GGUF names, as transformers lays them out."""
    model = families.build(families.FAMILIES[family]())
    number = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == ARCHITECTURES[family])
    names = gguf.get_tensor_name_map(number, families.LAYERS)
    arrays = {}
    for parameter, weight in model.named_parameters():
        stem, kind = parameter.rsplit(".", 1)
        values = weight.detach().numpy()
        # GPT-2 stores its projections as (in, out), its file as (out, in).
        turned = family == "gpt2" and any(part in stem for part in ("c_attn", "c_proj", "c_fc")) and values.ndim == 2
        name = names.get_name(stem.removeprefix("transformer.") if family == "bloom" else stem)
        arrays[f"{name}.{kind}"] = (values.T if turned else values.squeeze()).copy()
    return arrays


def write(
    path: Path, family: str, arrays: Arrays | None = None, extra: Callable[[gguf.GGUFWriter], Any] | None = None
) -> Path:
    """Write a family's model; `extra` adds metadata."""
    size, config = families.LLAMA, families.FAMILIES[family]()
    writer = gguf.GGUFWriter(str(path), ARCHITECTURES[family])
    writer.add_block_count(families.LAYERS)
    writer.add_context_length(size["max_position_embeddings"])
    writer.add_embedding_length(families.WIDTH)
    writer.add_feed_forward_length(INNER.get(family) or config.intermediate_size)
    writer.add_head_count(families.HEADS)
    if family not in ALL_HEADS:
        writer.add_head_count_kv(KEYS.get(family) or config.num_key_value_heads)
    if family not in ALL_HEADS | {"lfm2"} and ROTATED.get(family, 8):
        writer.add_rope_dimension_count(ROTATED.get(family, 8))
    if family in HEAD_SIZED:
        writer.add_key_length(HEAD_SIZED[family])
        writer.add_value_length(HEAD_SIZED[family])
    if family in LAYER_NORM:
        writer.add_layer_norm_eps(1e-5)
    else:
        writer.add_layer_norm_rms_eps(1e-6)
    vocabulary = families.byte_tokenizer().get_vocab()
    spare = [f"<spare{i}>" for i in range(families.VOCAB - len(vocabulary) - 1)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*sorted(vocabulary, key=vocabulary.get), "te", *spare])
    writer.add_token_types([3, 3, 3] + [1] * (families.VOCAB - 3))
    writer.add_token_merges(["t e"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    if family == "lfm2":
        writer.add_shortconv_l_cache(config.conv_L_cache)
        writer.add_vocab_size(families.VOCAB)
        writer.add_rope_freq_base(1e6)
    if family == "phi3":  # its class has a padding token beyond this vocabulary
        writer.add_pad_token_id(2)
    if extra is not None:
        extra(writer)
    for name, values in (arrays_of(family) if arrays is None else arrays).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
