"""Start-up: from the start of the process to the first word of progress, to the model loaded, and to the capture.

    python benchmarks/start_up.py [--rounds 5]
    python benchmarks/start_up.py --cores [--rounds 5]
    python benchmarks/start_up.py --warm [--rounds 5]

Runs `layeratlas run hierarchy --size quick --task items` with the default model (cached by a first round that does not
count) and stops it as soon as capturing begins. Between two such rounds, a process of its own does no more than
`from_pretrained` of the same cached files with transformers, which no program that loads this model so can undercut.
The last lines are medians in seconds. With `--cores` only loading is compared, each side in new processes in turn, in
seconds of all cores, which other work on the machine changes less: the model proved anew, proved by an earlier load of
the same files, and transformers alone; then what the answers of commands that load nothing take, and of a run that is
finished. With `--warm` both sides load in turn in one process that has imported all packages, on one core.
"""

from __future__ import annotations

import argparse
import gc
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from random_model import TINY, write_random
from results import show_rounds

from layeratlas.core.progress import Progress
from layeratlas.core.spec import DEFAULT_MODEL
from layeratlas.models.gguf_cache import unpack
from layeratlas.models.sources import find_source

FLOOR = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
AutoTokenizer.from_pretrained(sys.argv[1])
AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
"""


def once() -> tuple[float, float, float]:
    """Return the seconds until the first progress is shown, the model is loaded, and the capture begins."""
    with tempfile.TemporaryDirectory() as folder:
        run = ["run", "hierarchy", "--size", "quick", "--task", "items", "--out", f"{folder}/run"]
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-u", "-m", "layeratlas", *run], stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        first = loaded = 0.0
        for line in process.stderr:
            first = first or time.perf_counter() - start
            if line.startswith(f"load {DEFAULT_MODEL}: done"):
                loaded = time.perf_counter() - start
            if line.startswith("capture"):
                break
        ready = time.perf_counter() - start
        process.kill()
        process.wait()
        return first, loaded, ready


OURS = """
import sys
from layeratlas.core.spec import DEFAULT_MODEL, ModelSpec
from layeratlas.models import load
load(ModelSpec(id=DEFAULT_MODEL), anew=sys.argv[1] == "anew")
"""
COMMANDS = (("--help",), ("list",), ("list", "settings"), ("list", "tasks"))


def core_seconds(*arguments: str) -> float:
    """Return the seconds of all cores that a Python process takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare_cores(place: Path, rounds: int) -> None:
    """Print the seconds of cores of loading and of commands, and the ratio of loading to transformers alone last."""
    core_seconds("-c", OURS, "kept")
    sides = (("-c", FLOOR, str(place)), ("-c", OURS, "anew"), ("-c", OURS, "kept"))
    found = [[core_seconds(*side) for side in sides] for _ in range(rounds)]
    for command in COMMANDS:
        taken = statistics.median(core_seconds("-m", "layeratlas", *command) for _ in range(rounds))
        print(f"layeratlas {' '.join(command)}: {taken:.2f} s")
    print(f"a finished run, started again: {finished_seconds(rounds):.2f} s")
    bare, anew, kept = (statistics.median(column) for column in zip(*found, strict=True))
    sides_by_name = ("transformers alone", "proved anew", "by an earlier proof")
    show_rounds(dict(zip(sides_by_name, zip(*found, strict=True), strict=True)))
    print(f"transformers alone {bare:.2f} s; loaded and proved anew {anew:.2f} s, by an earlier proof {kept:.2f} s")
    print(f"proved anew / transformers alone: {statistics.median(a / b for b, a, _ in found):.2f}")
    print(f"by an earlier proof / transformers alone: {statistics.median(k / b for b, _, k in found):.2f}")


def finished_seconds(rounds: int) -> float:
    """Return the seconds of cores that the answer of a finished run takes."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        write_random(model, TINY)
        rows = [f"the {word} thing {i},{word},{i}" for i in range(24) for word in ("warm", "cold")]
        (Path(folder) / "own.csv").write_text("\n".join(["text,label,group", *rows]))
        run = ("run", "hierarchy", "--model", str(model), "--data", f"{folder}/own.csv", "--size", "quick")
        command = ("-m", "layeratlas", *run, "--probe", "ridge", "--component", "resid", "--out", f"{folder}/run")
        core_seconds(*command)
        return statistics.median(core_seconds(*command) for _ in range(rounds))


def compare_warm(place: Path, rounds: int) -> None:
    """Print the seconds of loading in a process that has done so before, and the ratio to transformers alone last."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from layeratlas.core.spec import ModelSpec
    from layeratlas.models import load

    torch.set_num_threads(1)

    def bare() -> None:
        AutoTokenizer.from_pretrained(place)
        AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32)

    def ours() -> None:
        load(ModelSpec(id=DEFAULT_MODEL))

    def seconds(side: Callable[[], None]) -> float:
        gc.collect()  # what an earlier load has left counts for neither side
        start = time.process_time()
        side()
        return time.process_time() - start

    pairs = [(seconds(bare), seconds(ours)) for _ in range(rounds + 1)][1:]
    alone, proved = (statistics.median(column) for column in zip(*pairs, strict=True))
    show_rounds(dict(zip(("transformers alone", "by an earlier proof"), zip(*pairs, strict=True), strict=True)))
    print(f"transformers alone {alone:.2f} s; loaded and proved by an earlier proof {proved:.2f} s")
    print(f"by an earlier proof / transformers alone: {statistics.median(o / b for b, o in pairs):.2f}")


def floor(place: Path) -> float:
    """Return the seconds of a process that loads the same files with transformers and does nothing else."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", FLOOR, str(place)], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Print every round and the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", action="store_true")
    parser.add_argument("--warm", action="store_true")
    args = parser.parse_args()
    place = Path(unpack(find_source(DEFAULT_MODEL), Progress()).where["pretrained_model_name_or_path"])
    if args.warm:
        compare_warm(place, args.rounds)
        return
    if args.cores:
        compare_cores(place, args.rounds)
        return
    once()
    rounds = [(*once(), floor(place)) for _ in range(args.rounds)]
    marks = ("first progress", "model loaded", "capture begins", "transformers alone")
    show_rounds(dict(zip(marks, zip(*rounds, strict=True), strict=True)))
    first, loaded, ready, bare = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"to the capture, its plan and time worked out: {ready:.2f} s")
    print(f"to the model, loaded and proved: {loaded:.2f} s; transformers alone, without proof: {bare:.2f} s")
    print(f"to the first progress: {first:.2f} s")


if __name__ == "__main__":
    main()
