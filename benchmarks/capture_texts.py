"""The capture of everything against a bare Hugging Face forward that stores nothing, on short or on long texts.

    python benchmarks/capture_texts.py short [--rounds 5] [--size standard]  # items, relations, analogies, grammar
    python benchmarks/capture_texts.py long [--rounds 5] [--size quick]      # documents and buried concepts

Each round runs, in one process and in turn: the texts in the study's order in padded batches of 32; the same
length-sorted; and the capture of resid, attn and mlp at every layer, packed as a run packs it, into memory. The bare
forwards leave out the unembedding, as ours does; with it (what `model(**batch)` computes) they take another quarter.
The floor is counted: what every exact method has to compute of these texts, at the machine's rate of matrix products.
Agreement is checked on every eighth text against the text alone. The last lines are the medians of the paired ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from results import show_rounds

from layeratlas.capture import Packing, Reading, capture, choose_plan, make_plan, store_shape
from layeratlas.capture.reading import read_batch
from layeratlas.capture.trie import count_prefixes
from layeratlas.core import registry
from layeratlas.core.spec import DEFAULT_MODEL, CaptureSpec, ModelSpec
from layeratlas.models import LoadedModel, load
from layeratlas.store import MemoryStore

SPEC = CaptureSpec()
TASKS = {"short": ("items", "relations", "analogies", "grammar"), "long": ("documents", "buried")}


def bare(model: LoadedModel, ids: Sequence[tuple[int, ...]], logits: bool = False) -> None:
    """Run texts in padded batches of 32, as given, keeping nothing."""
    for start in range(0, len(ids), 32):
        part = ids[start : start + 32]
        tokens = torch.zeros(len(part), max(map(len, part)), dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for i, text in enumerate(part):
            tokens[i, : len(text)], mask[i, : len(text)] = torch.tensor(text), 1
        with torch.inference_mode():
            model.run(tokens, attention_mask=mask, logits=logits)


def ours(model: LoadedModel, readings: Sequence[Reading], packing: Packing) -> MemoryStore:
    """Capture every component at every layer."""
    store = MemoryStore(store_shape(model, len(readings), SPEC))
    capture(model, packing.batches, store, form=packing.form)
    return store


def agreement(model: LoadedModel, readings: Sequence[Reading], store: MemoryStore) -> float:
    """Return the largest relative error of a text's vector against the text alone."""
    worst = 0.0
    kept = {c: np.stack([store.read(c, i) for i in range(n)], 1) for c, n in store.shape.points.items()}
    for row in range(0, len(readings), max(8, len(readings) // 200)):
        (single,) = make_plan([readings[row]], 2048)
        for c, alone in read_batch(model, single, SPEC.components).items():
            gap = np.linalg.norm(alone[0] - kept[c][row], axis=-1) / np.linalg.norm(alone[0], axis=-1)
            worst = max(worst, float(gap.max()))
    return worst


def timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return the seconds that a call takes."""
    start = clock()
    work()
    return clock() - start


def product_rate(width: int, clock: Callable[[], float]) -> float:
    """Return the operations per second of a product (2048, width) x (width, 4 width) in float32, the best of five."""
    x, w = torch.randn(2048, width), torch.randn(width, 4 * width)
    return 2 * x.numel() * w.shape[1] / min(timed(lambda: x @ w, clock) for _ in range(5))


def floor(model: LoadedModel, computed: int, prefixes: int, seconds: dict[str, float], rate: float) -> None:
    """Print the operations of the blocks' matrices, what they take at the machine's rate, and the ratios they bound.

    Activations at a token depend on the whole prefix that it ends, so every exact method computes each distinct prefix
    at least once. No method can be faster than the matrices on these alone, with all else free.
    """
    each = 2 * sum(p.numel() for block in model.anatomy.blocks for p in block.parameters() if p.dim() > 1)
    ours, least = each * computed / rate, each * prefixes / rate
    print(
        f"floor of ours: {each * computed / 1e12:.2f} TFLOP in the blocks' matrices, at {rate / 1e9:.0f} GFLOP/s "
        f"{ours:.2f} s, {ours / seconds['ours, all stored']:.0%} of ours"
    )
    print(
        f"floor of any exact method: {prefixes:,} distinct prefixes, {each * prefixes / 1e12:.2f} TFLOP, {least:.2f} s"
    )
    for name in ("padded 32 with logits", "length-sorted 32", "padded 32"):
        print(f"{name} / floor of any exact method: {seconds[name] / least:.2f}")


def padded_tokens(ids: Sequence[tuple[int, ...]]) -> int:
    """Return the tokens, pads included, of batches of 32."""
    return sum(max(map(len, ids[s : s + 32])) * len(ids[s : s + 32]) for s in range(0, len(ids), 32))


def texts_of(kind: str, size: str, part: int) -> list[str]:
    """Return the distinct texts of every so many groups in the study's order; groups stay whole."""
    texts: dict[str, None] = {}
    for name in TASKS[kind]:
        for data in registry.get("tasks", name).build(size):
            chosen = set(list(dict.fromkeys(item.group for item in data.items))[::part])
            texts |= dict.fromkeys(item.text for item in data.items if item.group in chosen)
    return list(texts)


def main() -> None:
    """Print seconds, agreement, counts of tokens, and the ratios last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("texts", choices=TASKS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="standard")
    parser.add_argument("--part", type=int, default=1, help="every so many groups of texts only")
    parser.add_argument("--cores", action="store_true", help="seconds of all cores, for a busy machine")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    model = load(ModelSpec(id=args.model))
    ids = [tuple(model.encode(text)) for text in texts_of(args.texts, args.size, args.part)]
    by_length = sorted(ids, key=len)
    readings = [Reading(i, (len(i) - 1,)) for i in ids]
    packing = choose_plan(model, readings, SPEC)
    record = packing.record()
    sides: dict[str, Callable[[], object]] = {
        "padded 32": lambda: bare(model, ids),
        "length-sorted 32": lambda: bare(model, by_length),
        "ours, all stored": lambda: ours(model, readings, packing),
        "padded 32 with logits": lambda: bare(model, ids, logits=True),
    }
    ours(model, readings[:64], choose_plan(model, readings[:64], SPEC))  # warm up
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    clock = time.process_time if args.cores else time.perf_counter
    rate = 0.0  # the best of all rounds: a floor that a busy moment has lowered would be none
    for _ in range(args.rounds):
        for name, work in sides.items():
            seconds[name].append(timed(work, clock))
            rate = max(rate, product_rate(model.anatomy.width, clock))
    prefixes = count_prefixes(ids)
    print(
        f"{len(ids):,} texts, {record['tokens']:,} tokens; padded {padded_tokens(ids):,}, length-sorted "
        f"{padded_tokens(by_length):,}, {record['packing']} {record['tokens_computed']:,} "
        f"({record['tokens_padded']:,} with pads), distinct prefixes {prefixes:,}"
    )
    for name, values in seconds.items():
        print(f"{name:<22} {statistics.median(values):7.2f} s")
    show_rounds(seconds)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    floor(model, record["tokens_padded"], prefixes, middle, rate)
    error = agreement(model, readings, ours(model, readings, packing))
    print(f"largest relative error against each text alone: {error:.1e}")
    for name in ("padded 32 with logits", "length-sorted 32", "padded 32"):
        ratios = [a / b for a, b in zip(seconds[name], seconds["ours, all stored"], strict=True)]
        print(f"{name} / ours: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
