"""All exits of a model against lm-evaluation-harness's last layer, on the same questions, prompt and encoding.

    python benchmarks/exits.py --questions 500 --rounds 1 [--shots 4] [--tasks facts logic] [--model ...] [--screened]
    python benchmarks/exits.py --against exact [...]

With `--against exact` the other side is the same readout with every normaliser summed over the whole vocabulary in
float32: what choosing words by an 8-bit product saves, of the readout alone and with the forward passes. It also
prints the rate of one core's products in float32, bf16 and 8-bit integers, and the share of sums that were made over
the whole vocabulary all the same. It fails where a log-likelihood differs by more than 1e-3 nats per token, or another
choice wins at an exit by more than that.

The questions are the project's own, as many of each set: facts, arithmetic, word problems and logic. One side scores
every choice at all L + 1 exits: encoding, forward, readout, sums (exact, as by default; with `--screened` as with
`--set normaliser=auto`). The other is `simple_evaluate` of lm-evaluation-harness (`pip install lm_eval`) on a task of
its own kind made of the same prompts and choices, on the same model object, in this process, at batch size 8. Every
choice's log-likelihood at the last exit is compared, and `acc`, `acc_norm` (per character) and `acc_bytes` with those
that the harness itself reports; the script fails where they differ. The last lines are the medians of the paired ratios
of seconds of cores, which other work on the machine changes less, and of time.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import statistics
import time
from typing import Any

import numpy as np
import torch
from results import show_rounds

from layeratlas.capture import Readout, capture, choose_plan, encode_choices, make_slots
from layeratlas.capture.exit_store import ExitStore, exit_shape
from layeratlas.core import registry
from layeratlas.core.spec import DEFAULT_MODEL, CaptureSpec, ModelSpec
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.models import LoadedModel, load
from layeratlas.store import MemoryStore
from layeratlas.studies.exits.prompts import Prompt, make_prompt
from layeratlas.studies.exits.settings import ExitSettings

SPEC = CaptureSpec(components=("resid",))
TASKS = ("facts", "arithmetic", "word_problems", "logic")
# The harness's names for scores, and what each divides a log-likelihood by.
SCORES = {"acc": lambda text: 1, "acc_norm": len, "acc_bytes": lambda text: len(text.encode())}
Posed = list[tuple[Question, Prompt]]


def pose(tasks: list[str], count: int, shots: int) -> Posed:
    """Return so many questions, one of each set in turn, and how they are asked."""
    sets: list[QuestionSet] = [data for name in tasks for data in registry.get("tasks", name).build("full")]
    turns = [(data, data.items[i]) for i in range(count) for data in sets if i < len(data.items)]
    return [(question, make_prompt(data, question, ExitSettings(shots=shots))) for data, question in turns[:count]]


class TimedReadout(Readout):
    """A readout that adds up the seconds that it takes: by the clock, and of all cores."""

    seconds, core_seconds = 0.0, 0.0

    def log_probs(self, *args: Any) -> Any:
        """As it is, timed."""
        start, core_start = time.perf_counter(), time.process_time()
        values = super().log_probs(*args)
        self.seconds += time.perf_counter() - start
        self.core_seconds += time.process_time() - core_start
        return values


def ours(model: LoadedModel, posed: Posed, readout: Readout) -> np.ndarray:
    """Return the log-likelihood of every choice at every exit, (choices, exits)."""
    slots = make_slots([c for _, prompt in posed for c in encode_choices(model, prompt.text, prompt.choices)])
    store = ExitStore(MemoryStore(exit_shape(readout, slots)), readout, slots)
    packing = choose_plan(model, slots.readings, SPEC)  # proves the packing, once
    capture(model, packing.batches, store, form=packing.form)
    return store.log_likelihoods()


def theirs(harness: Any, posed: Posed) -> tuple[np.ndarray, dict[str, float]]:
    """Return the log-likelihood of every choice at the last layer and the scores that the harness makes of them."""
    from datasets import Dataset
    from lm_eval import simple_evaluate
    from lm_eval.api.task import ConfigurableTask

    rows = [{"prompt": prompt.text, "choices": q.choices, "answer": q.answers[0]} for q, prompt in posed]
    task = ConfigurableTask(
        config={
            "task": "same_questions",
            "custom_dataset": lambda **_: {"test": Dataset.from_list(rows)},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "prompt",
            "doc_to_choice": "choices",
            "doc_to_target": "answer",
            "target_delimiter": " ",
            "metric_list": [{"metric": name} for name in SCORES],
        }
    )
    done = simple_evaluate(model=harness, tasks=[task], bootstrap_iters=0, verbosity="ERROR")
    samples = sorted(done["samples"]["same_questions"], key=lambda sample: sample["doc_id"])
    values = [float(score) for sample in samples for score, _ in sample["filtered_resps"]]
    return np.array(values), {name: done["results"]["same_questions"][f"{name},none"] for name in SCORES}


def scores(values: np.ndarray, posed: Posed) -> dict[str, float]:
    """Return the scores of log-likelihoods, (choices,); the first of the best counts, as in the harness."""
    ends = np.cumsum([len(q.choices) for q, _ in posed])[:-1]
    parts = np.split(values, ends)
    found = {}
    for name, size in SCORES.items():
        best = [np.argmax(part / [size(c) for c in q.choices]) for part, (q, _) in zip(parts, posed, strict=True)]
        found[name] = float(np.mean([b == q.answers[0] for b, (q, _) in zip(best, posed, strict=True)]))
    return found


def against_exact(model: LoadedModel, posed: Posed, rounds: int) -> None:
    """Print counts, seconds and agreement of both ways to normalise, and the ratios of time, the readout's last."""
    slots = make_slots([c for _, prompt in posed for c in encode_choices(model, prompt.text, prompt.choices)])
    choose_plan(model, slots.readings, SPEC)  # proved before either side is timed
    pairs: list[dict[bool, tuple[float, TimedReadout]]] = []
    values = {}
    for turn in range(rounds):
        pairs.append({})
        for exact in (True, False) if turn % 2 else (False, True):
            readout, start = TimedReadout(model, exact=exact), time.process_time()
            values[exact] = ours(model, posed, readout)
            pairs[-1][exact] = (time.process_time() - start, readout)
    lengths = [len(c.ids) - c.start for _, p in posed for c in encode_choices(model, p.text, p.choices)]
    apart = np.abs(values[True] - values[False]) / np.array(lengths)[:, None]
    flipped, ties = decisions(values, posed)
    vocabulary, width = model.anatomy.unembedding.weight.shape
    record = pairs[-1][False][1].normalisers.record()
    rows = record.get("rows", 0)
    print(f"{len(posed)} questions, {apart.size} log-likelihoods; {record}")
    rates = product_rates(model.anatomy.unembedding.weight.detach())
    print("products on one core:", ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in rates.items()))
    if rows:
        print(f"sums made over the whole vocabulary all the same: {record['exactly'] / rows:.1%}")
    for exact, name in ((True, "whole vocabulary"), (False, "8-bit screen")):
        core = statistics.median(pair[exact][1].core_seconds for pair in pairs)
        rate = 2e-9 * rows * vocabulary * width / core
        print(f"{name}: readout {core:.1f} s of a core, as {rate:.0f} GFLOP/s of one float32 product")
    print(
        f"largest difference: {apart.max():.1e} nats per token, {np.abs(values[True] - values[False]).max():.1e} in all"
    )
    print(f"decisions: {flipped} of {len(posed) * apart.shape[1]} differ, {ties} of them within 1e-3 nats")
    for exact, name in ((True, "whole vocabulary"), (False, "8-bit screen")):
        show_rounds({f"{name}, readout": [pair[exact][1].core_seconds for pair in pairs]})
        show_rounds({f"{name}, all": [pair[exact][0] for pair in pairs]})
    for name, of in (("clock", lambda r: r.seconds), ("cores", lambda r: r.core_seconds)):
        print(f"readout, {name}: {statistics.median(of(p[True][1]) / of(p[False][1]) for p in pairs):.2f}")
    print(f"all, cores: {statistics.median(pair[True][0] / pair[False][0] for pair in pairs):.2f}")
    if apart.max() > 1e-3 or flipped > ties:
        raise SystemExit("the screened sums are not the exact ones")


