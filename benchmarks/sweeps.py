"""Sweeps of twelve runs: two workers against one, and sweeps whose workers are killed, against a serial one.

    python benchmarks/sweeps.py --model DIR --model OTHER --model THIRD          # the ratio of two workers to one
    python benchmarks/sweeps.py --model DIR ... --killed 20                      # that many sweeps with two kills each
    python benchmarks/sweeps.py --model DIR ... --killed 1 --on ray              # the same under Ray, or slurm
    python benchmarks/sweeps.py --split                                          # two workers on one run, against one
    python benchmarks/sweeps.py --split --model DIR --texts 40000                # of so many short texts

Prints its ratio, or the number of sweeps whose tables are equal to the serial one's, last.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import threading
import time
from pathlib import Path

import polars as pl
from shards import texts_file

import layeratlas as la
from layeratlas.sweeps.resources import Resources

# What a run's folder holds while it captures, and while it fits probes.
SIGNS = {"activations/*.safetensors": "capture", "scores": "probing"}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--killed", type=int, default=0)
    parser.add_argument("--on", default="processes")
    parser.add_argument("--split", action="store_true")
    parser.add_argument("--texts", type=int)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.split:
        with tempfile.TemporaryDirectory() as folder:
            print(_split(given.model[:1] or ["smollm2-135m"], given.texts, Path(folder)))
        return
    if not given.model:
        parser.error("--model is needed, but with --split")
    plan = {
        "models": given.model,
        "studies": ["hierarchy", "exits"],
        "tasks": ["items", "facts"],
        "seeds": [0, 1],
        "size": "quick",
        "settings": {"exits": {"shots": 0}},
    }
    with tempfile.TemporaryDirectory() as folder:
        print(_killed(plan, Path(folder), given) if given.killed else _ratio(plan, Path(folder)))


def _ratio(plan: dict[str, object], folder: Path) -> str:
    seconds = {}
    for workers in (1, 2, 1, 2):  # interleaved, since machines drift
        start = time.perf_counter()
        out = folder / f"{workers}-{len(seconds)}-{time.time_ns()}"
        _demand_done(la.sweep(plan, out=out, resources=Resources(workers=workers)))
        seconds[workers] = min(seconds.get(workers, float("inf")), time.perf_counter() - start)
        print(f"{workers} workers: {time.perf_counter() - start:.1f} s", flush=True)
    return f"two workers take {seconds[2] / seconds[1]:.2f} of the time of one"


def _demand_done(sweep: la.Sweep) -> None:
    if sweep.failed:
        raise SystemExit(sweep.summary())


def _split(models: list[str], texts: int | None, folder: Path) -> str:
    """Return the ratio of the seconds that two workers and one take for the stages of one run that can be split."""
    # With one task, a stage of this run can end before a helper has loaded the model.
    options: dict[str, object] = {"capture": {"batch_tokens": 512}}
    options |= {"data": str(texts_file(folder / "texts.csv", texts))} if texts else {}
    plan = {"models": models, "studies": ["hierarchy"], "size": "quick", "options": options}
    sweeps = {}
    for workers in (1, 2):
        start = time.perf_counter()
        sweeps[workers] = la.sweep(plan, out=folder / str(workers), resources=Resources(workers=workers, threads=1))
        stages = _seconds(sweeps[workers])
        told = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in stages.items())
        print(f"{workers} workers: {told}, in all {time.perf_counter() - start:.0f} s", flush=True)
    (name,) = sweeps[1].runs
    same = "equal" if _tables(sweeps[1], name) == _tables(sweeps[2], name) else "other"
    ratio = {stage: seconds / _seconds(sweeps[1])[stage] for stage, seconds in _seconds(sweeps[2]).items()}
    told = " and ".join(f"{share:.2f} of the time to {stage}" for stage, share in ratio.items())
    return f"two workers take {told} of one, and have {same} tables"


def _seconds(sweep: la.Sweep) -> dict[str, float]:
    (run,) = sweep.runs.values()
    return {stage: run.manifest["stages"][stage]["seconds"] for stage in ("capture", "probe")}


def _killed(plan: dict[str, object], folder: Path, given: argparse.Namespace) -> str:
    rng = random.Random(given.seed)
    serial = la.sweep(plan, out=folder / "serial", resources=Resources(threads=1))
    _demand_done(serial)
    names = [unit.name for unit in serial.units if unit.spec.study == "hierarchy"]
    equal = kills = 0
    for number in range(given.killed):
        out, killed = folder / f"killed-{number}", list[str]()
        targets = [out / "runs" / name / sign for name, sign in zip(rng.sample(names, 2), SIGNS, strict=True)]
        killers = [threading.Thread(target=_kill, args=(out, target, killed), daemon=True) for target in targets]
        for killer in killers:
            killer.start()
        resources = Resources(workers=2, threads=1, on=given.on)
        sweep = la.sweep(plan, out=out, resources=resources)
        attempts = sum(state.attempts for state in sweep.states.values())
        same = not sweep.failed and all(_tables(sweep, name) == _tables(serial, name) for name in sweep.runs)
        before = _stamps(out / "runs")
        la.sweep(plan, out=out, resources=resources)
        same = same and _stamps(out / "runs") == before  # a second call does nothing
        equal += same
        kills += len(killed)
        stages = ", ".join(killed)
        print(
            f"sweep {number + 1}: killed in {stages}; {attempts} attempts at {len(names) * 2} runs; equal: {same}",
            flush=True,
        )
    return (
        f"{equal} of {given.killed} sweeps on {given.on} have the tables of the serial one, after {kills} kills, and a "
        "second call of each does nothing"
    )


def _stamps(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def _kill(out: Path, sign: Path, killed: list[str]) -> None:
    """Kill the worker of a run as soon as its folder holds a file like `sign`."""
    end = time.monotonic() + 600
    while time.monotonic() < end:
        name = sign.relative_to(out / "runs").parts[0]
        if any((out / "runs" / name).glob(sign.relative_to(out / "runs" / name).as_posix())):
            pid = json.loads((out / "units" / name / "run.lock").read_text())["pid"]
            os.kill(pid, signal.SIGKILL)
            killed.append(SIGNS[sign.relative_to(out / "runs" / name).as_posix()])
            return
        time.sleep(0.001)


def _tables(sweep: la.Sweep, name: str) -> list[str]:
    folder = sweep.folder / "runs" / name
    return [pl.read_parquet(path).write_json() for path in sorted(folder.glob("*.parquet"))]


if __name__ == "__main__":
    main()
