"""Every tensor of a checkpoint is accounted for: none is random, none is dropped, whichever way weights are loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import tensors
from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import load

# Separate experts that are stacked, projections that are cut, tied heads, biases, other names than the blocks' own.
MUTATED = (
    "llama", "llama_tied", "gpt2", "mixtral", "qwen2", "gemma2", "phi3", "gpt_neox", "bloom", "opt", "olmo2",
    "deepseek_v3", "falcon_new", "lfm2",
)  # fmt: skip


@pytest.fixture
def folder(tiny_model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))


def refusal(folder: Path, **settings: object) -> str:
    with pytest.raises(ModelError) as caught:
        load(ModelSpec(id=str(folder), **settings))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("weights", ["resident", "streamed"])
@pytest.mark.parametrize("family", MUTATED)
def test_no_mutated_checkpoint_loads(family: str, weights: str, folder_of, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folder_of(family), tmp_path / "model"))
    tried, silent = tensors.silent(folder, weights, most=3)
    assert tried >= 12
    assert silent == []
    load(ModelSpec(id=str(folder), weights=weights))  # type: ignore[arg-type]  # the control: as it was, it loads


@pytest.mark.parametrize("weights", ["resident", "streamed"])
def test_biases_that_the_config_does_not_use_are_named(folder: Path, weights: str) -> None:
    tensors.edit(
        folder, lambda t: t.update({f"model.layers.{i}.self_attn.q_proj.bias": torch.ones(32) for i in range(3)})
    )
    text = refusal(folder, weights=weights)
    assert "holds 3 tensors that LlamaForCausalLM under its config does not use" in text
    assert "model.layers.0.self_attn.q_proj.bias, model.layers.1" in text
    assert "attention_bias" in text


@pytest.mark.parametrize("weights", ["resident", "streamed"])
def test_scales_of_quantised_weights_without_their_config_are_named(folder: Path, weights: str) -> None:
    def scale(t: tensors.Tensors) -> None:
        name = "model.layers.1.mlp.up_proj.weight"
        t[name] = t[name].to(torch.float8_e4m3fn)
        t[f"{name}_scale_inv"] = torch.ones(1, 1)

    tensors.edit(folder, scale)
    text = refusal(folder, weights=weights)
    assert "model.layers.1.mlp.up_proj.weight_scale_inv" in text
    assert "quantization_config" in text


@pytest.mark.parametrize("weights", ["resident", "streamed"])
def test_blocks_beyond_the_configs_are_named(folder: Path, weights: str) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_layers": 2}))
    assert "model.layers.2.input_layernorm.weight" in refusal(folder, weights=weights)


@pytest.mark.parametrize("weights", ["resident", "streamed"])
@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.bool, torch.float8_e4m3fn])
def test_weights_of_another_kind_of_number_are_named(folder: Path, weights: str, dtype: torch.dtype) -> None:
    """Quantised weights whose scales were left out have the right shape."""
    name = "model.layers.1.mlp.up_proj.weight"
    tensors.edit(folder, lambda t: t.update({name: (t[name] * 100).to(dtype)}))
    assert f"holds {name} in " in refusal(folder, weights=weights)


@pytest.mark.parametrize("sign", ["adapter_model.safetensors", "adapter_model.bin", "pytorch_lora_weights.safetensors"])
def test_an_adapter_without_its_config_is_seen_too(folder: Path, sign: str) -> None:
    save_file({"lora_A.weight": torch.ones(2, 2)}, folder / sign)
    assert f"holds an adapter beside its weights ({sign})" in refusal(folder)


def test_other_weights_beside_those_that_are_read_are_noted(folder: Path) -> None:
    save_file({"tok_embeddings.weight": torch.ones(2, 2)}, folder / "consolidated.safetensors")
    assert load(ModelSpec(id=str(folder))).info["files_not_read"] == ["consolidated.safetensors"]


INDICES = {
    "outside": ({"weight_map": {"a": "../model.safetensors"}}, "names the file '../model.safetensors'"),
    "absolute": ({"weight_map": {"a": "/x/model.safetensors"}}, "names the file '/x/model.safetensors'"),
    "without a map": ({"metadata": {}}, r"index.json' cannot be read (KeyError)"),
    "a list": ([], r"index.json' cannot be read (TypeError)"),
}


@pytest.mark.parametrize("weights", ["resident", "streamed"])
@pytest.mark.parametrize("index", INDICES)
def test_an_index_of_files_elsewhere_or_of_another_form_is_refused(folder: Path, weights: str, index: str) -> None:
    content, words = INDICES[index]
    (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
    save_file({"a": torch.ones(1)}, folder / "b.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))
    assert words in refusal(folder, weights=weights)


@pytest.mark.parametrize("weights", ["resident", "streamed"])
def test_experts_under_other_numbers_are_refused(folder_of, tmp_path: Path, weights: str) -> None:
    """Stacked in the order of their numbers, they would be taken for others without a word."""
    folder = Path(shutil.copytree(folder_of("mixtral"), tmp_path / "model"))

    def move(t: tensors.Tensors) -> None:
        old = next(name for name in t if ".experts.2." in name)
        t[old.replace(".experts.2.", ".experts.7.")] = t.pop(old)

    tensors.edit(folder, move)
    assert "is made of tensors numbered [0, 1, 3, 7]" in refusal(folder, weights=weights)


@pytest.mark.parametrize("weights", ["resident", "streamed"])
def test_tensors_known_to_carry_no_weight_are_noted(folder_of, tmp_path: Path, weights: str) -> None:
    folder = Path(shutil.copytree(folder_of("gpt2"), tmp_path / "model"))
    mask = {
        "transformer.h.0.attn.bias": torch.ones(1, 1, 64, 64),
        "transformer.h.0.attn.masked_bias": torch.tensor(-1e4),
    }
    tensors.edit(folder, lambda t: t.update(mask))
    loaded = load(ModelSpec(id=str(folder), weights=weights))  # type: ignore[arg-type]
    assert set(loaded.info["tensors_not_used"]) == set(mask)
    # Control: under the same name, what has another form is a weight.
    tensors.edit(folder, lambda t: t.update({"transformer.h.0.attn.bias": torch.ones(32)}))
    assert "transformer.h.0.attn.bias" in refusal(folder, weights=weights)


@pytest.mark.parametrize("weights", ["resident", "streamed"])
def test_saved_rotary_frequencies_are_noted_where_they_are_those_of_the_config(folder: Path, weights: str) -> None:
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    right = 1 / 10000 ** (torch.arange(0, 8, 2) / 8)
    tensors.edit(folder, lambda t: t.update({name: right}))
    assert load(ModelSpec(id=str(folder), weights=weights)).info["tensors_not_used"] == [name]  # type: ignore[arg-type]
    tensors.edit(folder, lambda t: t.update({name: right / 8}))
    assert name in refusal(folder, weights=weights)


@pytest.mark.parametrize("weights", ["resident", "streamed"])
def test_an_adapter_beside_a_model_is_refused(folder: Path, weights: str) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "x"}))
    save_file({"lora_A.weight": torch.ones(2, 2)}, folder / "adapter_model.safetensors")
    assert "holds an adapter beside its weights (adapter_config.json)" in refusal(folder, weights=weights)


def test_an_adapter_that_is_asked_for_is_merged_or_refused(folder: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    assert "has no adapter_config.json" in refusal(folder, adapter=str(adapter))
    settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 2, "target_modules": ["up_proj"]}
    (adapter / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": str(folder)}))
    pytest.importorskip("peft")
    up, down = torch.randn(64, 2), torch.randn(2, 32)
    prefix = "base_model.model.model.layers.{}.mlp.up_proj.lora_{}.weight"
    low_rank = {prefix.format(i, side): part for i in range(3) for side, part in (("A", down), ("B", up))}
    save_file({name: part.clone() for name, part in low_rank.items()}, adapter / "adapter_model.safetensors")
    merged = load(ModelSpec(id=str(folder), adapter=str(adapter)))
    plain = load(ModelSpec(id=str(folder)))
    name = "model.layers.1.mlp.up_proj"
    change = merged.model.get_submodule(name).weight - plain.model.get_submodule(name).weight
    assert torch.allclose(change, up @ down, atol=1e-5)
    assert "adapter/adapter_model.safetensors" in merged.info["files"]


def logits(folder: Path, weights: str) -> torch.Tensor:
    """Return the logits of a text that a streamed model gives through its blocks, once they are all in memory."""
    loaded = load(ModelSpec(id=str(folder), weights=weights))  # type: ignore[arg-type]
    if loaded.streamer is not None:
        loaded.streamer.load(range(loaded.anatomy.n_layers))
    return loaded.run(torch.tensor([loaded.encode("A shop sells tea.")]), logits=True)


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("head", ["its own", "the embedding's", "absent"])
def test_streamed_and_resident_heads_are_those_that_transformers_loads(folder: Path, tie: bool, head: str) -> None:
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "tie_word_embeddings": tie}))
    if head == "the embedding's":
        tensors.edit(folder, lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()}))
    elif head == "absent":
        tensors.edit(folder, lambda t: t.pop("lm_head.weight"))
        if not tie:
            assert all("lm_head.weight" in refusal(folder, weights=w) for w in ("resident", "streamed"))
            return
    plain = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.tensor([load(ModelSpec(id=str(folder))).encode("A shop sells tea.")])
    with torch.no_grad():
        wanted = plain(input_ids=ids, use_cache=False).logits
    assert torch.equal(logits(folder, "resident"), wanted)
    assert torch.equal(logits(folder, "streamed"), wanted)


def test_an_embedding_is_found_where_only_the_tied_head_is_saved(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "tie_word_embeddings": True}))
    tensors.edit(folder, lambda t: t.pop("model.embed_tokens.weight"))
    assert torch.equal(logits(folder, "resident"), logits(folder, "streamed"))


def test_one_file_goes_before_an_index_on_both_paths(folder: Path) -> None:
    """As in transformers: a stale index and its files beside one whole file are not read."""
    whole = load_file(folder / "model.safetensors")
    stale = {name: torch.zeros_like(tensor) for name, tensor in whole.items()}
    save_file(stale, folder / "model-00001-of-00001.safetensors", metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": dict.fromkeys(whole, "model-00001-of-00001.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    resident = logits(folder, "resident")
    assert resident.abs().sum() > 0
    assert torch.equal(resident, logits(folder, "streamed"))


@pytest.mark.parametrize("weights", ["resident", "streamed"])
def test_a_tensor_in_two_files_of_an_index_is_refused(folder: Path, weights: str) -> None:
    whole = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    save_file(whole, folder / "a.safetensors", metadata={"format": "pt"})
    save_file({"model.norm.weight": torch.zeros(32)}, folder / "b.safetensors", metadata={"format": "pt"})
    weight_map = dict.fromkeys(whole, "a.safetensors") | {"model.norm.weight": "b.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    assert "holds 'model.norm.weight' in a.safetensors and b.safetensors" in refusal(folder, weights=weights)


def block_fp8(folder: Path, size: int = 16) -> None:
    """Quantise the projections of a checkpoint as block FP8 does: a scale per block of `size` by `size`."""

    def quantise(t: tensors.Tensors) -> None:
        for name in [name for name in t if "proj" in name]:
            rows, columns = t[name].shape
            blocks = t[name].reshape(rows // size, size, columns // size, size).permute(0, 2, 1, 3)
            scales = blocks.abs().amax((2, 3)) / 448
            scaled = (blocks / scales[:, :, None, None]).permute(0, 2, 1, 3).reshape(rows, columns)
            t[name], t[f"{name}_scale_inv"] = scaled.to(torch.float8_e4m3fn), scales

    tensors.edit(folder, quantise)
    path = folder / "config.json"
    quantised = {"quant_method": "fp8", "weight_block_size": [size, size], "activation_scheme": "dynamic"}
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": quantised}))


def test_block_fp8_is_recorded_though_transformers_dequantises_it(folder: Path) -> None:
    plain = logits(folder, "resident")
    block_fp8(folder)
    loaded = load(ModelSpec(id=str(folder), device="cpu"))
    assert loaded.info["quantisation"] == "fp8 in blocks of 16 x 16, dequantised to float32"
    apart = loaded.run(torch.tensor([loaded.encode("A shop sells tea.")]), logits=True) - plain
    assert 0 < float(apart.norm() / plain.norm()) < 0.1
    assert "is quantised" in refusal(folder, weights="streamed")


SCALE = "model.layers.1.mlp.up_proj.weight_scale_inv"
WEIGHT = SCALE.removesuffix("_scale_inv")
WRONG_SCALES = {
    "removed": (lambda t: t.pop(SCALE), f"lacks the scale of 1 quantised weights ({SCALE})"),
    "renamed": (lambda t: tensors.renamed(t, SCALE), f"lacks the scale of 1 quantised weights ({SCALE})"),
    "reshaped": (lambda t: tensors.reshaped(t, SCALE), f"{SCALE} has the shape [8, 2] where blocks of [16, 16] ask"),
    "one": (lambda t: t.update({SCALE: t[SCALE][:1, :1].contiguous()}), f"{SCALE} has the shape [1, 1]"),
    "turned": (lambda t: t.update({SCALE: t[SCALE].T.contiguous()}), f"{SCALE} has the shape [2, 4]"),
    "spare": (lambda t: t.update({WEIGHT: t[WEIGHT].float()}), f"scales of 1 weights that are not quantised ({SCALE})"),
}


@pytest.mark.parametrize("mutation", WRONG_SCALES)
def test_block_fp8_with_one_wrong_scale_is_refused_by_name(folder: Path, mutation: str) -> None:
    """transformers multiplies by a scale of any shape, and runs without one."""
    block_fp8(folder)
    change, words = WRONG_SCALES[mutation]
    tensors.edit(folder, change)
    assert words in refusal(folder)


@pytest.mark.parametrize(
    ("method", "words"), [("gronk", "names the quantisation 'gronk'"), ("fp8", "says fp8, and none of its weights is")]
)
def test_a_quantisation_that_is_not_that_of_the_weights_is_refused(folder: Path, method: str, words: str) -> None:
    """transformers warns of an unknown one, and takes the weights as they are."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": {"quant_method": method}}))
    assert words in refusal(folder)


def test_block_fp8_under_other_blocks_is_refused(folder: Path) -> None:
    block_fp8(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["quantization_config"]["weight_block_size"] = [8, 8]
    path.write_text(json.dumps(config))
    assert "where blocks of [8, 8] ask for" in refusal(folder)
