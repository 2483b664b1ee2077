"""Run the paired benchmarks, keep the raw output of each, and print the table.

    python benchmarks/bench.py [--minutes 20] [--only NAME] [--run RUN] [--env nnsight=/path/to/python ...] [--table]

Each runs in a process of its own; its rounds and its whole output go to `results/bench-NAME.json` with its command,
machine and versions. They run in the order of this file, and one whose minutes do not fit any more is left out, and so
named; all of them take about 45 minutes (`--minutes 60`). Some need more: the folder of a finished run of the hierarchy
(`--run`), environments with other tools (`--env`, as in `rivals.py`), or lm-evaluation-harness (`pip install lm_eval`);
they are left out where it is not there. `--table` prints what is kept, and runs nothing. The last line is the number of
benchmarks that failed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results import FOLDER, Result, read_rounds, write

HERE = Path(__file__).parent
RUN, ENV, HARNESS = "--run", "--env", "lm_eval"


@dataclass(frozen=True)
class Bench:
    """A script with its options, about how many minutes it takes on two cores, and what it needs besides."""

    name: str
    command: str
    minutes: float
    needs: str = ""


BENCHES = (
    Bench("start-up", "start_up.py --cores --rounds 5", 2.5),
    Bench("start-up-warm", "start_up.py --warm --rounds 5", 0.3),
    Bench("overhead", "overhead.py --rounds 5", 3),
    Bench("streaming", "streaming.py --rounds 5", 1.5),
    Bench("few-shot", "few_shot.py --questions 5 --rounds 5", 1),
    Bench("compare", "compare.py", 0.7),
    Bench("report", "report.py RUN --rounds 5", 1, RUN),
    Bench("growth", "growth.py --quick --rounds 3", 1.5),
    Bench("streaming-large", "streaming.py --large", 1.5),
    Bench("capture-short", "capture_texts.py short --part 6 --rounds 5", 4),
    Bench("capture-long", "capture_texts.py long --size quick --part 4 --rounds 5", 4),
    Bench("probes", "probes.py --rounds 5", 1.5),
    Bench("exits", "exits.py --questions 8 --rounds 5", 2.5, HARNESS),
    Bench("exits-screened", "exits.py --questions 20 --rounds 5 --screened", 4, HARNESS),
    Bench(
        "exits-no-shots",
        "exits.py --questions 100 --rounds 5 --shots 0 --tasks facts arithmetic --screened",
        2.5,
        HARNESS,
    ),
    Bench(
        "exits-exact",
        "exits.py --against exact --questions 24 --rounds 5 --shots 2 "
        "--tasks facts arithmetic word_problems xmps truth logic",
        4,
    ),
    Bench("precision", "precision.py --tasks relations --questions 150 --rounds 5", 3),
    Bench("rivals", "rivals.py ENV --size quick --texts 600 --long 20 --rounds 5", 7, ENV),
)


def arguments(bench: Bench, run: Path | None, env: list[str]) -> list[str] | None:
    """Return the command of a benchmark, or None where what it needs is not there."""
    there = {RUN: run is not None, ENV: bool(env), HARNESS: importlib.util.find_spec(HARNESS) is not None, "": True}
    if not there[bench.needs]:
        return None
    places = {"RUN": [str(run)], "ENV": [part for each in env for part in ("--env", each)]}
    script, *options = bench.command.split()
    return [sys.executable, str(HERE / script), *(o for option in options for o in places.get(option, [option]))]


def measure(bench: Bench, command: list[str]) -> int:
    """Run one benchmark, keep its rounds and output, and return its exit status."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    printed = done.stdout.splitlines()
    rows: list[dict[str, Any]] = [{"line": line} for line in printed]
    if done.returncode:
        rows += [{"error": line} for line in done.stderr.splitlines()[-5:]]
    seconds = round(time.perf_counter() - start, 1)
    settings = {"command": bench.command, "seconds": seconds, "status": done.returncode}
    write(Result(name=f"bench-{bench.name}", settings=settings, rounds=read_rounds(printed), rows=rows))
    return done.returncode


def line_of(kept: dict[str, Any]) -> str:
    """Return a line of the table: command, seconds, and the last line of the output."""
    settings, rows = kept["settings"], kept["rows"]
    last = next((str(value) for row in reversed(rows) for value in row.values()), "no output")
    failed = " FAILED" if settings["status"] else ""
    return f"{settings['command']}: {settings['seconds']:.0f} s{failed}\n    {last}"


def main() -> None:
    """Run what fits, print the table, and the number of failures last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--only", default="", help="benchmarks whose name contains this")
    parser.add_argument("--run", type=Path, help="a finished run of the hierarchy")
    parser.add_argument("--env", action="append", default=[], metavar="TOOL=PYTHON")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    failed, start = 0, time.perf_counter()
    for bench in BENCHES if not args.table else ():
        if args.only not in bench.name:
            continue
        spent = (time.perf_counter() - start) / 60
        command = arguments(bench, args.run, args.env)
        if command is None:
            print(f"left out: {bench.name} (needs {bench.needs})")
        elif spent + bench.minutes > args.minutes:
            print(f"left out: {bench.name} (about {bench.minutes:g} min; {spent:.0f} of {args.minutes:g} are spent)")
        else:
            failed += measure(bench, command) != 0
    for path in sorted(FOLDER.glob("bench-*.json")):
        print(line_of(json.loads(path.read_text(encoding="utf-8"))))
    print(f"failed: {failed}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
