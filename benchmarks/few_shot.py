"""Four-shot, four-choice questions: the trie against one forward per choice.

    python benchmarks/few_shot.py [--rounds 5] [--questions 40] [--model ...]

Every question follows the same four worked examples and has four answers, so that examples and question are shared.
One side runs each choice as a text of its own; the other captures all through the trie. Both read the residual stream
at the last token of every layer; agreement is checked on all of them. The last line is the median of the paired ratios.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time

import numpy as np
from results import show_rounds

from layeratlas.capture import Reading, capture, choose_plan, make_plan, store_shape
from layeratlas.core.spec import DEFAULT_MODEL, CaptureSpec, ModelSpec
from layeratlas.models import load
from layeratlas.store import MemoryStore

SPEC = CaptureSpec(components=("resid",))
THINGS = ("apples", "stamps", "marbles", "coins", "books", "cards")
NAMES = ("Ada", "Bert", "Clara", "Dan", "Edith", "Frank")


def question(rng: random.Random) -> tuple[str, int]:
    """Return a word problem and its answer."""
    a, b, c = rng.randint(12, 60), rng.randint(3, 11), rng.randint(5, 40)
    one, two = rng.sample(NAMES, 2)
    thing = rng.choice(THINGS)
    text = (
        f"Question: {one} has {a} {thing} and gives {b} of them to {two}. Later {one} finds {c} more {thing} in a "
        f"drawer. How many {thing} does {one} have now?\nAnswer:"
    )
    return text, a - b + c


def main() -> None:
    """Print counts, seconds, agreement, and the ratio last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    model = load(ModelSpec(id=args.model))
    rng = random.Random(0)
    shots = "\n\n".join(f"{text} {answer}" for text, answer in (question(rng) for _ in range(4)))
    texts = []
    for _ in range(args.questions):
        text, answer = question(rng)
        texts += [f"{shots}\n\n{text} {answer + off}" for off in (0, *rng.sample((-10, -3, -1, 1, 2, 10), 3))]
    ids = [tuple(model.encode(text)) for text in texts]
    readings = [Reading(i, (len(i) - 1,)) for i in ids]
    packing = choose_plan(model, readings, SPEC)
    alone = [make_plan([reading], 2048)[0] for reading in readings]

    def run(singly: bool) -> tuple[float, MemoryStore]:
        store = MemoryStore(store_shape(model, len(readings), SPEC))
        start = time.perf_counter()
        if singly:
            for row, batch in enumerate(alone):
                one = MemoryStore(store_shape(model, 1, SPEC))
                capture(model, [batch], one)
                layers = range(one.shape.points["resid"])
                store.write(str(row), [row], {"resid": np.stack([one.read("resid", i) for i in layers], 1)})
        else:
            capture(model, packing.batches, store, form=packing.form)
        return time.perf_counter() - start, store

    run(False)
    ratios, seconds = [], []
    for _ in range(args.rounds):
        (one, reference), (ours, kept) = run(True), run(False)
        seconds.append((one, ours))
        ratios.append(one / ours)
    worst = 0.0
    for layer in range(reference.shape.points["resid"]):
        a, b = reference.read("resid", layer), kept.read("resid", layer)
        worst = max(worst, float((np.linalg.norm(a - b, axis=1) / np.linalg.norm(a, axis=1)).max()))
    record = packing.record()
    counts = f"{record['tokens']:,} tokens; trie {record['tokens_computed']:,}"
    print(f"{args.questions} questions, {len(texts)} choices, {counts}")
    one, ours = (statistics.median(pair[side] for pair in seconds) for side in (0, 1))
    show_rounds({"one forward per choice": [one for one, _ in seconds], "trie": [ours for _, ours in seconds]})
    print(f"one forward per choice {one:.2f} s, trie {ours:.2f} s")
    print(f"largest relative error: {worst:.1e}")
    print(f"one forward per choice / trie: {statistics.median(ratios):.1f}")


if __name__ == "__main__":
    main()
