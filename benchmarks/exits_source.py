"""The exits of questions, with the trained and with random weights, by this code and by another checkout's.

    python benchmarks/exits_source.py SOURCE [--questions 8] [--rounds 1] [--shots 4] [--tasks facts logic]

SOURCE is the folder `src` of another checkout. Each side runs in a process of its own, in seconds of all cores: the
proof that texts may share batches, the forward passes, and the readout at all exits; then the same with random weights,
at eight exits. The script fails where a log-likelihood differs by more than 1e-3 nats per token, or where another
choice wins at an exit by more than that. The last line is the ratio of all seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from exits import SPEC, TASKS, Posed, TimedReadout, decisions, pose

from layeratlas.capture import capture, choose_plan, encode_choices, make_slots
from layeratlas.capture.exit_store import ExitStore, exit_shape
from layeratlas.core.spec import DEFAULT_MODEL, ModelSpec
from layeratlas.models import LoadedModel, load
from layeratlas.models.untrained import untrained
from layeratlas.store import MemoryStore

EXITS = 8
Seconds = dict[str, float]


def measured(model: LoadedModel, posed: Posed, exits: int) -> tuple[Seconds, np.ndarray, np.ndarray]:
    """Return seconds, the log-likelihoods (choices, exits) at so many exits, and the tokens of each choice."""
    choices = [c for _, prompt in posed for c in encode_choices(model, prompt.text, prompt.choices)]
    slots, readout = make_slots(choices), TimedReadout(model)
    read = np.unique(np.linspace(0, readout.points - 1, exits).round().astype(int)).tolist()
    store = ExitStore(MemoryStore(exit_shape(readout, slots, read)), readout, slots, read)
    marks = [time.process_time()]
    packing = choose_plan(model, slots.readings, SPEC)
    marks.append(time.process_time())
    capture(model, packing.batches, store, form=packing.form)
    marks.append(time.process_time())
    proof, captured = np.diff(marks).tolist()
    seconds = {"proof": proof, "forward": captured - readout.core_seconds, "readout": readout.core_seconds}
    return seconds, store.log_likelihoods(), np.array([len(c.ids) - c.start for c in choices])


def run_side(args: argparse.Namespace) -> None:
    """Measure this process's code, and write seconds and log-likelihoods."""
    posed = pose(args.tasks, args.questions, args.shots)
    model = load(ModelSpec(id=args.model, bos="never"))
    seconds, values, lengths = measured(model, posed, model.anatomy.n_layers + 1)
    of_random, random, _ = measured(untrained(model, 0), posed, EXITS)
    seconds |= {f"random {name}": taken for name, taken in of_random.items()}
    np.savez(args.side, values=values, random=random, lengths=lengths, seconds=json.dumps(seconds))


def side(source: str, arguments: list[str]) -> tuple[Seconds, dict[str, np.ndarray]]:
    """Return the seconds and the arrays of one side, run in a new process; '' is this code."""
    environment = dict(os.environ) | ({"PYTHONPATH": source} if source else {})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "side.npz"
        subprocess.run([sys.executable, __file__, *arguments, "--side", str(file)], env=environment, check=True)
        with np.load(file) as found:
            arrays = {name: found[name] for name in found.files}
    return json.loads(str(arrays.pop("seconds"))), arrays


def main() -> None:
    """Print seconds, agreement, and the ratio last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--tasks", nargs="+", default=TASKS)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        run_side(args)
        return
    ratios = []
    for _ in range(args.rounds):
        (before, there), (after, here) = (side(source, sys.argv[1:]) for source in (args.source, ""))
        print("seconds of cores, there and here:", *(f"{k} {before[k]:.1f} {after[k]:.1f};" for k in before))
        ratios.append(sum(before.values()) / sum(after.values()))
    posed, worst = pose(args.tasks, args.questions, args.shots), 0.0
    for name in ("values", "random"):
        apart = np.abs(here[name] - there[name]) / here["lengths"][:, None]
        flipped, ties = decisions({True: there[name], False: here[name]}, posed)
        print(f"{name}: largest difference {apart.max():.1e} nats per token, mean {apart.mean():.1e}")
        print(f"decisions: {flipped} of {len(posed) * apart.shape[1]} differ, {ties} of them within 1e-3 nats")
        worst = max(worst, float(apart.max()), float(flipped > ties))
    print(f"there / here: {statistics.median(ratios):.2f}")
    if worst > 1e-3:
        raise SystemExit("the answers of the two are not equal")


if __name__ == "__main__":
    main()
