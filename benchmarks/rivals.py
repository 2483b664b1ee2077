"""Capture against nnsight, TransformerLens and interp-engine: the same token ids, everything at the last token kept.

    python benchmarks/rivals.py --env nnsight=/path/to/python --env transformer_lens=... --env interp_engine=...

Each tool runs in an environment of its own, made by `python -m venv DIR` and `DIR/bin/pip install torch PACKAGE`
(the packages are nnsight, transformer-lens and interp-engine); one that is not there is skipped. A worker of each
(`benchmarks/rivals/`) loads the same Hugging Face folder once and warms up; then the rounds of all sides alternate.
The others run batches of 32 padded texts, as given; everything is float32. Short texts are those of the hierarchy
study; long ones have 100 to 130 words and share next to nothing. The vectors of every eighth text are compared. The
last lines are the medians of the paired ratios, tool over layeratlas.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from results import show_rounds
from safetensors.numpy import load_file

from layeratlas.core import registry
from layeratlas.core.spec import DEFAULT_MODEL, ModelSpec
from layeratlas.models import LoadedModel, load

WORKERS = Path(__file__).parent / "rivals"
PACKAGES = {"nnsight": "nnsight", "transformer_lens": "transformer-lens", "interp_engine": "interp-engine"}
EVERY, LIMIT = 8, 1e-3
SHORT = ("items", "relations", "analogies", "grammar")
Seconds = dict[tuple[str, str], list[float]]
# A long text is a row of sentences with one part of each line.
PARTS = (
    "The baker/My neighbour/A young pilot/The old professor/Her cousin/The night nurse/Our guide/A tired farmer",
    "carried a basket/was waiting for a letter/lost the only key/bought two tickets/told a long story/counted coins",
    "behind the station/near the lake/in a crowded market/on the last train/at the edge of town/under the stone bridge",
    "before sunrise/after the storm/late in autumn/during the strike/on a Tuesday/when the music stopped/after dark",
)


class Worker:
    """A tool in its own process, answering one line at a time."""

    def __init__(self, name: str, python: str, folder: Path, options: list[str], threads: int) -> None:
        limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        self._log = (folder / f"{name}.log").open("w+")
        self._process = subprocess.Popen(
            [python, str(WORKERS / f"{name}_worker.py"), *options, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
            env={**os.environ, **limits, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        )  # fmt: skip
        self.name, self.versions = name, self._read().removeprefix("ready ")

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            sys.exit(f"the worker of {self.name} failed:\n{self._log.read()[-2000:]}")
        return line.strip()

    def ask(self, line: str) -> str:
        """Send a line and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._read()

    def seconds(self, texts: str) -> float:
        """Return the seconds that one round takes."""
        return float(self.ask(f"round {texts}").split()[1])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._log.close()


def environments(given: list[str]) -> dict[str, str]:
    """Return the interpreters that have their tool, and say which have not."""
    named = dict(entry.split("=", 1) for entry in given)
    if unknown := set(named) - set(PACKAGES):
        sys.exit(f"no tool named {', '.join(sorted(unknown))}; the tools are {', '.join(PACKAGES)}")
    found = {}
    for name, package in PACKAGES.items():
        python = named.get(name, "")
        test = [python, "-c", f"import importlib.metadata as m; m.version('{package}')"]
        if python and Path(python).exists() and subprocess.run(test, capture_output=True, check=False).returncode == 0:
            found[name] = python
        else:
            how = f"python -m venv DIR; DIR/bin/pip install torch {package}; then --env {name}=DIR/bin/python"
            print(f"{name}: skipped, {'no ' + package + ' in ' + python if python else 'no environment named'} ({how})")
    return found


def short_texts(size: str) -> list[str]:
    """Return the distinct short texts of the hierarchy study, in its order."""
    data = [d for name in SHORT for d in registry.get("tasks", name).build(size)]
    return list(dict.fromkeys(text for d in data for text in d.texts))


def long_texts(count: int) -> list[str]:
    """Return texts of 100 to 130 words, the same in every run."""
    rng, parts = random.Random(0), [line.split("/") for line in PARTS]
    texts = []
    for _ in range(count):
        goal, words = rng.randint(100, 120), list[str]()
        while len(words) < goal:
            words += (" ".join(rng.choice(part) for part in parts) + ".").split()
        texts.append(" ".join(words[:130]))
    return texts


