"""A direction from labelled sentences steers the built-in model towards the words it was fitted for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import layeratlas as la
from layeratlas.directions.steering import random_like
from layeratlas.models import load
from layeratlas.models.sources import default_gguf
from layeratlas.report import figures

pytestmark = pytest.mark.skipif(default_gguf() is None, reason="the default model is not installed")

POSITIVE = ("wonderful", "excellent", "delightful", "brilliant", "charming", "lovely")
NEGATIVE = ("terrible", "awful", "dreadful", "horrible", "dull", "nasty")
SUBJECTS = ("The film", "Her new book", "Our trip", "The concert")
# Neither these prompts nor these words are in the texts.
PROMPTS = ("The service at the restaurant was", "When I opened the letter I felt")
GOOD, BAD = ("great", "good", "happy"), ("bad", "sad", "angry")
LAYER = 9


@pytest.fixture(scope="module")
def model():
    return load(la.ModelSpec())


@pytest.fixture(scope="module")
def direction(tmp_path_factory):
    words = [
        (word, label) for pair in zip(POSITIVE, NEGATIVE, strict=True) for word, label in zip(pair, "pn", strict=True)
    ]
    rows = [(f"{subject} was {word}", label, i // 2) for i, (word, label) in enumerate(words) for subject in SUBJECTS]
    texts, labels, groups = (list(column) for column in zip(*rows, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "write_map", lambda folder, view: None)
        run = la.probe(
            texts,
            {"mood": labels},
            groups=groups,
            size="quick",
            components=["resid"],
            probe=["ridge"],
            out=tmp_path_factory.mktemp("mood") / "run",
        )
    return run.direction("mood", LAYER)


def mood(model, edits) -> float:
    """The log-odds of a good against a bad word as the next one, mean over the prompts."""
    good, bad = ([model.encode(f" {word}")[-1] for word in words] for words in (GOOD, BAD))
    odds = []
    for prompt in PROMPTS:
        with la.intervene(model, edits):
            logits = model.run(torch.tensor([model.encode(prompt)]), logits=True)[0, -1]
        odds.append(float(logits[good].logsumexp(0) - logits[bad].logsumexp(0)))
    return float(np.mean(odds))


def test_steering_moves_the_next_word_both_ways_and_random_directions_do_not(model, direction):
    assert direction.quality.value > 0.9
    clean = mood(model, [])
    towards = mood(model, [direction.edit(to="p")]) - clean
    away = mood(model, [direction.edit(to="n")]) - clean
    random = [mood(model, [random_like(direction.edit(), seed)]) - clean for seed in range(10)]
    assert towards > 1.0
    assert away < -0.5
    # No random direction of equal norm does what the direction does, and on average they do nothing.
    assert max(random) < 0.75 * towards
    assert abs(np.mean(random)) < 0.25 * towards
