"""What every worker shares: a model folder and token ids in, seconds and vectors out, one round at a time.

A worker is started as `python X_worker.py MODEL TEXTS THREADS`. TEXTS is a JSON file `{name: [[token ids], ...]}`.
Lines on standard input are `round NAME`, answered by `seconds S`, or `save NAME STEP FILE`, which captures once more,
keeps every STEP-th text and is answered by `saved`. Whatever the libraries print goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version

import torch
from safetensors.torch import save_file

BATCH = 32
Texts = Sequence[Sequence[int]]
Vectors = dict[str, torch.Tensor]  # resid (texts, layers + 1, width), attn and mlp (texts, layers, width)


def serve(package: str, load: Callable[[str], Callable[[Texts], Vectors]]) -> None:
    """Load the model, warm up on a batch of each set of texts, and answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing but answers reaches the other side

    def answer(line: str) -> None:
        print(line, file=answers, flush=True)

    model, file, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    with open(file, encoding="utf-8") as stream:
        texts: dict[str, list[list[int]]] = json.load(stream)
    capture = load(model)
    for part in texts.values():
        capture(part[:BATCH])
    answer(f"ready {package} {version(package)}, torch {torch.__version__}")
    for line in sys.stdin:
        word, name, *rest = line.rstrip("\n").split(" ", 3)
        if word == "round":
            start = time.perf_counter()
            capture(texts[name])
            answer(f"seconds {time.perf_counter() - start}")
        else:
            step = int(rest[0])
            save_file({key: value[::step].contiguous() for key, value in capture(texts[name]).items()}, rest[1])
            answer("saved")


def batches(texts: Texts) -> Iterator[list[list[int]]]:
    """Yield the texts, as given, 32 at a time."""
    for start in range(0, len(texts), BATCH):
        yield [list(text) for text in texts[start : start + BATCH]]


def padded_left(texts: Texts) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and attention mask, (texts, tokens): the last token of each text stands last."""
    width = max(map(len, texts))
    ids = torch.zeros(len(texts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, text in enumerate(texts):
        ids[i, width - len(text) :] = torch.tensor(text)
        mask[i, width - len(text) :] = 1
    return ids, mask


def joined(parts: Sequence[Vectors]) -> Vectors:
    """Return the batches' vectors as one tensor per component."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
