"""What storing costs: all components of all layers through a packed batch, against the same forward without hooks.

    python benchmarks/overhead.py [--rounds 5] [--model ...]

Both sides run the same batches of the study's short texts in turn, in one process, masks included; ours also copies
resid, attn and mlp at every layer into a store in memory and checks them. The last line is the median of the paired
ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from capture_texts import texts_of
from results import show_rounds

from layeratlas.capture import Reading, capture, choose_plan, store_shape
from layeratlas.capture.masks import tree_mask
from layeratlas.core.spec import DEFAULT_MODEL, CaptureSpec, ModelSpec
from layeratlas.models import load
from layeratlas.store import MemoryStore

SPEC = CaptureSpec()


def main() -> None:
    """Print seconds, and the ratio last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    model = load(ModelSpec(id=args.model))
    ids = [tuple(model.encode(text)) for text in texts_of("short", "quick", 1)]
    readings = [Reading(i, (len(i) - 1,)) for i in ids]
    packing = choose_plan(model, readings, SPEC)

    def bare() -> float:
        start = time.perf_counter()
        for batch in packing.batches:
            mask = tree_mask(model, batch, packing.form)
            depths = None if batch.depths is None else torch.from_numpy(batch.depths)
            with torch.inference_mode():
                model.run(torch.from_numpy(batch.ids), attention_mask=mask, position_ids=depths)
        return time.perf_counter() - start

    def ours() -> float:
        store = MemoryStore(store_shape(model, len(readings), SPEC))
        start = time.perf_counter()
        capture(model, packing.batches, store, form=packing.form)
        return time.perf_counter() - start

    bare(), ours()
    pairs = []
    for turn in range(args.rounds):
        # Who goes first changes, since a machine slows down and speeds up.
        first, second = (bare, ours) if turn % 2 else (ours, bare)
        seconds = {first: first(), second: second()}
        pairs.append((seconds[bare], seconds[ours]))
    print(f"{len(readings)} texts, {len(packing.batches)} batches")
    plain, stored = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    show_rounds({side: [pair[i] for pair in pairs] for i, side in enumerate(("without hooks", "stored"))})
    print(f"without hooks {plain:.2f} s, stored {stored:.2f} s")
    print(f"stored / without hooks: {statistics.median(b / a for a, b in pairs):.3f}")


if __name__ == "__main__":
    main()