def spread(texts: list[str], count: int) -> list[str]:
    """Return a number of texts from all over the list, in its order; all of them for 0."""
    return (
        texts if not count else [texts[i] for i in np.linspace(0, len(texts) - 1, min(count, len(texts))).astype(int)]
    )


def encoded(model: LoadedModel, args: argparse.Namespace) -> dict[str, list[list[int]]]:
    """Return the token ids of the short and the long texts, BOS included."""
    texts = {"short": spread(short_texts(args.size), args.texts), "long": long_texts(args.long)}
    return {name: [model.encode(text) for text in some] for name, some in texts.items()}


def disagreement(ours: Path, theirs: Path) -> float:
    """Return the largest relative error of a vector; infinity where shapes differ."""
    a, b = load_file(ours), load_file(theirs)
    if {k: v.shape for k, v in a.items()} != {k: v.shape for k, v in b.items()}:
        return float("inf")
    size = {c: np.maximum(np.linalg.norm(a[c], axis=-1), 1e-12) for c in a}
    return max(float((np.linalg.norm(a[c] - b[c], axis=-1) / size[c]).max()) for c in a)


def time_rounds(workers: list[Worker], names: list[str], rounds: int) -> Seconds:
    """Return the seconds of every round by set of texts and tool; each tool is first, second, ... in turn."""
    seconds: Seconds = {(name, worker.name): [] for name in names for worker in workers}
    for turn in range(rounds):
        for name in names:
            for worker in workers[turn % len(workers) :] + workers[: turn % len(workers)]:
                seconds[name, worker.name].append(worker.seconds(name))
    return seconds


def compare_vectors(workers: list[Worker], names: list[str], folder: Path) -> dict[tuple[str, str], float]:
    """Return how far each tool's vectors are from those of the first."""
    errors: dict[tuple[str, str], float] = {}
    for name in names:
        files = [folder / f"{name}.{worker.name}.safetensors" for worker in workers]
        for worker, file in zip(workers, files, strict=True):
            worker.ask(f"save {name} {EVERY} {file}")
        errors |= {(name, w.name): disagreement(files[0], f) for w, f in zip(workers[1:], files[1:], strict=True)}
    return errors


def show(sets: dict[str, list[list[int]]], seconds: Seconds, errors: dict[tuple[str, str], float]) -> None:
    """Print seconds and agreement, and the ratios last."""
    middle = {key: statistics.median(values) for key, values in seconds.items()}
    for name, texts in sets.items():
        print(f"{name}: {len(texts):,} texts, {sum(map(len, texts)):,} tokens")
        for of, tool in seconds:
            if of == name:
                print(f"  {tool:<17} {middle[of, tool]:7.2f} s")
    show_rounds({f"{tool}, {of}": values for (of, tool), values in seconds.items()})
    for (name, tool), error in errors.items():
        print(f"{name}, largest relative error of {tool} against layeratlas: {error:.1e}")
    for name in reversed(sets):
        for tool in (tool for of, tool in errors if of == name):
            pairs = zip(seconds[name, tool], seconds[name, "layeratlas"], strict=True)
            print(f"{name}: {tool} / layeratlas: {statistics.median(a / b for a, b in pairs):.2f}")


def main() -> None:
    """Start the workers, compare their seconds and vectors, and fail where vectors differ."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", action="append", default=[], metavar="TOOL=PYTHON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="standard")
    parser.add_argument("--texts", type=int, default=0, help="short texts; all those of the size by default")
    parser.add_argument("--long", type=int, default=100, help="long texts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    found = environments(args.env)
    if not found:
        sys.exit("nothing to compare with")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = load(ModelSpec(id=args.model, device="cpu"))
        model.model.save_pretrained(folder / "model")
        model.tokenizer.save_pretrained(folder / "model")
        sets = encoded(model, args)
        (folder / "texts.json").write_text(json.dumps(sets))
        del model
        options = [str(folder / "model"), str(folder / "texts.json")]
        tools = {"layeratlas": sys.executable, **found}
        workers = [Worker(tool, python, folder, options, args.threads) for tool, python in tools.items()]
        for worker in workers:
            print(worker.versions)
        seconds = time_rounds(workers, list(sets), args.rounds)
        errors = compare_vectors(workers, list(sets), folder)
        for worker in workers:
            worker.close()
    show(sets, seconds, errors)
    if any(error > LIMIT for error in errors.values()):
        sys.exit(f"vectors differ by more than {LIMIT:g}")


if __name__ == "__main__":
    main()
