"""The ladder's script: every checkpoint is a model with its tokenizer, and texts are held out from training."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from layeratlas.core.spec import ModelSpec
from layeratlas.core.steps import checkpoints_below
from layeratlas.models import load
from layeratlas.models.routers import find_routers
from scripts import script

script("tools/ladder_texts.py")
ladder = script("tools/train_ladder.py")


def passages(folder: Path) -> Path:
    """Write passages in which each word has one of two that follow it."""
    rng = np.random.default_rng(0)
    names = [f"{a}{b}" for a in "bdgkmp" for b in "aeiou"]
    texts = []
    for _ in range(120):
        words = [int(rng.integers(len(names)))]
        while len(words) < 40:
            words.append((3 * words[-1] + int(rng.integers(2))) % len(names))
        texts.append(" ".join(names[word] for word in words))
    path = folder / "passages.txt"
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def test_a_ladder_has_checkpoints_that_load_and_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = ladder.Plan(widths=(16, 32), blocks=1, steps=128, batch=4, context=32, vocabulary=320)
    monkeypatch.setattr(ladder, "SHORT", plan)
    out = tmp_path / "ladder"
    monkeypatch.setattr(sys, "argv", ["ladder", "--short", "--text", str(passages(tmp_path)), "--out", str(out)])
    ladder.main()
    about = json.loads((out / "ladder.json").read_text(encoding="utf-8"))
    for width in plan.widths:
        folder = out / f"width-{width}"
        names = [path.name for path in checkpoints_below(folder)]
        assert names == [f"step{2**k}" for k in range(8)]
        assert all((folder / name / "tokenizer.json").exists() for name in names)
        losses = about["models"][folder.name]["loss"]
        assert losses["step128"] < losses["step1"] - 0.5
    assert {path.name for path in out.glob("*.csv")} == {"sources.csv", "two_back.csv", "four_back.csv"}
    assert "held-out loss" in capsys.readouterr().out


def test_a_ladder_of_experts_has_routers_and_as_many_weights_per_token(tmp_path: Path) -> None:
    plan = ladder.Plan(widths=(32,), blocks=2, steps=128, batch=4, context=32, vocabulary=320, experts=4)
    training, held_out = ladder.passages_of([passages(tmp_path)])
    tokenizer = ladder.make_tokenizer(training, plan.vocabulary)
    data = tuple(ladder.windows(texts, tokenizer, plan.context) for texts in (training, held_out))
    model = ladder.make_model(32, plan, len(tokenizer))
    losses = ladder.train(model, tokenizer, data, plan, tmp_path / "width-32")
    assert losses["step128"] < losses["step1"] - 0.5
    last = load(ModelSpec(id=str(tmp_path / "width-32" / "step128")))
    assert [(router.block, router.experts, router.chosen) for router in find_routers(last)] == [(0, 4, 2), (1, 4, 2)]
    dense = ladder.make_model(32, replace(plan, experts=0), len(tokenizer))
    routed = sum(p.numel() for name, p in model.named_parameters() if "experts" in name)
    fed = sum(p.numel() for name, p in dense.named_parameters() if "mlp" in name)
    assert routed * ladder.CHOSEN / plan.experts == fed
    gates = [layer.mlp.gate.weight.detach().clone() for layer in model.model.layers]
    ladder.draw_routers(model, 0)
    for before, layer in zip(gates, model.model.layers, strict=True):
        after = layer.mlp.gate.weight
        torch.testing.assert_close(after.norm(dim=1), before.norm(dim=1))
        assert torch.cosine_similarity(after, before).abs().max() < 0.8


def test_the_use_of_experts_is_balanced_in_every_block_and_not_over_all_together() -> None:
    """Two blocks that each send all tokens to two of four experts, and together use all of them evenly."""
    even, own, other = torch.zeros(64, 4), torch.zeros(64, 4), torch.zeros(64, 4)
    own[:, 2:], other[:, :2] = -20.0, -20.0
    even += 0.01 * torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    assert float(ladder.balance_loss((even, even), 4)) == pytest.approx(ladder.CHOSEN, rel=0.02)
    assert float(ladder.balance_loss((own, other), 4)) == pytest.approx(2 * ladder.CHOSEN, rel=1e-6)


def test_every_twentieth_passage_is_held_out(tmp_path: Path) -> None:
    training, held_out = ladder.passages_of([passages(tmp_path)])
    assert len(held_out) == 6
    assert set(training).isdisjoint(held_out)
