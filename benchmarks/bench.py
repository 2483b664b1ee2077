"""Run the benchmarks that fit in twenty minutes, keep the raw output of each, and print the table.

    python benchmarks/bench.py [--minutes 20] [--only overhead] [--table]

Each runs in a process of its own; its whole output goes to `results/NAME.json` with its command, machine and versions.
One whose minutes do not fit any more is left out, and so named. `--table` prints what is kept, and runs nothing. The
last line is the number of benchmarks that failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import FOLDER, Result, write

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Bench:
    """A script with its options, and about how many minutes it takes on two cores."""

    script: str
    options: tuple[str, ...]
    minutes: float


BENCHES = (
    Bench("start_up", (), 1.5),
    Bench("overhead", ("--rounds", "3"), 2),
    Bench("few_shot", ("--questions", "5", "--rounds", "3"), 4),
    Bench("capture_texts", ("short", "--size", "quick", "--rounds", "3"), 3),
    Bench("streaming", ("--rounds", "3"), 2),
    Bench("probes", ("--rounds", "3"), 3),
    Bench("growth", ("--quick", "--rounds", "3"), 3),
    Bench("compare", (), 1.5),
)


def run(bench: Bench) -> int:
    """Run one benchmark, keep its output, and return its exit status."""
    command = [sys.executable, str(HERE / f"{bench.script}.py"), *bench.options]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows: list[dict[str, Any]] = [{"line": line} for line in done.stdout.splitlines()]
    if done.returncode:
        rows += [{"error": line} for line in done.stderr.splitlines()[-5:]]
    settings = {"options": bench.options, "seconds": round(time.perf_counter() - start, 1), "status": done.returncode}
    write(Result(name=f"bench-{bench.script}", settings=settings, rows=rows))
    return done.returncode


def printed(path: Path) -> str:
    """Return a line of the table: name, options, seconds, and the last line of its output."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    settings, rows = kept["settings"], kept["rows"]
    last = next((str(value) for row in reversed(rows) for value in row.values()), "no output")
    failed = " FAILED" if settings["status"] else ""
    name = kept["name"].removeprefix("bench-")
    return f"{name:<14} {' '.join(settings['options']):<34} {settings['seconds']:>6.0f} s{failed}  {last}"


def main() -> None:
    """Run what fits, print the table, and the number of failures last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--only", default="", help="benchmarks whose name contains this")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    failed, start = 0, time.perf_counter()
    for bench in BENCHES if not args.table else ():
        if args.only not in bench.script:
            continue
        spent = (time.perf_counter() - start) / 60
        if spent + bench.minutes > args.minutes:
            print(f"left out: {bench.script} (about {bench.minutes:g} min; {spent:.0f} of {args.minutes:g} are spent)")
            continue
        failed += run(bench) != 0
    for path in sorted(FOLDER.glob("bench-*.json")):
        print(printed(path))
    print(f"failed: {failed}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
