"""Pairs of models with random weights share no hierarchy: what the comparison of each pair says, counted.

Stated rate: 5 % of pairs, for each claim and each finding that need not be true of two different networks.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import transformers as hf

import fake_models as fake
import layeratlas as la
from layeratlas.comparison import compare
from layeratlas.comparison import page as comparing
from layeratlas.core.progress import Progress
from layeratlas.core.spec import DEFAULT_MODEL
from layeratlas.models.gguf_cache import unpack
from layeratlas.models.sources import find_source
from layeratlas.runs.finished import read_run
from layeratlas.validation.cases import ORDERED
from layeratlas.validation.planted import placeholder_data, simulate_run

# Blocks and width of the models, of which each is drawn with several seeds.
SHAPES, SEEDS = ((6, 64), (12, 48), (24, 32)), 5
TASKS = ("items", "relations", "analogies")
# Which of four words is how many words before the last one: random attention mixes earlier words in, so that these
# levels are read in every model, and not all comparisons are undecided.
EARLIER = {"last_word": 0, "two_back": 2, "four_back": 4}
WORDS = ("stone", "river", "paper", "cloud")
FILLERS = (
    "old", "small", "green", "town", "late", "north", "quiet", "grey", "train", "early", "street", "lamp", "chair",
    "winter", "market", "bridge",
)  # fmt: skip
PLANTED = 5
# What is true of two networks: the same texts are read better in one of them, or perfectly in both.
TRUE_OF_NETWORKS = "peak value"


def earlier_words(folder: Path) -> list[Path]:
    rng, paths = np.random.default_rng(0), []
    for name, back in EARLIER.items():
        rows: dict[str, str] = {}
        while len(rows) < 240:
            words, asked = list(rng.choice(FILLERS, 7)), WORDS[rng.integers(len(WORDS))]
            words[-1 - back] = asked
            rows[" ".join(words)] = asked
        paths.append(folder / f"{name}.csv")
        paths[-1].write_text("\n".join(["text,label", *(f"{text},{label}" for text, label in rows.items())]))
    return paths


def random_models(folder: Path) -> list[Path]:
    """Write models with the tokenizer of the built-in model and weights as transformers initialises them."""
    known = unpack(find_source(DEFAULT_MODEL), Progress()).where["pretrained_model_name_or_path"]
    tokenizer = hf.AutoTokenizer.from_pretrained(known)
    paths = []
    for depth, width in SHAPES:
        for seed in range(SEEDS):
            config = hf.LlamaConfig(
                hidden_size=width, intermediate_size=2 * width, num_hidden_layers=depth, num_attention_heads=4,
                num_key_value_heads=2, vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0,
                tie_word_embeddings=True, max_position_embeddings=256,
            )  # fmt: skip
            paths.append(folder / f"random-{depth}x{width}-{seed}")
            torch.manual_seed(100 * depth + seed)
            hf.LlamaForCausalLM(config).save_pretrained(paths[-1])
            tokenizer.save_pretrained(paths[-1])
    return paths


def random_runs(folder: Path) -> list[Path]:
    data = [str(path) for path in earlier_words(folder)]
    runs = []
    for model in random_models(folder):
        asked = {"size": "quick", "tasks": TASKS, "data": data, "probe": "ridge", "components": "resid"}
        runs.append(la.run("hierarchy", model=str(model), out=folder / "runs" / model.name, **asked).folder)
        shutil.rmtree(model)
    return runs


def planted_runs(folder: Path) -> list[Path]:
    """Simulate runs in which items peak before relations, and relations before analogies, each at depths of its own."""
    runs = []
    for seed in range(PLANTED):
        material = placeholder_data(ORDERED.tasks, "quick")
        signal = ORDERED.plant(np.random.default_rng([seed, 5]), {data.name: data.level for data in material})
        simulate_run(folder / f"simulated-{seed}", material, signal.strength, seed)
        model = fake.FakeModel(f"planted-{seed}", fake.rise(0.8), 30)
        runs.append(fake.write_model(folder / model.name, model))
        for name in ("curves.parquet", "findings.parquet", "draws.safetensors"):
            shutil.copy(folder / f"simulated-{seed}" / name, runs[-1] / name)
    return runs


def said_of_pairs(runs: Sequence[Path], folder: Path) -> tuple[Counter[tuple[str, str, str]], int]:
    """Return in how many comparisons of two runs each claim and each finding has each verdict, and how many there are.

    A claim or finding is its name, its level and its verdict.
    """
    said: Counter[tuple[str, str, str]] = Counter()
    pairs = list(combinations(runs, 2))
    for pair in pairs:
        out = compare(pair, folder / "compared")
        claims = pl.read_parquet(out / "claims.parquet").select(pl.format("claim {}", "claim"), pl.lit(""), "verdict")
        findings = pl.read_parquet(out / "findings.parquet").select("finding", "level", "verdict")
        said.update({row for table in (claims, findings) for row in table.iter_rows()})
        shutil.rmtree(out)
    return said, len(pairs)


def shown(title: str, said: Counter[tuple[str, str, str]], pairs: int) -> None:
    print(f"\n{title}, {pairs} pairs")
    for (name, level, verdict), count in sorted(said.items()):
        if verdict != "inconclusive":
            print(f"  {name} {level}: {verdict} in {count} ({count / pairs:.1%})")
    decided = {name for name, _, verdict in said if verdict != "inconclusive"}
    claims = {name for name, _, _ in said if name.startswith("claim")}
    print(f"  no verdict of any pair: {len(claims - decided)} of {len(claims)} claims")


@pytest.mark.truth
def test_models_with_random_weights_are_not_said_to_share_a_hierarchy(tmp_path, monkeypatch):
    """Claims and shared depths: at most 5 % of pairs. Pairs with a planted hierarchy: found in at least 90 %."""
    monkeypatch.setattr(comparing, "build_comparison", lambda place: place)  # the page is tested elsewhere
    runs = random_runs(tmp_path)
    levels = pl.concat(read_run(run).findings for run in runs).filter(finding="peak", verdict="supported")["level"]
    print("\nread in how many of", len(runs), "models:", dict(Counter(levels)))
    assert all(Counter(levels)[name] == len(runs) for name in EARLIER)  # or nothing could be said falsely
    said, pairs = said_of_pairs(runs, tmp_path)
    shown("random weights", said, pairs)
    false = {key: count for key, count in said.items() if key[2] != "inconclusive" and key[0] != TRUE_OF_NETWORKS}
    assert {key: count for key, count in false.items() if count > 0.05 * pairs} == {}
    found, planted = said_of_pairs(planted_runs(tmp_path), tmp_path)
    shown("a planted hierarchy", found, planted)
    assert found["claim H1", "", "supported"] >= 0.9 * planted