def product_rates(weight: torch.Tensor, rows: int = 512, words: int = 8192, rounds: int = 5) -> dict[str, float]:
    """Return the rate of one core's products of states with words of an unembedding, GFLOP/s by dtype; best of rounds.

    Seconds are those of the core, which other work on the machine changes less than the clock. The 8-bit product gives
    32-bit integers; its operations are counted like those of floats.
    """
    words = min(words, len(weight))
    states, table = torch.randn(rows, weight.shape[1]), weight[:words].float()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    rates = {}
    for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16), ("int8", torch.int8)):
        if dtype is torch.int8 and not hasattr(torch, "_int_mm"):
            continue
        times = 127 / float(table.abs().max()) if dtype is torch.int8 else 1.0
        a, b = (states * (30 if times != 1 else 1)).clamp(-127, 127).to(dtype), (table * times).to(dtype)
        multiply = torch._int_mm if dtype is torch.int8 else torch.matmul
        seconds = []
        for _ in range(rounds):
            start = time.process_time()
            multiply(a, b.T)
            seconds.append(time.process_time() - start)
        rates[name] = 2e-9 * rows * words * weight.shape[1] / min(seconds)
    torch.set_num_threads(threads)
    return rates


def decisions(values: dict[bool, np.ndarray], posed: Posed) -> tuple[int, int]:
    """Return how many choices at an exit differ, and how many of these lie within 1e-3 nats."""
    ends = np.cumsum([len(q.choices) for q, _ in posed])[:-1]
    flipped = ties = 0
    for one, other in zip(*(np.split(values[exact], ends) for exact in (True, False)), strict=True):
        chosen = other.argmax(0)
        lost = one.max(0) - np.take_along_axis(one, chosen[None], 0)[0]
        flipped, ties = flipped + int((lost > 0).sum()), ties + int(((lost > 0) & (lost < 1e-3)).sum())
    return flipped, ties


