"""Text to ids: one BOS where there is one, none where there is none, offsets in characters."""

from __future__ import annotations

import pytest
import torch
from tokenizers import processors

import families
from layeratlas.core.errors import CaptureError, ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import load, observe

TEXT = "naïve tea"


@pytest.fixture(scope="module")
def folder(folder_of):
    return folder_of("llama")


@pytest.fixture(scope="module")
def loaded(loaded_of):
    return loaded_of("llama")


def test_exactly_one_bos(loaded):
    ids = loaded.encode(TEXT)
    assert ids[0] == loaded.tokenizer.bos_token_id == loaded.bos_id
    assert ids.count(loaded.bos_id) == 1
    assert loaded.tokenizer.decode(ids[1:]) == TEXT
    assert loaded.info["bos"] == "one <s> prepended to every text"


def test_texts_together_are_encoded_as_each_alone(loaded):
    texts = [TEXT, "", "<s>" + TEXT, "tea " * 9]
    assert loaded.encode_all(texts) == [loaded.encode(text) for text in texts]
    assert loaded.encode_all([]) == []


def test_a_text_that_spells_out_its_bos_gets_no_second(loaded):
    assert loaded.encode("<s>" + TEXT) == loaded.encode(TEXT)


def test_one_bos_though_the_tokenizer_adds_its_own(tmp_path, loaded):
    families.save(tmp_path, families.FAMILIES["llama"]())
    tokenizer = families.byte_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    tokenizer.save_pretrained(tmp_path)
    eager_to_add = load(ModelSpec(id=str(tmp_path)))
    assert eager_to_add.tokenizer(TEXT)["input_ids"][-1] == 1
    assert eager_to_add.encode(TEXT) == loaded.encode(TEXT)


def test_no_bos_where_the_tokenizer_has_none(tmp_path, loaded):
    bare = load(ModelSpec(id=str(families.save(tmp_path, families.FAMILIES["llama"](), bos=False))))
    assert bare.encode(TEXT) == loaded.encode(TEXT)[1:]
    assert bare.info["bos_id"] is None
    assert bare.info["bos"] == "none prepended: the tokenizer has none"
    assert bare.info["tokenizer_hash"] != loaded.info["tokenizer_hash"]


def test_bos_never(folder, loaded):
    never = load(ModelSpec(id=str(folder), bos="never"))
    assert never.encode(TEXT) == loaded.encode(TEXT)[1:]
    assert never.info["bos"] == "none prepended (bos='never')"


def test_offsets_are_characters_and_bos_is_empty(loaded):
    ids, spans = loaded.encode_with_offsets(TEXT)
    assert ids == loaded.encode(TEXT)
    assert spans[0] == (0, 0)
    # The two bytes of one character share its span.
    assert spans[3] == spans[4] == (2, 3)
    assert spans[-1] == (len(TEXT) - 1, len(TEXT))


def test_a_slow_tokenizer_has_no_offsets(loaded, monkeypatch):
    monkeypatch.setattr(type(loaded.tokenizer), "is_fast", False)
    with pytest.raises(ModelError, match="gives no character offsets; expected a fast tokenizer"):
        loaded.encode_with_offsets(TEXT)


def test_without_logits_no_vocabulary_matmul_is_spent(loaded):
    def never(module, args, output):
        raise AssertionError("the unembedding ran")

    ids = torch.tensor([loaded.encode(TEXT)])
    handle = loaded.anatomy.unembedding.register_forward_hook(never)
    try:
        hidden = loaded.run(ids)
    finally:
        handle.remove()
    assert hidden.shape == (1, ids.shape[1], loaded.anatomy.width)
    assert not hidden.requires_grad


def test_position_ids_count(loaded):
    ids = torch.tensor([loaded.encode(TEXT)])
    spread = loaded.run(ids, None, torch.arange(ids.shape[1])[None] * 2)
    assert not torch.allclose(loaded.run(ids), spread)


def test_an_unknown_component_is_refused(loaded):
    with (
        pytest.raises(CaptureError, match=r"unknown component 'heads'; expected one of resid, attn, mlp"),
        observe(loaded.anatomy, ["heads"], torch.clone),
    ):
        pass


def test_info_is_json_and_complete(loaded, folder):
    import json

    info = loaded.info
    assert json.loads(json.dumps(info)) == info
    assert (info["layers"], info["width"], info["vocabulary"], info["context"]) == (3, 32, 300, 64)
    assert info["family"] == "llama"
    assert info["name"] == folder.name
    assert info["attention"] == "sdpa"
    assert info["quantisation"] == "none"
    assert info["parameters"] == sum(weight.numel() for weight in loaded.model.parameters())
    assert set(info["files"]) >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert all(len(digest) == 64 for digest in info["files"].values())
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    assert not loaded.model.training


def test_a_token_beyond_the_embedding_is_named_with_its_text(tmp_path):
    families.save(tmp_path, families.FAMILIES["llama"]())
    tokenizer = families.byte_tokenizer()
    tokenizer.add_tokens([f"<extra{i}>" for i in range(45)])
    tokenizer.save_pretrained(tmp_path)
    added = load(ModelSpec(id=str(tmp_path)))
    assert added.encode("a<extra0>")[-1] == 259  # the embedding has 300 rows, so that some added tokens are fine
    for encode in (added.encode, added.encode_with_offsets):
        with pytest.raises(ModelError, match=r"the text 'tea <extra44>' has the token '<extra44>' \(303\)"):
            encode("tea <extra44>")
