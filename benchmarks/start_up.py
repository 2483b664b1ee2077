"""Start-up: from the start of the process to the first word of progress, and to the model being ready.

    python benchmarks/start_up.py [--rounds 5]

Runs `layeratlas run hierarchy --size quick --task items` with the default model (cached by a first round that does not
count) and stops it as soon as capturing begins. The last lines are medians in seconds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time


def once() -> tuple[float, float]:
    """Return the seconds until the first progress is shown, and until the capture begins."""
    with tempfile.TemporaryDirectory() as folder:
        run = ["run", "hierarchy", "--size", "quick", "--task", "items", "--out", f"{folder}/run"]
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-u", "-m", "layeratlas", *run], stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        first = 0.0
        for line in process.stderr:
            first = first or time.perf_counter() - start
            if line.startswith("capture"):
                break
        ready = time.perf_counter() - start
        process.kill()
        process.wait()
        return first, ready


def main() -> None:
    """Print every round and the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    once()
    rounds = [once() for _ in range(args.rounds)]
    print("rounds:", " ".join(f"{first:.2f}/{ready:.2f}" for first, ready in rounds))
    print(f"to the capture, model loaded and proved: {statistics.median(ready for _, ready in rounds):.2f} s")
    print(f"to the first progress: {statistics.median(first for first, _ in rounds):.2f} s")


if __name__ == "__main__":
    main()
