"""Steering the default model along a fitted direction, against the probe's weights and random directions.

    python benchmarks/steering.py [--points 1 6 9 15 18] [--random 8] [--csv FILE]

A probe is fitted on 96 short sentences about good and bad things. At each point the stream is moved by the difference
of the class means (strength 1), by the probe's weights and by random directions, all of equal norm. The table has the
change in the log-odds of four good against four bad next words, mean over four other prompts; neither these words nor
these prompts are in the sentences. The last column is the largest of the random directions, in either sense. With
`--csv` the sentences are written to a file for `layeratlas run hierarchy --data`, and nothing is measured.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import layeratlas as la
from layeratlas.core.edits import Edit
from layeratlas.directions.steering import random_like
from layeratlas.models import LoadedModel, load

POSITIVE = ("wonderful", "excellent", "delightful", "brilliant", "charming", "lovely")
NEGATIVE = ("terrible", "awful", "dreadful", "horrible", "dull", "nasty")
SUBJECTS = ("The film", "Her new book", "Our trip", "The concert", "His speech", "The meal", "That hotel", "My day")
PROMPTS = (
    "The service at the restaurant was",
    "When I opened the letter I felt",
    "The weather on the island is",
    "People who work there say it is",
)
GOOD, BAD = ("great", "good", "happy", "nice"), ("bad", "sad", "angry", "poor")


def sentences() -> list[tuple[str, str, int]]:
    """Return sentences, labels and groups; a pair of words is one group."""
    pairs = enumerate(zip(POSITIVE, NEGATIVE, strict=True))
    words = [(word, label, number) for number, pair in pairs for word, label in zip(pair, ("good", "bad"), strict=True)]
    return [(f"{subject} was {word}", label, number) for word, label, number in words for subject in SUBJECTS]


def fitted(out: Path) -> la.Run:
    """Return a run that probes the sentences."""
    texts, labels, groups = (list(column) for column in zip(*sentences(), strict=True))
    mood = {"mood": labels}
    return la.probe(texts, mood, groups=groups, size="quick", components=["resid"], probe=["ridge"], out=out)


def log_odds(model: LoadedModel, edits: Sequence[Edit]) -> float:
    """Return the log-odds of a good against a bad next word, nats, mean over the prompts."""
    good, bad = ([model.encode(f" {word}")[-1] for word in words] for words in (GOOD, BAD))
    odds = []
    for prompt in PROMPTS:
        with la.intervene(model, list(edits)):
            logits = model.run(torch.tensor([model.encode(prompt)]), logits=True)[0, -1]
        odds.append(float(logits[good].logsumexp(0) - logits[bad].logsumexp(0)))
    return float(np.mean(odds))


def main() -> None:
    """Print a line per point, the last of the points last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--points", nargs="+", type=int, default=[1, 6, 9, 15, 18])
    parser.add_argument("--random", type=int, default=8)
    parser.add_argument("--csv", type=Path, help="write the sentences to this file, and stop")
    args = parser.parse_args()
    if args.csv:
        with args.csv.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label", "group"), *sentences()])
        return
    with tempfile.TemporaryDirectory() as folder:
        run = fitted(Path(folder) / "run")
        directions = [run.direction("mood", point) for point in args.points]
    model = load(la.ModelSpec())
    clean = log_odds(model, [])
    print(f"without steering: log-odds {clean:+.2f}")
    print(f"{'point':>5}{'accuracy':>10}{'to good':>10}{'to bad':>10}{'weights':>10}{'largest of random':>20}")
    for point, direction in zip(args.points, directions, strict=True):
        towards, away = direction.edit(to="good"), direction.edit(to="bad")
        weight = direction.weight[:1] * np.linalg.norm(towards.vectors) / np.linalg.norm(direction.weight)
        edits = [towards, away, replace(towards, vectors=weight)]
        edits += [random_like(towards, seed) for seed in range(args.random)]
        good, bad, weights, *random = (log_odds(model, [edit]) - clean for edit in edits)
        largest = max(map(abs, random))
        print(f"{point:>5}{direction.quality.value:>10.2f}{good:>+10.1f}{bad:>+10.1f}{weights:>+10.1f}{largest:>20.1f}")


if __name__ == "__main__":
    main()
