"""Short texts: the prefix trie with everything stored, against a bare Hugging Face forward that stores nothing.

    python benchmarks/capture_short.py [--rounds 5] [--size standard] [--model ...]

Each round runs, in one process and in turn: the texts in the study's order in padded batches of 32; the same
length-sorted; and the capture of resid, attn and mlp at every layer through the trie, into memory. The last line is
the ratio of medians, padded over trie. Agreement is checked on every eighth text against the text alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from layeratlas import registry
from layeratlas.capture import Packing, Reading, capture, choose_plan, make_plan, store_shape
from layeratlas.capture.reading import read_batch
from layeratlas.models import LoadedModel, load
from layeratlas.spec import DEFAULT_MODEL, CaptureSpec, ModelSpec
from layeratlas.store import MemoryStore

SPEC = CaptureSpec()


def bare(model: LoadedModel, ids: Sequence[tuple[int, ...]]) -> None:
    """Run texts in padded batches of 32, as given, keeping nothing."""
    for start in range(0, len(ids), 32):
        part = ids[start : start + 32]
        tokens = torch.zeros(len(part), max(map(len, part)), dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for i, text in enumerate(part):
            tokens[i, : len(text)], mask[i, : len(text)] = torch.tensor(text), 1
        with torch.inference_mode():
            model.run(tokens, attention_mask=mask)


def ours(model: LoadedModel, readings: Sequence[Reading], packing: Packing) -> MemoryStore:
    """Capture every component at every layer."""
    store = MemoryStore(store_shape(model, len(readings), SPEC))
    capture(model, packing.batches, store, form=packing.form)
    return store


def agreement(model: LoadedModel, readings: Sequence[Reading], store: MemoryStore) -> float:
    """Return the largest relative error of a text's vector against the text alone."""
    worst = 0.0
    kept = {c: np.stack([store.read(c, i) for i in range(n)], 1) for c, n in store.shape.points.items()}
    for row in range(0, len(readings), 8):
        (single,) = make_plan([readings[row]], 2048)
        for c, alone in read_batch(model, single, SPEC.components).items():
            gap = np.linalg.norm(alone[0] - kept[c][row], axis=-1) / np.linalg.norm(alone[0], axis=-1)
            worst = max(worst, float(gap.max()))
    return worst


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Print seconds, agreement, counts of tokens, and the ratio last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="standard")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    model = load(ModelSpec(id=args.model))
    study = registry.get("studies", "hierarchy")
    data = [d for name in study.tasks for d in registry.get("tasks", name).build(args.size)]
    ids = [tuple(model.encode(t)) for t in dict.fromkeys(t for d in data for t in d.texts)]
    readings = [Reading(i, (len(i) - 1,)) for i in ids]
    packing = choose_plan(model, readings, SPEC)
    record = packing.record()
    sides: dict[str, Callable[[], object]] = {
        "padded 32": lambda: bare(model, ids),
        "length-sorted 32": lambda: bare(model, sorted(ids, key=len)),
        "trie, all stored": lambda: ours(model, readings, packing),
    }
    ours(model, readings[:200], choose_plan(model, readings[:200], SPEC))  # warm up
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name, work in sides.items():
            seconds[name].append(timed(work))
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    padded = sum(max(map(len, ids[s : s + 32])) * len(ids[s : s + 32]) for s in range(0, len(ids), 32))
    print(f"{len(ids):,} texts, {record['tokens']:,} tokens; padded {padded:,}; trie {record['tokens_computed']:,}")
    for name, value in middle.items():
        print(f"{name:<18} {value:7.2f} s   rounds: {' '.join(f'{v:.2f}' for v in seconds[name])}")
    error = agreement(model, readings, ours(model, readings, packing))
    print(f"largest relative error against each text alone: {error:.1e}")
    print(f"length-sorted / trie: {middle['length-sorted 32'] / middle['trie, all stored']:.2f}")
    print(f"padded / trie: {middle['padded 32'] / middle['trie, all stored']:.2f}")


if __name__ == "__main__":
    main()