def harness_of(model: LoadedModel) -> Any:
    """Return the harness's model around the same weights; None where it is not installed."""
    if not importlib.util.find_spec("lm_eval"):
        return None
    from lm_eval.models.huggingface import HFLM

    logging.disable(logging.WARNING)
    return HFLM(pretrained=model.model, tokenizer=model.tokenizer, backend="causal", batch_size=8)


def main() -> None:
    """Print counts, seconds, agreement, and the ratio last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--screened", action="store_true", help="as with --set normaliser=auto, not in exact sums")
    parser.add_argument("--against", choices=("harness", "exact"), default="harness")
    args = parser.parse_args()
    posed = pose(args.tasks, args.questions, args.shots)
    # The harness leaves BOS to the tokenizer; without one on both sides the token ids are the same.
    model = load(ModelSpec(id=args.model, bos="never"))
    if args.against == "exact":
        against_exact(model, posed, args.rounds)
        return
    harness = harness_of(model)
    readout = Readout(model, exact=not args.screened)
    found, seconds = ours(model, posed[:2], readout), []
    expected, said = np.empty(0), dict.fromkeys(SCORES, float("nan"))
    for _ in range(args.rounds):
        marks = [(time.perf_counter(), time.process_time())]
        found = ours(model, posed, readout)
        marks.append((time.perf_counter(), time.process_time()))
        if harness is not None:
            expected, said = theirs(harness, posed)
        marks.append((time.perf_counter(), time.process_time()))
        seconds.append(np.diff(marks, axis=0))
    (mine, mine_cores), (other, other_cores) = np.median(seconds, axis=0)
    print(f"{len(posed)} questions of {', '.join(args.tasks)}; {len(found)} choices")
    print(f"layeratlas, all {found.shape[1]} exits: {mine:.1f} s, {mine_cores:.1f} s of cores")
    if harness is None:
        print("lm_eval is not installed here: pip install lm_eval")
        return
    for kind, part in (("clock", 0), ("cores", 1)):
        rounds = np.array(seconds)[:, :, part].T
        show_rounds({f"{side}, {kind}": rounds[i] for i, side in enumerate(("layeratlas", "harness"))})
    print(f"harness, last layer: {other:.1f} s, {other_cores:.1f} s of cores")
    gap, own = float(np.abs(found[:, -1] - expected).max()), scores(found[:, -1], posed)
    print(f"largest difference of a log-likelihood: {gap:.1e} nats")
    print(*(f"{name} {own[name]:.4f}, harness {said[name]:.4f}" for name in SCORES), sep="\n")
    clock, cores = np.median([theirs_took / ours_took for ours_took, theirs_took in seconds], axis=0)
    print(f"harness (last layer) / layeratlas (all exits), cores: {cores:.2f}")
    print(f"harness (last layer) / layeratlas (all exits): {clock:.2f}")
    if gap > 1e-3 or any(abs(own[name] - said[name]) > 1e-9 for name in SCORES):
        raise SystemExit("the last exit is not what the harness computes")


if __name__ == "__main__":
    main()
