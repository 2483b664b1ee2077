"""A plan needs no weights, counts what the published model has, and says when memory does not suffice."""

from __future__ import annotations

import pytest
import torch
import transformers as hf

import families
from layeratlas.core import registry
from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.planning import check as checking
from layeratlas.planning import needs as planning
from layeratlas.planning.check import describe
from layeratlas.planning.needs import encoded, needs_of, plan_lines
from layeratlas.studies.hierarchy.study import Hierarchy

# The shape of Llama 3.3 70B, whose model card counts 70,553,706,496 parameters.
SEVENTY = {
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
}


@pytest.fixture(scope="module")
def seventy():
    return needs_of(hf.LlamaConfig(**SEVENTY), ModelSpec(dtype="bfloat16"))


def test_seventy_billion_parameters_are_counted_without_a_weight(seventy):
    needs = seventy
    assert needs.whole == 2 * 70_553_706_496
    assert needs.outside == 2 * (2 * 128256 * 8192 + 8192)
    groups = needs.groups(24 * 10**9)
    assert [layer for group in groups for layer in group] == list(range(80))
    assert needs.outside + 2 * max(sum(needs.blocks[layer] for layer in group) for group in groups) < 24e9


def test_tied_embeddings_count_once():
    tied = needs_of(hf.LlamaConfig(**families.LLAMA, tie_word_embeddings=True), ModelSpec())
    untied = needs_of(hf.LlamaConfig(**families.LLAMA, tie_word_embeddings=False), ModelSpec())
    assert untied.whole - tied.whole == 4 * families.VOCAB * families.WIDTH


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A directory with config and tokenizer, and no weights; a study of one task, since texts are encoded."""
    monkeypatch.setattr(Hierarchy, "tasks", ("items",))
    folder = families.save(tmp_path / "bare", families.FAMILIES["llama"]())
    for path in folder.glob("*.safetensors"):
        path.unlink()
    return folder


def test_a_text_of_several_sizes_is_encoded_once(monkeypatch):
    monkeypatch.setattr(Hierarchy, "tasks", ("items",))
    asked = []
    sizes = dict(encoded(lambda texts: asked.extend(texts) or [[len(text)] for text in texts]))
    assert len(asked) == len(set(asked)) < sum(len(ids) for ids in sizes.values())
    assert list(sizes) == ["quick", "standard", "full"]


def test_a_plan_needs_no_weights(bare):
    with pytest.raises(ModelError, match="holds no weights"):
        describe(ModelSpec(id=str(bare)))
    lines = describe(ModelSpec(id=str(bare), memory=1), plan_only=True).splitlines()
    assert "no weight was read" in lines[0]
    assert "resident: all weights fit" in lines[2]
    assert [line.split()[0] for line in lines[5:8]] == ["quick", "standard", "full"]
    texts = [int(line.split()[1].replace(",", "")) for line in lines[5:8]]
    assert texts == sorted(texts)
    assert texts[0] > 100


def test_a_plan_counts_the_tokens_that_a_run_encodes(bare, monkeypatch):
    seen = []
    monkeypatch.setattr(checking, "plan_lines", lambda spec, needs, device, encode: seen.append(encode(["ab"])) or [])
    for bos in ("auto", "never"):
        describe(ModelSpec(id=str(bare), bos=bos), plan_only=True)
    assert [len(ids) for (ids,) in seen] == [3, 2]


def test_texts_beyond_learned_positions_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(Hierarchy, "tasks", ("items", "relations"))
    config = families.FAMILIES["gpt2"]()
    config.n_positions = 16
    lines = describe(ModelSpec(id=str(families.save(tmp_path / "gpt2", config)))).splitlines()
    assert lines[0].startswith("gpt2 (gpt2), loaded in")
    (full,) = (line.split()[1] for line in lines if line.startswith("  full"))
    data = [data for name in Hierarchy.tasks for data in registry.get("tasks", name).build("full")]
    texts = {text for passages in data for text in passages.texts}
    assert 0 < int(full.replace(",", "")) < len(texts)


def test_a_plan_streams_what_does_not_fit_and_warns_where_even_a_block_does_not(seventy, monkeypatch):
    monkeypatch.setattr(Hierarchy, "tasks", ("items",))
    monkeypatch.setattr(planning, "matrix_rate", lambda *_: 1e12)  # a product of such matrices takes seconds

    def plan(memory):
        spec = ModelSpec(memory=memory, dtype="bfloat16")
        return "\n".join(plan_lines(spec, seventy, torch.device("cpu"), lambda texts: [[len(text)] for text in texts]))

    text = plan(24)
    assert "streamed: 80 groups of blocks, two in memory at a time, each weight read once; 7.63 GB" in text
    assert "141 GB as bfloat16" in text
    assert "MORE THAN" not in text
    assert "MORE THAN THE 5.00 GB" in plan(5)
