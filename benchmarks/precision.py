"""Rounded products (`--precision fast`) against exact ones: seconds of a core, and what they change.

    python benchmarks/precision.py [--size quick] [--tasks items relations] [--questions 24] [--rounds 3] [--model ...]

The first part captures the texts of tasks of the hierarchy both ways, in turn, and probes the vectors of every third
layer of the residual stream with ridge. The second asks questions of facts without worked examples and reads all exits
out: the forward passes, and the readout with the sums of the exact run and with those of the fast one. Printed are
the largest differences, the change of accuracy and the share of single answers that change (ties by their credit). The
script fails where an accuracy changes by more than the bound of a run. The last lines are the medians of the paired
ratios of this process's CPU seconds, of both parts together last.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
from results import show_rounds

from layeratlas.capture import Reading, Readout, capture, choose_plan, encode_choices, make_slots, store_shape
from layeratlas.capture.exit_store import ExitStore, exit_shape
from layeratlas.core import registry
from layeratlas.core.spec import DEFAULT_MODEL, CaptureSpec, ModelSpec, ProbeSpec
from layeratlas.models import LoadedModel, load
from layeratlas.models.products import EXACT, ROUNDED, Products, gain
from layeratlas.probes import bare_design, probe_layer
from layeratlas.runs.precision import BOUND
from layeratlas.stats.measures import credit
from layeratlas.store import MemoryStore
from layeratlas.studies.exits.prompts import make_prompt
from layeratlas.studies.exits.settings import ExitSettings

WAYS: tuple[Products, ...] = (EXACT, ROUNDED)
EVERY = 3


def show(name: str, changes: np.ndarray) -> bool:
    """Print what changes of credits (points, items) amount to; return whether the mean is within the bound."""
    effect = float(changes.mean())
    print(f"{name}: accuracy {effect:+.4f}; {(changes != 0).mean():.2%} of {changes.size:,} single answers change")
    return abs(effect) <= BOUND


def in_turn(rounds: int, work: Any) -> tuple[dict[Products, Any], dict[Products, list[float]]]:
    """Return the result of `work` both ways, and the CPU seconds of each round; the first way changes by round."""
    results, seconds = {}, {way: list[float]() for way in WAYS}
    for turn in range(rounds):
        for way in WAYS if turn % 2 else WAYS[::-1]:
            start = time.process_time()
            results[way] = work(way)
            seconds[way].append(time.process_time() - start)
    return results, seconds


def texts(model: LoadedModel, size: str, tasks: list[str], rounds: int) -> tuple[dict[Products, list[float]], bool]:
    """Capture and probe texts both ways; return the seconds of the capture, and whether accuracies are as before."""
    spec = CaptureSpec()
    data = [each for name in tasks for each in registry.get("tasks", name).build(size) if each.kind == "classes"]
    row = {text: i for i, text in enumerate(dict.fromkeys(text for each in data for text in each.texts))}
    readings = [Reading(tuple(ids), (len(ids) - 1,)) for ids in model.encode_all(list(row))]
    packing = choose_plan(model, readings, spec)  # proved before either side is timed

    def captured(way: Products) -> MemoryStore:
        store = MemoryStore(store_shape(model, len(readings), spec))
        capture(model.with_products(way), packing.batches, store, form=packing.form)
        return store

    stores, seconds = in_turn(rounds, captured)
    kept = True
    for component, points in stores[EXACT].shape.points.items():
        pairs = [(stores[ROUNDED].read(component, p), stores[EXACT].read(component, p)) for p in range(points)]
        off = [np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1).clip(1e-30) for a, b in pairs]
        print(f"{component}: largest difference of a vector {np.max(off):.1e} of its size, mean {np.mean(off):.1e}")
    for each in data:
        design = bare_design(each, ProbeSpec(repeats=1, shuffles=20), 0)
        rows = [row[text] for text in each.texts]
        credits = {
            way: np.stack([_credit(stores[way].read("resid", p)[rows], design) for p in range(0, points + 1, EVERY)])
            for way in WAYS
        }
        kept &= show(f"{each.name}, probes", credits[ROUNDED] - credits[EXACT])
    return seconds, kept


def _credit(x: np.ndarray, design: Any) -> np.ndarray:
    (result,) = probe_layer(x.astype(np.float64), design, ["ridge"])
    return credit(result.scores[0], design.y)


def questions(model: LoadedModel, count: int, rounds: int) -> tuple[dict[Products, list[float]], bool]:
    """Ask questions both ways; return the seconds of passes and readout, and whether accuracies are as before."""
    sets = [each for name in ("facts",) for each in registry.get("tasks", name).build("full")]
    asked = [(each, each.items[i]) for i in range(count) for each in sets if i < len(each.items)][:count]
    settings = ExitSettings(shots=0)
    prompts = [make_prompt(data, question, settings) for data, question in asked]
    continuations = [c for prompt in prompts for c in encode_choices(model, prompt.text, prompt.choices)]
    slots, spec = make_slots(continuations), CaptureSpec(components=("resid",))
    packing = choose_plan(model, slots.readings, spec)

    def scored(way: Products) -> np.ndarray:
        readout = Readout(model, exact=way == EXACT)
        store = ExitStore(MemoryStore(exit_shape(readout, slots)), readout, slots)
        capture(model.with_products(way), packing.batches, store, form=packing.form)
        print(f"{way} products: sums by {readout.normalisers.record()['way']}")
        return store.log_likelihoods()

    values, seconds = in_turn(rounds, scored)
    lengths = np.array([len(c.ids) - c.start for c in continuations])[:, None]
    off = np.abs(values[ROUNDED] - values[EXACT]) / lengths
    mean = (off**2).mean() ** 0.5
    print(f"log-likelihoods: largest difference {off.max():.2f} nats per token, root mean square {mean:.3f}")
    ends = np.cumsum([len(question.choices) for _, question in asked])[:-1]
    credits = {}
    for way in WAYS:
        parts = [(part == part.max(0)) / (part == part.max(0)).sum(0) for part in np.split(values[way], ends)]
        credits[way] = np.stack([part[q.answers[0]] for part, (_, q) in zip(parts, asked, strict=True)], 1)
    return seconds, show("facts, all exits", credits[ROUNDED] - credits[EXACT])


def main() -> None:
    """Print what changes, then the ratios, that of all last; fail where an accuracy changes by more than the bound."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--size", default="quick")
    parser.add_argument("--tasks", nargs="+", default=["items", "relations"])
    parser.add_argument("--questions", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with load(ModelSpec(id=args.model)) as model:
        print(f"a product alone is {gain(model.device, model.anatomy.width):.2f} times as fast rounded")
        of_texts, kept = texts(model, args.size, args.tasks, args.rounds)
        of_questions, kept_too = questions(model, args.questions, args.rounds)
    both = {way: [a + b for a, b in zip(of_texts[way], of_questions[way], strict=True)] for way in WAYS}
    for name, seconds in (("texts", of_texts), ("questions", of_questions), ("all", both)):
        ratio = statistics.median(a / b for a, b in zip(seconds[EXACT], seconds[ROUNDED], strict=True))
        medians = ", ".join(f"{way} {statistics.median(seconds[way]):.1f} s" for way in WAYS)
        show_rounds({f"{name}, {way}": seconds[way] for way in WAYS})
        print(f"{name}: {medians}; ratio {ratio:.2f}")
    if not (kept and kept_too):
        raise SystemExit(f"an accuracy changes by more than {BOUND}")


if __name__ == "__main__":
    main()
