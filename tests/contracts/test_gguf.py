"""A GGUF file is what its tensors and its metadata say, or it is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import families
import gguf_files
from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import load
from layeratlas.models.gguf_config import read_gguf_config

LONG = torch.arange(3, 63)[None]


@pytest.fixture(autouse=True)
def _own_cache(own_cache: Path) -> None:
    """No file of these tests stays in the cache of others."""


def refusal(path: Path, **settings: object) -> str:
    with pytest.raises(ModelError) as caught:
        load(ModelSpec(id=str(path), **settings))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def mutations(family: str, names: tuple[str, ...]) -> Iterator[tuple[str, gguf_files.Arrays]]:
    """Yield the tensors of a family's file with one removed, renamed, added or reshaped."""
    whole = gguf_files.arrays_of(family)
    for name in names:
        others = {key: values for key, values in whole.items() if key != name}
        stem, kind = name.rsplit(".", 1)
        if name != "output.weight":  # a file without one ties its head: it is another whole model
            yield f"removed {name}", others
        yield f"renamed {name}", others | {f"{stem}x.{kind}": whole[name]}
        yield f"added beside {name}", whole | {f"{stem}_scale": np.ones(3, np.float32)}
        yield f"reshaped {name}", others | {name: np.concatenate([whole[name], whole[name]])}


