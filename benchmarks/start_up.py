"""Start-up: from the start of the process to the first word of progress, to the model loaded, and to the capture.

    python benchmarks/start_up.py [--rounds 5]

Runs `layeratlas run hierarchy --size quick --task items` with the default model (cached by a first round that does not
count) and stops it as soon as capturing begins. Between two such rounds, a process of its own does no more than
`from_pretrained` of the same cached files with transformers, which no program that loads this model so can undercut.
The last lines are medians in seconds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def floor(place: Path) -> float:
    """Return the seconds of a process that loads the same files with transformers and does nothing else."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", FLOOR, str(place)], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Print every round and the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    once()
    source = find_source(DEFAULT_MODEL)
    place = Path(unpack(source, Progress()).where["pretrained_model_name_or_path"])
    rounds = [(*once(), floor(place)) for _ in range(args.rounds)]
    print("rounds:", " ".join("/".join(f"{seconds:.2f}" for seconds in one) for one in rounds))
    first, loaded, ready, bare = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"to the capture, its plan and time worked out: {ready:.2f} s")
    print(f"to the model, loaded and proved: {loaded:.2f} s; transformers alone, without proof: {bare:.2f} s")
    print(f"to the first progress: {first:.2f} s")


if __name__ == "__main__":
    main()
