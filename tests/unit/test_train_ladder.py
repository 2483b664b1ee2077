"""The ladder's script: every checkpoint is a model with its tokenizer, and texts are held out from training."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from layeratlas.core.steps import checkpoints_below
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


def test_every_twentieth_passage_is_held_out(tmp_path: Path) -> None:
    training, held_out = ladder.passages_of([passages(tmp_path)])
    assert len(held_out) == 6
    assert set(training).isdisjoint(held_out)
