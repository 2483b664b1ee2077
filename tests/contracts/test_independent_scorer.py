"""The last exit is what plain transformers gives, one forward pass per choice, past every window and switch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import transformers as hf
from safetensors.numpy import load_file

import families
import small_runs

# Tokens at which a config changes what a model does: all texts but one go on far beyond them.
SWITCH = 24
HALF = families.WIDTH // families.HEADS // 2
LONG = {"max_position_embeddings": 512}
BYTES = {**families.LLAMA, **LONG}
PLAIN = {**families.PLAIN, **LONG}


def rope(kind: str, **settings: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **settings}}


def named(family: str) -> Any:
    return families.FAMILIES[family]()


ORIGINAL = {"original_max_position_embeddings": SWITCH}
CONFIGS: dict[str, Any] = {
    # sliding windows of 8, in all layers or in some
    "mistral": named, "mixtral": named, "gemma2": named, "gemma3": named, "phi3": named, "starcoder2": named,
    "olmo3": named, "cohere2": named, "exaone4": named,
    "qwen2 window": lambda _: hf.Qwen2Config(**PLAIN, use_sliding_window=True, sliding_window=8, max_window_layers=1),
    "qwen3 window": lambda _: hf.Qwen3Config(**BYTES, use_sliding_window=True, sliding_window=8, max_window_layers=1),
    # local attention by place, chunks, attention sinks, layers without rope
    "gpt_neo": named, "modernbert_decoder": named, "llama4": named, "gpt_oss": named, "smollm3": named,
    # rope that is scaled, or switches with the length of the text
    "llama3 rope": lambda _: hf.LlamaConfig(
        **BYTES, **rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, **ORIGINAL)
    ),
    "yarn": lambda _: hf.LlamaConfig(**BYTES, **rope("yarn", factor=8.0, **ORIGINAL)),
    "linear": lambda _: hf.LlamaConfig(**BYTES, **rope("linear", factor=4.0)),
    "longrope": lambda _: hf.Phi3Config(
        **PLAIN, **rope("longrope", short_factor=[1.0] * HALF, long_factor=[8.0] * HALF),
        original_max_position_embeddings=SWITCH, sliding_window=None,
    ),
    "dynamic": lambda _: hf.LlamaConfig(
        **{**BYTES, "max_position_embeddings": SWITCH}, **rope("dynamic", factor=16.0)
    ),
    "deepseek_v3": named,
    # no window: ALiBi, learned positions, parallel blocks, multipliers
    "bloom": named, "mpt": named, "falcon_sequential": named, "gpt2": named, "opt": named, "gptj": named,
    "granite": named, "gpt_bigcode": named,
    # state-space and other recurrent mixers
    "recurrent_gemma": named, "jamba": named, "bamba": named, "falcon_h1": named, "zamba2": named, "nemotron_h": named,
    "qwen3_next": named, "lfm2": named, "mamba2": named, "olmo_hybrid": named,
}  # fmt: skip
# The others are run with `-m truth`.
DEFAULT = (
    "gemma3", "gpt_neo", "modernbert_decoder", "llama4", "gpt_oss", "longrope", "yarn", "dynamic", "mpt",
    "falcon_h1", "nemotron_h", "recurrent_gemma",
)  # fmt: skip
LENGTHS = ("n_positions", "max_seq_len", "max_position_embeddings")


def config_of(family: str) -> Any:
    config = CONFIGS[family](family)
    for name in LENGTHS:
        if CONFIGS[family] is named and getattr(config, name, None):
            setattr(config, name, 512)
    return config


def questions_file(folder: Path) -> Path:
    """Questions of 30 to 250 tokens (a byte each) that share openings, as few-shot prompts do."""
    random = np.random.default_rng(0)
    stem = "".join(random.choice(list("abcdefgh "), 150))
    rows = []
    for number, length in enumerate((0, 5, 40, 41, 80, 130, 150, 150)):
        question = stem[:length] + "".join(random.choice(list("ijklmnop "), 20 + 9 * number))
        choices = ["yes", "no at all", "".join(random.choice(list("qrstuvw"), 3 + 4 * number))]
        rows.append({"question": question, "choices": choices, "answer": number % 3})
    path = folder / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def plain_scores(model: Path, run: Path) -> list[float]:
    """Score every choice after its question with transformers alone."""
    tokenizer = hf.AutoTokenizer.from_pretrained(model)
    plain = hf.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    dynamic = (getattr(plain.config, "rope_parameters", None) or {}).get("rope_type") == "dynamic"
    scores = []
    for row in pl.read_parquet(run / "items" / "questions.parquet").to_dicts():
        for choice in row["choices"]:
            if dynamic:  # its frequencies are those of the longest text that this object has seen
                plain = hf.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
            prompt = [tokenizer.bos_token_id, *tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]]
            ids = torch.tensor([[*prompt, *tokenizer(f" {choice}", add_special_tokens=False)["input_ids"]]])
            with torch.no_grad():
                steps = plain(input_ids=ids, use_cache=False).logits[0].log_softmax(-1)
            scores.append(sum(float(steps[at - 1, ids[0, at]]) for at in range(len(prompt), ids.shape[1])))
    return scores


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[] if name in DEFAULT else [pytest.mark.truth]) for name in CONFIGS]
)
def test_run_exits_agrees_with_one_plain_forward_pass_per_choice(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = families.save(tmp_path / "model", config_of(family))
    spec = small_runs.spec_of("exits", tmp_path, str(model))
    spec = spec.model_copy(update={"data": (str(questions_file(tmp_path)),)})
    record = small_runs.measured(spec, tmp_path)
    assert record["longest"] > 5 * SWITCH
    kept = load_file(tmp_path / "run" / "scores" / "questions.safetensors")["after"]
    plain = np.array(plain_scores(model, tmp_path / "run"))
    apart = np.abs(kept[:, -1] - plain).max()
    packing = small_runs.manifest(tmp_path / "run")["capture"]["packing"]
    with capsys.disabled():
        print(f"\n{family}: {apart:.1e} nats ({packing})", end=" ")
    assert len(plain) == 24
    assert apart < 1e-3
    # Control: the exit before the last gives other numbers.
    assert np.abs(kept[:, -2] - plain).max() > 1e-2


WINDOWS = ("sliding_window", "local_attention", "window_size", "attention_chunk_size", "attention_window_size")


@pytest.mark.parametrize("family", CONFIGS)
def test_every_window_and_switch_lies_within_the_texts(family: str) -> None:
    config = config_of(family)
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = [rope, *(inner for inner in rope.values() if isinstance(inner, dict))]
    sizes = [getattr(config, name, None) for name in WINDOWS]
    # YaRN and Llama 3's rope are the same at every length.
    sizes += [kind["original_max_position_embeddings"] for kind in kinds if kind.get("rope_type") == "longrope"]
    sizes += [config.max_position_embeddings] if rope.get("rope_type") == "dynamic" else []
    assert all(size <= SWITCH for size in sizes if size), sizes


def test_there_are_thirty_families() -> None:
    assert len(CONFIGS) >= 30
    assert set(DEFAULT) <= set(CONFIGS)
