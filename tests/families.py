"""Tiny random models of many families, saved as directories, with every multiplier away from its neutral value."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

LAYERS, WIDTH, HEADS, VOCAB = 3, 32, 4, 300
Builder = Callable[[], Any]

# The names of the sizes differ by generation.
LLAMA = {
    "num_hidden_layers": LAYERS,
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": VOCAB,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
PLAIN = {key: value for key, value in LLAMA.items() if key != "head_dim"}
FULL_HEADS = {key: value for key, value in PLAIN.items() if key != "num_key_value_heads"}
IDS = {"vocab_size": VOCAB, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
GPT = {"n_layer": LAYERS, "n_embd": WIDTH, "n_head": HEADS, "n_positions": 64, **IDS}
MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
FALCON = {"num_hidden_layers": LAYERS, "hidden_size": WIDTH, "num_attention_heads": HEADS, "ffn_hidden_size": 64, **IDS}
OPT = {
    "num_hidden_layers": LAYERS,
    "hidden_size": WIDTH,
    "ffn_dim": 64,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 64,
    "word_embed_proj_dim": WIDTH,
    **IDS,
}
SLIDING = ["sliding_attention", "sliding_attention", "full_attention"]
GRANITE = {
    "residual_multiplier": 0.22,
    "embedding_multiplier": 12.0,
    "logits_scaling": 8.0,
    "attention_multiplier": 0.3,
}
MPT = {"n_layers": LAYERS, "d_model": WIDTH, "n_heads": HEADS, "max_seq_len": 64, "expansion_ratio": 2, **IDS}

STATE_SPACE = {
    "mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 2, "mamba_d_state": 8, "mamba_chunk_size": 8,
}  # fmt: skip

FAMILIES: dict[str, Builder] = {
    "llama": lambda: hf.LlamaConfig(**LLAMA),
    "llama_tied": lambda: hf.LlamaConfig(**LLAMA, tie_word_embeddings=True),
    "mistral": lambda: hf.MistralConfig(**LLAMA, sliding_window=8),
    "mixtral": lambda: hf.MixtralConfig(**LLAMA, num_local_experts=4, num_experts_per_tok=2, sliding_window=8),
    "qwen2": lambda: hf.Qwen2Config(**PLAIN),
    "qwen3": lambda: hf.Qwen3Config(**LLAMA),
    "qwen3_moe": lambda: hf.Qwen3MoeConfig(**LLAMA, **MOE, norm_topk_prob=True),
    "gemma": lambda: hf.GemmaConfig(**LLAMA),
    "gemma2": lambda: hf.Gemma2Config(
        **LLAMA,
        final_logit_softcapping=3.0,
        attn_logit_softcapping=2.0,
        query_pre_attn_scalar=16,
        sliding_window=8,
        layer_types=SLIDING,
    ),
    "gemma3": lambda: hf.Gemma3TextConfig(**LLAMA, sliding_window=8, query_pre_attn_scalar=16, layer_types=SLIDING),
    "phi": lambda: hf.PhiConfig(**PLAIN, partial_rotary_factor=0.5),
    "phi3": lambda: hf.Phi3Config(**PLAIN, sliding_window=8),
    "gpt2": lambda: hf.GPT2Config(**GPT),
    "gptj": lambda: hf.GPTJConfig(**GPT, rotary_dim=4),
    "gpt_neox": lambda: hf.GPTNeoXConfig(**FULL_HEADS, use_parallel_residual=True),
    "gpt_neox_sequential": lambda: hf.GPTNeoXConfig(**FULL_HEADS, use_parallel_residual=False),
    "gpt_neo": lambda: hf.GPTNeoConfig(
        num_layers=4, attention_types=[[["global", "local"], 2]], window_size=8, hidden_size=WIDTH, num_heads=HEADS,
        **IDS,
    ),
    "gpt_bigcode": lambda: hf.GPTBigCodeConfig(**GPT, multi_query=True),
    "bloom": lambda: hf.BloomConfig(n_layer=LAYERS, hidden_size=WIDTH, n_head=HEADS, **IDS),
    "falcon_new": lambda: hf.FalconConfig(**FALCON, new_decoder_architecture=True, num_kv_heads=2),
    "falcon_parallel": lambda: hf.FalconConfig(**FALCON, new_decoder_architecture=False, multi_query=True),
    "falcon_sequential": lambda: hf.FalconConfig(
        **FALCON, new_decoder_architecture=False, multi_query=False, parallel_attn=False, alibi=True, bias=True
    ),
    "opt": lambda: hf.OPTConfig(**OPT),
    "opt_projected": lambda: hf.OPTConfig(**{**OPT, "word_embed_proj_dim": 16}),
    "mpt": lambda: hf.MptConfig(**MPT, logit_scale=0.5),
    "stablelm": lambda: hf.StableLmConfig(**PLAIN, partial_rotary_factor=0.5),
    "stablelm_parallel": lambda: hf.StableLmConfig(**PLAIN, use_parallel_residual=True, qk_layernorm=True),
    "starcoder2": lambda: hf.Starcoder2Config(**PLAIN, sliding_window=8),
    "olmo": lambda: hf.OlmoConfig(**PLAIN, clip_qkv=1.0),
    "olmo2": lambda: hf.Olmo2Config(**PLAIN),
    "olmo3": lambda: hf.Olmo3Config(**PLAIN, sliding_window=8, layer_types=SLIDING),
    "olmoe": lambda: hf.OlmoeConfig(**PLAIN, num_experts=4, num_experts_per_tok=2),
    "granite": lambda: hf.GraniteConfig(**PLAIN, **GRANITE),
    "granite_moe": lambda: hf.GraniteMoeConfig(**PLAIN, **GRANITE, num_local_experts=4, num_experts_per_tok=2),
    "granite_moe_shared": lambda: hf.GraniteMoeSharedConfig(
        **PLAIN, **GRANITE, num_local_experts=4, num_experts_per_tok=2, shared_intermediate_size=48
    ),
    "cohere": lambda: hf.CohereConfig(**PLAIN, logit_scale=0.25),
    "cohere2": lambda: hf.Cohere2Config(**PLAIN, logit_scale=0.25, sliding_window=8, layer_types=SLIDING),
    "glm": lambda: hf.GlmConfig(**LLAMA),
    "glm4": lambda: hf.Glm4Config(**LLAMA),
    "nemotron": lambda: hf.NemotronConfig(**PLAIN),
    "smollm3": lambda: hf.SmolLM3Config(**PLAIN, no_rope_layers=[1, 1, 0]),
    "ernie4_5": lambda: hf.Ernie4_5Config(**LLAMA),
    "exaone4": lambda: hf.Exaone4Config(**PLAIN, sliding_window=8, layer_types=SLIDING),
    "deepseek_v3": lambda: hf.DeepseekV3Config(
        **FULL_HEADS, num_key_value_heads=HEADS, first_k_dense_replace=1, n_routed_experts=4, num_experts_per_tok=2,
        moe_intermediate_size=32, n_group=2, topk_group=1, q_lora_rank=16, kv_lora_rank=16, qk_rope_head_dim=4,
        qk_nope_head_dim=4, v_head_dim=8,
    ),
    "gpt_oss": lambda: hf.GptOssConfig(
        **LLAMA, num_local_experts=4, num_experts_per_tok=2, sliding_window=8, layer_types=SLIDING
    ),
    "llama4": lambda: hf.Llama4TextConfig(
        **LLAMA, num_local_experts=2, intermediate_size_mlp=64, interleave_moe_layer_step=2, attention_chunk_size=8
    ),
    "nanochat": lambda: hf.NanoChatConfig(**PLAIN),
    "jamba": lambda: hf.JambaConfig(
        **PLAIN, attn_layer_period=2, attn_layer_offset=1, num_experts=2, use_mamba_kernels=False
    ),
    "qwen3_next": lambda: hf.Qwen3NextConfig(
        **LLAMA, **MOE, shared_expert_intermediate_size=32, linear_num_key_heads=2, linear_num_value_heads=4,
        linear_key_head_dim=8, linear_value_head_dim=8,
        layer_types=["linear_attention", "full_attention", "linear_attention"],
    ),
    "modernbert_decoder": lambda: hf.ModernBertDecoderConfig(
        **FULL_HEADS, cls_token_id=0, sep_token_id=1, layer_types=SLIDING[::-1], local_attention=16
    ),
    "lfm2": lambda: hf.Lfm2Config(**PLAIN, layer_types=["conv", "full_attention", "conv"]),
    "mamba": lambda: hf.MambaConfig(num_hidden_layers=LAYERS, hidden_size=WIDTH, state_size=8, **IDS),
    "mamba2": lambda: hf.Mamba2Config(
        num_hidden_layers=LAYERS, hidden_size=WIDTH, state_size=8, num_heads=8, head_dim=8, n_groups=2, chunk_size=8,
        **IDS,
    ),
    "falcon_h1": lambda: hf.FalconH1Config(
        **LLAMA, **STATE_SPACE, mamba_d_ssm=64, attention_in_multiplier=0.9, attention_out_multiplier=0.7,
        ssm_in_multiplier=0.8, ssm_out_multiplier=0.6, mlp_multipliers=[0.9, 0.5], key_multiplier=0.7,
        lm_head_multiplier=0.3, embedding_multiplier=2.0,
    ),
    "bamba": lambda: hf.BambaConfig(**PLAIN, **STATE_SPACE, attn_layer_indices=[1]),
    "zamba2": lambda: hf.Zamba2Config(
        **FULL_HEADS, num_key_value_heads=HEADS, mamba_d_state=8, mamba_headdim=8, n_mamba_heads=8, mamba_ngroups=2,
        chunk_size=8, layers_block_type=["mamba", "hybrid", "mamba"], adapter_rank=4, num_mem_blocks=1,
    ),
    "nemotron_h": lambda: hf.NemotronHConfig(
        **PLAIN, layers_block_type=["mamba", "mlp", "attention"], mamba_num_heads=8, mamba_head_dim=8,
        ssm_state_size=8, n_groups=2, chunk_size=8,
    ),
    "recurrent_gemma": lambda: hf.RecurrentGemmaConfig(
        **{key: value for key, value in LLAMA.items() if key != "max_position_embeddings"}, lru_width=WIDTH,
        attention_window_size=8, block_types=["recurrent", "recurrent", "attention"],
    ),
    "olmo_hybrid": lambda: hf.OlmoHybridConfig(
        **PLAIN, layer_types=["linear_attention", "linear_attention", "full_attention"]
    ),
}  # fmt: skip
# Blocks with a state-space or other recurrent mixer, some beside blocks with attention.
RECURRENT = (
    "jamba", "qwen3_next", "lfm2", "mamba", "mamba2", "falcon_h1", "bamba", "zamba2", "nemotron_h", "recurrent_gemma",
    "olmo_hybrid",
)  # fmt: skip

# Models whose stream is no sum of two contributions, or that are not causal decoders of that kind.
REFUSED: dict[str, Builder] = {
    "opt_post_norm": lambda: hf.OPTConfig(**OPT, do_layer_norm_before=False),
    "bloom_post_norm": lambda: hf.BloomConfig(
        n_layer=LAYERS, hidden_size=WIDTH, n_head=HEADS, apply_residual_connection_post_layernorm=True, **IDS
    ),
    "rwkv": lambda: hf.RwkvConfig(
        num_hidden_layers=LAYERS, hidden_size=WIDTH, attention_hidden_size=WIDTH, context_length=64, **IDS
    ),
    "minimax": lambda: hf.MiniMaxConfig(
        **LLAMA,
        num_local_experts=4,
        num_experts_per_tok=2,
        block_size=8,
        layer_types=["linear_attention", "full_attention", "linear_attention"],
    ),
    "bert": lambda: hf.BertConfig(**FULL_HEADS, is_decoder=False),
}


def build(config: Any, seed: int = 0) -> Any:
    """Return a random model whose norms, biases and sublayers are all far from their starting values."""
    torch.manual_seed(seed)
    model = hf.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() >= 2:
                weight.normal_(0.0, weight.shape[-1] ** -0.5)
            else:
                weight.add_(torch.randn_like(weight) * 0.2)
    return model.eval()


def byte_tokenizer(bos: bool = True) -> Any:
    """Return a fast byte-level tokenizer of 259 tokens, with or without a BOS token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<s>", "</s>", "<pad>", *letters])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = {"eos_token": "</s>", "pad_token": "<pad>"} | ({"bos_token": "<s>"} if bos else {})
    return hf.PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def save(folder: Path, config: Any, bos: bool = True, seed: int = 0, shard: str = "5GB") -> Path:
    """Write a tiny random model (in files of at most `shard`) and its tokenizer to `folder`, ready for `load`."""
    build(config, seed).save_pretrained(folder, max_shard_size=shard)
    byte_tokenizer(bos).save_pretrained(folder)
    return folder


def shared_folder() -> Path:
    """Return the folder of real models and data kept outside the repository; it may not exist."""
    default = Path(__file__).resolve().parents[2] / "shared"
    return Path(os.environ.get("LAYERATLAS_SHARED", default))