@pytest.mark.parametrize(
    ("family", "weights", "cached"),
    [
        *((family, "resident", True) for family in gguf_files.LOADED),
        ("llama", "streamed", True),
        ("llama", "resident", False),
    ],
)
def test_no_mutated_file_loads(
    family: str, weights: Any, cached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is read through its dequantised copy, from which both ways of holding weights begin, or directly."""
    if not cached:
        monkeypatch.setattr("layeratlas.models.gguf_cache._no_room", lambda parent, path: "the disk is full")
    names = sorted(gguf_files.arrays_of(family))
    path = tmp_path / "m.gguf"
    silent, tried = [], 0
    # Of the families that differ in nothing but names and sizes, one tensor is enough.
    chosen = (names[len(names) // 2], names[-1])[: 2 if family in ("llama", "llama_tied", "gpt2", "lfm2") else 1]
    for mutation, arrays in mutations(family, chosen):
        tried += 1
        try:
            load(ModelSpec(id=str(gguf_files.write(path, family, arrays)), weights=weights))
        except ModelError:
            continue
        silent.append(mutation)
    print(f"{family} in GGUF, {weights}: {tried} mutations, {len(silent)} load")
    assert tried >= 3
    assert silent == []
    whole = load(ModelSpec(id=str(gguf_files.write(path, family)), weights=weights))
    assert whole.anatomy.n_layers == families.LAYERS


def test_there_are_a_dozen_families() -> None:
    assert len(gguf_files.LOADED) >= 12


def test_one_part_of_a_split_file_is_refused_by_name(tmp_path: Path) -> None:
    arrays = {name: values for name, values in gguf_files.arrays_of("llama").items() if "blk.2" not in name}

    def split(writer: object) -> None:
        for key, value in (("split.no", 0), ("split.count", 2), ("split.tensors.count", 30)):
            writer.add_uint16(key, value)  # type: ignore[attr-defined]

    text = refusal(gguf_files.write(tmp_path / "m-00001-of-00002.gguf", "llama", arrays, split))
    assert "is part 1 of 2 files; expected one file with 30 tensors" in text
    # Without the keys that say so, what is absent is named.
    assert "blk.2.attn_k.weight" in refusal(gguf_files.write(tmp_path / "m.gguf", "llama", arrays)) or (
        "model.layers.2" in refusal(tmp_path / "m.gguf")
    )


def with_frequencies(plain: object, factors: list[float]) -> torch.Tensor:
    """Return the logits of a model whose rotary frequencies are divided by factors, set by hand."""
    rotary = plain.model.model.rotary_emb  # type: ignore[attr-defined]
    rotary.inv_freq = rotary.inv_freq / torch.tensor(factors)
    return plain.run(LONG, logits=True)  # type: ignore[attr-defined]


@pytest.mark.parametrize("weights", ["resident", "streamed"])
def test_rope_factors_are_applied(tmp_path: Path, weights: str) -> None:
    factors = [1.0, 1.0, 4.0, 8.0]
    whole = gguf_files.arrays_of("llama") | {"rope_freqs.weight": np.array(factors, np.float32)}
    plain = load(ModelSpec(id=str(gguf_files.write(tmp_path / "plain.gguf", "llama"))))
    loaded = load(ModelSpec(id=str(gguf_files.write(tmp_path / "rope.gguf", "llama", whole)), weights=weights))  # type: ignore[arg-type]
    if loaded.streamer is not None:
        loaded.streamer.load(range(3))
    without = plain.run(LONG, logits=True)
    found = loaded.run(LONG, logits=True)
    assert float((found - without).abs().max()) > 1e-2
    assert torch.allclose(found, with_frequencies(plain, factors), atol=1e-5)


def test_linear_and_yarn_scaling_are_applied(tmp_path: Path) -> None:
    def linear(writer: object) -> None:
        writer.add_rope_scaling_type(gguf_files.gguf.RopeScalingType.LINEAR)  # type: ignore[attr-defined]
        writer.add_rope_scaling_factor(4.0)  # type: ignore[attr-defined]

    def yarn(writer: object) -> None:
        writer.add_rope_scaling_type(gguf_files.gguf.RopeScalingType.YARN)  # type: ignore[attr-defined]
        writer.add_rope_scaling_factor(4.0)  # type: ignore[attr-defined]
        writer.add_rope_scaling_orig_ctx_len(16)  # type: ignore[attr-defined]

    plain = load(ModelSpec(id=str(gguf_files.write(tmp_path / "plain.gguf", "llama"))))
    scaled = load(ModelSpec(id=str(gguf_files.write(tmp_path / "linear.gguf", "llama", extra=linear))))
    assert torch.allclose(scaled.run(LONG, logits=True), with_frequencies(plain, [4.0] * 4), atol=1e-5)
    rope = read_gguf_config(gguf_files.write(tmp_path / "yarn.gguf", "llama", extra=yarn)).rope_parameters
    assert (rope["rope_type"], rope["factor"], rope["original_max_position_embeddings"]) == ("yarn", 4.0, 16)


ROTARY = {
    # 0 leaves the number out of the file, which then rotates whole heads of 8
    ("stablelm", 4): families.FAMILIES["stablelm"],
    ("stablelm", 0): lambda: transformers.StableLmConfig(**families.PLAIN, partial_rotary_factor=1.0),
    ("phi3", 6): lambda: transformers.Phi3Config(
        **families.PLAIN, partial_rotary_factor=0.75, sliding_window=None, rms_norm_eps=1e-6
    ),
    ("falcon_parallel", 8): families.FAMILIES["falcon_parallel"],
}


@pytest.mark.parametrize(("family", "rotated"), ROTARY)
def test_as_many_dimensions_are_rotated_as_the_file_says(
    family: str, rotated: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gguf_files.ROTATED, family, rotated)
    config = ROTARY[family, rotated]()
    monkeypatch.setitem(families.FAMILIES, family, lambda: config)
    found = load(ModelSpec(id=str(gguf_files.write(tmp_path / "m.gguf", family))))
    wanted = load(ModelSpec(id=str(families.save(tmp_path / "hf", config))))
    assert torch.allclose(found.run(LONG, logits=True), wanted.run(LONG, logits=True), atol=1e-5)


def test_dimensions_that_the_family_always_rotates_and_reordered_queries_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gguf_files.ROTATED, "qwen2", 4)
    path = gguf_files.write(tmp_path / "m.gguf", "qwen2")
    assert "sets rope.dimension_count to 4, which transformers does not apply" in refusal(path)
    monkeypatch.setitem(gguf_files.KEYS, "falcon_parallel", 2)
    path = gguf_files.write(tmp_path / "f.gguf", "falcon_parallel")
    assert "sets attention.head_count_kv to 2, which transformers does not apply" in refusal(path)


def test_softcaps_and_windows_are_those_of_the_file(tmp_path: Path) -> None:
    def caps(writer: object) -> None:
        writer.add_attn_logit_softcapping(7.0)  # type: ignore[attr-defined]
        writer.add_final_logit_softcapping(3.0)  # type: ignore[attr-defined]
        writer.add_sliding_window(16)  # type: ignore[attr-defined]

    config = read_gguf_config(gguf_files.write(tmp_path / "m.gguf", "gemma2", extra=caps))
    assert (config.attn_logit_softcapping, config.final_logit_softcapping, config.sliding_window) == (7.0, 3.0, 16)
    assert config.max_position_embeddings == 64


def test_metadata_that_no_config_holds_is_refused_by_name(tmp_path: Path) -> None:
    path = gguf_files.write(tmp_path / "m.gguf", "llama", extra=lambda writer: writer.add_logit_scale(0.5))
    assert "sets logit_scale to 0.5, which transformers does not apply" in refusal(path)
    assert refusal(path, weights="streamed") == refusal(path)


def bos_flags(add_bos: bool | None = None, add_eos: bool | None = None, padding: int | None = None) -> Any:
    def extra(writer: Any) -> None:
        if add_bos is not None:
            writer.add_add_bos_token(add_bos)
        if add_eos is not None:
            writer.add_add_eos_token(add_eos)
        if padding is not None:
            writer.add_pad_token_id(padding)

    return extra


@pytest.mark.parametrize(
    ("flags", "settings", "has_bos"),
    [
        ({}, {}, True),
        ({"add_bos": True, "add_eos": True}, {}, True),
        ({"add_bos": False}, {}, True),
        ({"add_bos": False, "padding": 0}, {}, False),  # as Qwen's files, whose tokenizer has no BOS token
        ({"add_bos": True, "padding": 0}, {}, True),
        ({"add_bos": False}, {"bos": "tokenizer"}, False),
        ({"add_bos": True}, {"bos": "tokenizer"}, True),
        ({"add_bos": True}, {"bos": "never"}, False),
    ],
)
def test_one_model_in_two_formats_gives_one_input_and_equal_numbers(
    flags: Any, settings: Any, has_bos: bool, tmp_path: Path
) -> None:
    file = gguf_files.write(tmp_path / "m.gguf", "qwen2", extra=bos_flags(**flags))
    folder = families.save(tmp_path / "hf", families.FAMILIES["qwen2"](), bos=has_bos)
    from_gguf = load(ModelSpec(id=str(file), **settings))
    from_folder = load(ModelSpec(id=str(folder), bos="auto"))
    ids = from_gguf.encode("A shop sells six apples.")
    assert ids == from_folder.encode("A shop sells six apples.")
    assert (ids[0] == 0) == has_bos == (from_gguf.info["bos_id"] == 0)
    assert ids[-1] != 1
    assert ("tokenizer itself does" in from_gguf.info["eos"]) == bool(flags.get("add_eos"))
    numbers = [model.run(torch.tensor([ids]), logits=True) for model in (from_gguf, from_folder)]
    assert torch.allclose(*numbers, atol=1e-6)
