"""What is not loaded, and the one line that says why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
import transformers
from huggingface_hub.errors import RepositoryNotFoundError
from safetensors.torch import load_file, save_file

import families
from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import load
from layeratlas.models.sources import find_source


@pytest.fixture
def folder(tiny_model_dir, tmp_path):
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))


def refusal(model_id, **settings):
    with pytest.raises(ModelError) as caught:
        load(ModelSpec(id=str(model_id), **settings))
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 600
    return text


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_pickled_weights(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    text = refusal(folder)
    assert "holds pickled weights only (pytorch_model.bin); expected safetensors; pickle can run code" in text
    assert "save_pretrained" in text


def test_pickled_weights_are_not_opened_beside_safetensors(folder):
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")
    assert load(ModelSpec(id=str(folder))).info["layers"] == 3


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    assert "holds no weights; expected *.safetensors files" in refusal(folder)


def test_no_config(folder):
    (folder / "config.json").unlink()
    assert "has no config.json; expected a model directory" in refusal(folder)


def test_a_path_that_does_not_exist(tmp_path):
    assert "does not exist; expected a hub id, a directory, a .gguf file" in refusal(tmp_path / "absent")


def test_a_file_that_is_no_model(folder):
    assert "is a file but not a .gguf file" in refusal(folder / "config.json")


def test_a_gguf_that_does_not_exist(tmp_path):
    assert "does not exist; expected a .gguf file" in refusal(tmp_path / "absent.gguf")


def test_a_gguf_that_is_none(tmp_path):
    (tmp_path / "fake.gguf").write_bytes(b"PK\x03\x04 not a model")
    assert r"starts with b'PK\x03\x04'; expected a GGUF file" in refusal(tmp_path / "fake.gguf")


def test_a_truncated_gguf(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERATLAS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cut.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")
    assert "cannot be loaded" in refusal(tmp_path / "cut.gguf")


def test_a_misspelt_alias():
    assert refusal("smolm2-135m").endswith("did you mean 'smollm2-135m'?")


def test_a_model_that_brings_its_own_code(folder):
    edit_config(folder, model_type="homemade", auto_map={"AutoModelForCausalLM": "code.Model"})
    text = refusal(folder)
    assert "(model type 'homemade') needs Python code of its own" in text
    assert "trust_remote_code=True" in text


def test_code_that_is_not_needed_is_not_run(folder):
    edit_config(folder, auto_map={"AutoModelForCausalLM": "code.Model"})
    (folder / "code.py").write_text("raise SystemExit('this ran')")
    assert load(ModelSpec(id=str(folder))).info["class"] == "LlamaForCausalLM"


def test_an_unknown_architecture(folder):
    edit_config(folder, model_type="homemade")
    assert "has the model type 'homemade', which this transformers does not know" in refusal(folder)


@pytest.mark.parametrize(
    ("kind", "built", "words"),
    [
        ("bert", "BertForMaskedLM", "is not a causal language model (BertForMaskedLM); expected a causal"),
        ("t5", "T5ForConditionalGeneration", "is an encoder-decoder model (T5ForConditionalGeneration)"),
        ("vit", "ViTForImageClassification", "is not a causal language model (ViTForImageClassification)"),
        ("llama", "LlamaForSequenceClassification", "is not a causal language model (LlamaForSequenceClassification)"),
    ],
)
def test_models_that_are_not_causal(folder, kind, built, words):
    (folder / "config.json").write_text(json.dumps({"model_type": kind, "architectures": [built]}))
    assert words in refusal(folder)


def test_a_config_that_is_not_json(folder):
    (folder / "config.json").write_text("{")
    assert "cannot be loaded" in refusal(folder)


def test_missing_weights_are_never_filled_with_random_numbers(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "lacks 1 weights of LlamaForCausalLM (model.layers.1.mlp.up_proj.weight" in refusal(folder)


def test_a_directory_without_a_tokenizer(folder):
    for path in folder.glob("*token*"):
        path.unlink()
    assert "has no tokenizer; expected tokenizer.json, or the files of a slow tokenizer; copy" in refusal(folder)


def test_a_truncated_weight_file(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    assert "cannot be loaded" in refusal(folder)


def test_no_tokenizer(folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    assert "tokenizer" in refusal(folder)


def test_a_tokenizer_with_more_tokens_than_the_model_embeds(folder):
    weights = families.build(transformers.LlamaConfig(**{**families.LLAMA, "vocab_size": 200}))
    weights.save_pretrained(folder)
    assert "tokenizer has 259 tokens, the model embeds 200" in refusal(folder)


def test_a_model_that_overflows(folder):
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.down_proj.weight"] = weights["model.layers.1.mlp.down_proj.weight"] * 1e6
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    text = refusal(folder, dtype="float16")
    assert "the residual stream is not finite after block 1 in float16; expected finite numbers" in text
    assert text.endswith("use dtype='bfloat16' or 'float32'")


def test_unknown_and_absent_devices(folder):
    assert refusal(folder, device="gpu").startswith("unknown device 'gpu'; expected auto, cpu, cuda, mps, xpu")
    if not torch.cuda.is_available():
        assert "no device 'cuda:3' here (0 cuda devices)" in refusal(folder, device="cuda:3")


def hub_says(monkeypatch, answer):
    def model_info(self, *args, **kwargs):
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in answer])

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)


def test_the_hub_out_of_reach(monkeypatch):
    hub_says(monkeypatch, ConnectionError("Name or service not known"))
    text = refusal("nobody/nothing")
    assert text.startswith("'nobody/nothing' is not a local path and the hub cannot be reached")
    assert text.endswith("check the spelling and the network, or name a local directory")


def test_a_misspelt_hub_id(monkeypatch):
    response = SimpleNamespace(headers={}, request=None, status_code=404)
    hub_says(monkeypatch, RepositoryNotFoundError("404 Client Error", response=response))
    assert refusal("nobody/nothing").startswith("no model 'nobody/nothing' on the hub; expected a hub id")


def test_pickled_weights_on_the_hub(monkeypatch):
    hub_says(monkeypatch, ["config.json", "pytorch_model.bin"])
    assert "has pickled weights only (pytorch_model.bin) on the hub; expected safetensors" in refusal("nobody/pickles")


def test_a_folder_around_a_model_names_the_model_in_it(tiny_model_dir, tmp_path):
    with pytest.raises(ModelError, match="name the directory that save_pretrained wrote"):
        find_source(str(tmp_path))
    inner = shutil.copytree(tiny_model_dir, tmp_path / "hf")
    with pytest.raises(ModelError, match=f"has no config.json; .*; name what is in it: '{inner}'"):
        find_source(str(tmp_path))
    assert find_source(str(inner)).name == tmp_path.name
