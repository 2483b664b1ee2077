"""Tiny random multimodal models, whose language models are measured on text alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as hf
from transformers.models.auto import modeling_auto

from families import FULL_HEADS, LLAMA, MOE, OPT, PLAIN, SLIDING, WIDTH, Builder, byte_tokenizer

ENCODER = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
CLIP = {"model_type": "clip_vision_model", "projection_dim": 16, **ENCODER}
SIGLIP = {"model_type": "siglip_vision_model", **ENCODER}
QWEN_ENCODER = {"depth": 2, "hidden_size": 16, "out_hidden_size": WIDTH, "num_heads": 2, "intermediate_size": 32}
PIECES = {**ENCODER, "image_size": [28, 28], "patch_size": [14, 14]}
SOUND = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "head_dim": 8}
THREE_AXES = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
COHERE = {"model_type": "cohere2", **PLAIN, "logit_scale": 0.25, "sliding_window": 8, "layer_types": SLIDING}
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
}


def text(kind: str, **more: Any) -> dict[str, Any]:
    return {"model_type": kind, **LLAMA, **more}


WRAPPERS: dict[str, Builder] = {
    "qwen2_vl": lambda: hf.Qwen2VLConfig(
        text_config={**PLAIN, "rope_scaling": THREE_AXES},
        vision_config={"depth": 2, "embed_dim": 16, "hidden_size": WIDTH, "num_heads": 2},
    ),
    "qwen2_5_vl": lambda: hf.Qwen2_5_VLConfig(
        text_config={**PLAIN, "rope_scaling": THREE_AXES}, vision_config={**QWEN_ENCODER, "fullatt_block_indexes": [1]}
    ),
    "qwen3_vl": lambda: hf.Qwen3VLConfig(
        text_config={**LLAMA, "rope_scaling": {**THREE_AXES, "mrope_interleaved": True}},
        vision_config={**QWEN_ENCODER, "deepstack_visual_indexes": [0]},
    ),
    "qwen3_vl_moe": lambda: hf.Qwen3VLMoeConfig(
        text_config={**LLAMA, **MOE, "rope_scaling": {**THREE_AXES, "mrope_interleaved": True}},
        vision_config={**QWEN_ENCODER, "deepstack_visual_indexes": [0]},
    ),
    "qwen3_5": lambda: hf.Qwen3_5Config(text_config={**LLAMA, **LINEAR}, vision_config=QWEN_ENCODER),
    "llava": lambda: hf.LlavaConfig(text_config=text("llama"), vision_config=CLIP),
    "llava_next": lambda: hf.LlavaNextConfig(
        text_config=text("mistral", sliding_window=8), vision_config=CLIP, image_grid_pinpoints=[[28, 28]]
    ),
    "llava_onevision": lambda: hf.LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **PLAIN}, vision_config=SIGLIP, image_grid_pinpoints=[[28, 28]]
    ),
    "mistral3": lambda: hf.Mistral3Config(
        text_config=text("mistral"), vision_config={"model_type": "pixtral", **ENCODER}
    ),
    "gemma3": lambda: hf.Gemma3Config(
        text_config={**LLAMA, "sliding_window": 8, "query_pre_attn_scalar": 16, "layer_types": SLIDING},
        vision_config=SIGLIP,
        mm_tokens_per_image=4,
    ),
    "internvl": lambda: hf.InternVLConfig(text_config={"model_type": "qwen2", **PLAIN}, vision_config=PIECES),
    "idefics3": lambda: hf.Idefics3Config(text_config=text("llama"), vision_config=ENCODER),
    "cohere2_vision": lambda: hf.Cohere2VisionConfig(text_config=COHERE, vision_config=SIGLIP),
    "llama4": lambda: hf.Llama4Config(
        text_config={
            **LLAMA, "num_local_experts": 2, "intermediate_size_mlp": 64, "interleave_moe_layer_step": 2,
            "attention_chunk_size": 8,
        },
        vision_config={**ENCODER, "vision_output_dim": 16, "projector_input_dim": 16, "projector_output_dim": 16},
    ),
    "glm4v": lambda: hf.Glm4vConfig(text_config={**PLAIN, "rope_scaling": THREE_AXES}, vision_config=QWEN_ENCODER),
    "fuyu": lambda: hf.FuyuConfig(**FULL_HEADS, text_config={"model_type": "persimmon", **FULL_HEADS}, patch_size=4),
    "voxtral": lambda: hf.VoxtralConfig(text_config=text("llama"), audio_config=SOUND),
}  # fmt: skip

# With the reason that the refusal names.
REFUSED: dict[str, tuple[Builder, str]] = {
    "paligemma": (
        lambda: hf.PaliGemmaConfig(text_config=text("gemma"), vision_config=SIGLIP),
        "failed the self-test 'causality'",  # a prompt is read in both directions
    ),
    "mllama": (
        lambda: hf.MllamaConfig(
            text_config={**PLAIN, "num_hidden_layers": 4, "cross_attention_layers": [1]},
            vision_config={
                "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "attention_heads": 2,
                "num_global_layers": 1, "vision_output_dim": 32, "intermediate_layers_indices": [0],
                "image_size": 28, "patch_size": 14, "supported_aspect_ratios": [[1, 1]],
            },
        ),
        "blocks run on text alone",
    ),
    "blip-2": (
        lambda: hf.Blip2Config(
            text_config={"model_type": "opt", **OPT},
            vision_config=ENCODER,
            qformer_config={
                "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
            },
        ),
        "does not run on text alone",
    ),
}  # fmt: skip


def build(config: Any, seed: int = 0) -> Any:
    """Return a random multimodal model of the class that transformers has for it, all norms and biases away from 0."""
    torch.manual_seed(seed)
    kind = getattr(hf, modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES[config.model_type])
    config.architectures = [kind.__name__]
    model = kind._from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() >= 2:
                weight.normal_(0.0, weight.shape[-1] ** -0.5)
            else:
                weight.add_(torch.randn_like(weight) * 0.2)
    return model.eval()


def save(folder: Path, config: Any) -> Path:
    """Write a tiny random multimodal model and a tokenizer to `folder`, ready for `load`."""
    build(config).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder
