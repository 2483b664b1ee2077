"""Routers: found in every family that has them, read as the model uses them, and planted ones told from others."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import transformers as hf
from torch import nn

import families
import layeratlas as la
from layeratlas.capture import Reading
from layeratlas.capture.routes import read_routers
from layeratlas.core.errors import ModelError
from layeratlas.core.progress import Progress
from layeratlas.core.spec import ModelSpec
from layeratlas.models import load
from layeratlas.models.routers import find_routers
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.routing import distance, entropy
from layeratlas.studies.hierarchy.experts.classes import Distances, class_distances
from planted_models import WORDS, word_tokenizer

# The number of routers and their score, as each family's paper or code defines it.
WITH_ROUTERS = {
    "mixtral": (3, "softmax"), "qwen3_moe": (3, "softmax"), "olmoe": (3, "softmax"), "granite_moe": (3, "softmax"),
    "granite_moe_shared": (3, "softmax"), "deepseek_v3": (2, "sigmoid"), "gpt_oss": (3, "softmax"),
    "jamba": (1, "softmax"), "qwen3_next": (3, "softmax"), "llama4": (1, "sigmoid"), "qwen2_moe": (3, "softmax"),
    "ernie4_5_moe": (3, "softmax"), "lfm2_moe": (2, "sigmoid"), "afmoe": (2, "sigmoid"), "glm4_moe": (2, "sigmoid"),
    "deepseek_v2": (2, "softmax"),
}  # fmt: skip
MORE: dict[str, families.Builder] = {
    "qwen2_moe": lambda: hf.Qwen2MoeConfig(**families.PLAIN, **families.MOE, shared_expert_intermediate_size=32),
    "ernie4_5_moe": lambda: hf.Ernie4_5_MoeConfig(
        **families.PLAIN, moe_num_experts=4, moe_k=2, moe_intermediate_size=32, moe_layer_start_index=0
    ),
    "lfm2_moe": lambda: hf.Lfm2MoeConfig(
        **families.PLAIN, **families.MOE, num_dense_layers=1, layer_types=["conv", "full_attention", "conv"]
    ),
    "afmoe": lambda: hf.AfmoeConfig(**families.LLAMA, **families.MOE, num_dense_layers=1, sliding_window=8),
    "glm4_moe": lambda: hf.Glm4MoeConfig(
        **families.LLAMA, n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, first_k_dense_replace=1
    ),
    "deepseek_v2": lambda: hf.DeepseekV2Config(
        **families.FULL_HEADS, num_key_value_heads=4, first_k_dense_replace=1, n_routed_experts=4,
        num_experts_per_tok=2, moe_intermediate_size=32, n_group=1, topk_group=1, q_lora_rank=16, kv_lora_rank=16,
        qk_rope_head_dim=4, qk_nope_head_dim=4, v_head_dim=8,
    ),
    "phimoe": lambda: hf.PhimoeConfig(**families.PLAIN, num_local_experts=4, num_experts_per_tok=2),
    "jetmoe": lambda: hf.JetMoeConfig(
        **families.PLAIN, num_local_experts=4, num_experts_per_tok=2, kv_channels=8
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def model_of(loaded_of, tmp_path_factory):
    """A function that gives the tiny random model of a family with routers."""

    @cache
    def get(family):
        if family in families.FAMILIES:
            return loaded_of(family)
        folder = families.save(tmp_path_factory.mktemp("routed") / family, MORE[family]())
        return load(ModelSpec(id=str(folder)))

    return get


@pytest.mark.parametrize("family", WITH_ROUTERS)
def test_a_router_is_read_as_the_model_uses_it(model_of, family):
    model = model_of(family)
    routers = find_routers(model)
    assert [router.score for router in routers] == [WITH_ROUTERS[family][1]] * WITH_ROUTERS[family][0]
    ids = tuple(model.encode("The river rose"))
    with Progress().stage("experts", 1) as step:
        shares, used = read_routers(model, routers, [Reading(ids, (len(ids) - 1,))], 512, step)
    assert shares.sum(-1) == pytest.approx(1)
    assert used.sum(-1) == pytest.approx(1)
    assert set((used[used > 0] * routers[0].chosen).round(6)) == {1.0}
    if WITH_ROUTERS[family][1] == "softmax" and family != "ernie4_5_moe":  # else a bias has a part in the choice
        for number, router in enumerate(routers):
            best = np.argsort(-shares[0, number])[: router.chosen]
            assert set(np.flatnonzero(used[0, number])) == set(best)


REFUSED = {
    "llama": "no block of llama has a router; expected a mixture-of-experts model; leave out --set experts",
    "phimoe": "block 0 of phimoe weighs experts by no multiple of the softmax or sigmoid of its logits",
    "jetmoe": "the routers of jetmoe do not return the experts that they choose",
}


@pytest.mark.parametrize("family", REFUSED)
def test_a_model_whose_routers_cannot_be_read_says_so_in_one_line(model_of, family):
    with pytest.raises(ModelError, match=REFUSED[family]) as refused:
        find_routers(model_of(family))
    assert "\n" not in str(refused.value)


@contextmanager
def weighing(model, change):
    """Let the routers of a Mixtral return other weights: `change` of their logits (tokens, experts) and places."""

    def hook(module, args, output):
        return output[0], change(output[0], output[2]), output[2]

    gates = [block.mlp.gate.register_forward_hook(hook) for block in model.model.model.layers]
    try:
        yield
    finally:
        for gate in gates:
            gate.remove()


def test_the_weights_tell_the_score_and_not_the_family(model_of):
    model = model_of("mixtral")
    with weighing(model, lambda logits, at: 2.5 * logits.sigmoid().gather(1, at)):
        assert {router.score for router in find_routers(model)} == {"sigmoid"}
    for neither in (_root, _nearly):
        with weighing(model, neither), pytest.raises(ModelError, match="no multiple of the softmax or sigmoid"):
            find_routers(model)


def _root(logits, at):
    return nn.functional.softplus(logits).sqrt().gather(1, at)


def _nearly(logits, at):
    return (logits.softmax(-1) + 0.02 * logits.sin()).gather(1, at)


def test_weights_that_fit_both_scores_are_refused(tmp_path):
    """One expert whose weight is divided by itself always has weight 1."""
    with pytest.raises(ModelError, match="of block 0 of one fit the softmax and the sigmoid of its logits alike"):
        find_routers(load(ModelSpec(id=str(routing_model(tmp_path / "one", chosen=1)))))


def routing_model(folder: Path, chosen: int = 2) -> Path:
    """A Mixtral whose block 1 sends `warm` to experts 0, 1 and `cold` to 2, 3; blocks 0, 2 send all words to 2, 3."""
    config = hf.MixtralConfig(
        num_hidden_layers=3, hidden_size=32, intermediate_size=16, num_attention_heads=2, num_key_value_heads=2,
        head_dim=16, vocab_size=len(WORDS), max_position_embeddings=64, num_local_experts=4, num_experts_per_tok=chosen,
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
            block.mlp.gate.weight[2:, 1] = torch.tensor([0.3, 0.2])  # what all words share
            if number == 1:
                block.mlp.gate.weight[:, 0] = torch.tensor([3.0, 2.0, -3.0, -2.0])
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
        assert use["share"].to_list() == pytest.approx([0.25] * 4)
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
