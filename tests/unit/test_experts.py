"""Routers: found in every family that has them, read as the model uses them, and planted ones told from others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import transformers as hf

import families
import layeratlas as la
from layeratlas.capture import Reading
from layeratlas.capture.routes import read_routers
from layeratlas.core.errors import ModelError
from layeratlas.core.progress import Progress
from layeratlas.models.routing import find_routers
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.routing import distance, entropy
from layeratlas.studies.hierarchy.experts.classes import Distances, class_distances
from planted_models import WORDS, word_tokenizer

WITH_ROUTERS = {
    "mixtral": 3, "qwen3_moe": 3, "olmoe": 3, "granite_moe": 3, "granite_moe_shared": 3, "deepseek_v3": 2,
    "gpt_oss": 3, "jamba": 1, "qwen3_next": 3,
}  # fmt: skip


@pytest.mark.parametrize("family", WITH_ROUTERS)
def test_routers_are_found_and_the_experts_are_those_that_the_model_uses(loaded_of, family):
    model = loaded_of(family)
    routers = find_routers(model.anatomy, family)
    assert len(routers) == WITH_ROUTERS[family]
    ids = tuple(model.encode("The river rose"))
    with Progress().stage("experts", 1) as step:
        shares, used = read_routers(model, routers, [Reading(ids, (len(ids) - 1,))], 512, step)
    assert shares.sum(-1) == pytest.approx(1)
    assert used.sum(-1) == pytest.approx(1)
    assert set((used[used > 0] * routers[0].chosen).round(6)) == {1.0}
    if not routers[0].sigmoid:  # else groups and a bias have a part in the choice
        for number, router in enumerate(routers):
            best = np.argsort(-shares[0, number])[: router.chosen]
            assert set(np.flatnonzero(used[0, number])) == set(best)


def test_a_model_without_routers_says_so_in_one_line(loaded_of):
    with pytest.raises(ModelError, match="no block of llama has a router; expected a mixture-of-experts model; leave"):
        find_routers(loaded_of("llama").anatomy, "llama")


def routing_model(folder: Path) -> Path:
    """A Mixtral whose block 1 sends `warm` to expert 0 and `cold` to expert 1; block 0 and 2 send all words alike."""
    config = hf.MixtralConfig(
        num_hidden_layers=3, hidden_size=32, intermediate_size=16, num_attention_heads=2, num_key_value_heads=2,
        head_dim=16, vocab_size=len(WORDS), max_position_embeddings=64, num_local_experts=4, num_experts_per_tok=1,
        bos_token_id=0, eos_token_id=1, pad_token_id=2,
    )  # fmt: skip
    model = families.build(config)
    with torch.no_grad():
        embedding = model.model.embed_tokens.weight
        embedding[:, 0] = 0.0
        embedding[:, 1] = 4.0
        embedding[WORDS.index("warm"), 0], embedding[WORDS.index("cold"), 0] = 4.0, -4.0
        for number, block in enumerate(model.model.layers):
            block.self_attn.o_proj.weight *= 0.02
            block.post_attention_layernorm.weight.fill_(1.0)
            block.mlp.gate.weight.zero_()
            block.mlp.gate.weight[2, 1] = 0.2  # what all words share
            if number == 1:
                block.mlp.gate.weight[0, 0], block.mlp.gate.weight[1, 0] = 3.0, -3.0
            block.mlp.experts.down_proj *= 0.02
    model.save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return folder


def run(folder: Path, model: Path, labels: list[str]) -> la.Run:
    rng = np.random.default_rng(3)
    rows = [
        f"w{rng.integers(50)} w{i} {word},{label},g{i}"
        for i, (word, label) in enumerate(zip(_WORDS, labels, strict=True))
    ]
    (folder / "texts.csv").write_text("\n".join(["text,label,group", *rows]))
    return la.run(
        "hierarchy", model=str(model), size="quick", data=folder / "texts.csv", components="resid", probe="ridge",
        settings={"experts": True}, out=folder / "run",
    )  # fmt: skip


_WORDS = ["warm", "cold"] * 24


@pytest.mark.parametrize("planted", [True, False])
def test_a_planted_router_is_found_at_its_block_and_random_labels_find_none(tmp_path, planted):
    labels = _WORDS if planted else np.random.default_rng(1).permutation(_WORDS).tolist()
    done = run(tmp_path, routing_model(tmp_path / "model"), labels)
    (found,) = done.findings.filter(finding="experts").to_dicts()
    table = pl.read_parquet(done.folder / "experts.parquet")
    if planted:
        assert found["verdict"] == "supported"
        assert "most at block 1" in found["statement"]
        assert table["distance"].to_list() == pytest.approx([0, 1, 0])
        use = pl.read_parquet(done.folder / "expert_use.parquet").filter(block=1)
        assert use["share"].to_list() == pytest.approx([0.5, 0.5, 0, 0])
    else:
        assert found["verdict"] != "supported"
    assert "Which experts?" in done.report_path.read_text(encoding="utf-8")


def test_an_even_router_has_entropy_one_and_a_sure_one_none():
    shares = np.array([[[0.25] * 4, [1, 0, 0, 0], [0.5, 0.5, 0, 0]]])
    assert entropy(shares, np.array([4, 4, 2])) == pytest.approx(np.array([[1, 0, 1]]))


def test_a_distance_is_that_of_total_variation_whatever_the_weights_of_texts():
    used = np.array([[[1.0, 0, 0]], [[0.5, 0.5, 0]], [[0, 0, 1.0]]])
    y, weights = np.array([0, 0, 1]), np.array([[2.0, 0, 1], [0, 2, 1], [1, 0, 0]])
    assert distance(used, y, weights)[:, 0] == pytest.approx([1, 1, np.nan], nan_ok=True)
    half = distance(used[[0, 0, 1]], y, weights)
    assert half[:, 0] == pytest.approx([0.5, 0.5, np.nan], nan_ok=True)


def distances(chances: list[float], experts: list[int], seed: int, n: int = 60) -> Distances:
    """Of routers with these numbers of experts; a text of class 1 goes to expert 0 with some chance, else anywhere."""
    rng = np.random.default_rng(seed)
    y, groups = np.arange(n) % 2, [f"g{i}" for i in range(n)]
    used = np.zeros((n, len(experts), max(experts)))
    for router, (chance, count) in enumerate(zip(chances, experts, strict=True)):
        chosen = np.where((rng.random(n) < chance) & (y == 1), 0, rng.integers(count, size=n))
        used[np.arange(n), router, chosen] = 1.0
    orders = np.stack([rng.permutation(n) for _ in range(60)])
    return class_distances(used, y, orders, groups, Resampler(groups, 200, seed, halves=40))


def test_the_most_different_of_many_routers_is_not_called_different_for_being_the_most():
    """Of 12 routers that send all classes alike: read on other texts, the excess of the largest is 0 on average."""
    found = [distances([0.0] * 12, [4, 8] * 6, seed) for seed in range(12)]
    assert abs(np.mean([one.excess.estimate for one in found])) < 0.03
    assert sum(one.excess.verdict() == "supported" for one in found) <= 3
    same = [one.value[one.top] - one.control[one.top] for one in found]
    assert np.mean(same) > 0.1  # negative control: chosen and read on the same texts


def test_the_router_is_chosen_by_the_spread_of_its_shuffles_and_its_difference_is_found():
    """A router of 2 experts differs by 0.45; among 60 experts, labels without meaning differ by about 0.6."""
    found = distances([0.0, 0.9, 0.0], [60, 2, 60], seed=1, n=120)
    assert found.value.argmax() != 1  # negative control: the largest distance is of a router without a difference
    assert found.top == 1
    assert 0.15 < found.excess.estimate < 0.45
    assert found.excess.verdict() == "supported"
