"""What a benchmark keeps: its rounds and ratios in `results/NAME.json`, with the machine and the versions."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
_ROUNDS = re.compile(r"rounds of (.+?): ([-+.e\d ]+)")
PACKAGES = ("layeratlas", "numpy", "scipy", "scikit-learn", "torch", "transformers")


@dataclass(frozen=True, kw_only=True)
class Result:
    """One benchmark: its settings, the seconds of every round by side, its ratios by name, and more rows."""

    name: str
    settings: Mapping[str, Any]
    rounds: Mapping[str, Sequence[float]] = field(default_factory=dict)
    ratios: Mapping[str, float] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Any]] = ()


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return float(statistics.median(values))


def show_rounds(rounds: Mapping[str, Sequence[float]]) -> None:
    """Print the seconds of every round, a line per side, which `bench.py` reads back."""
    for side, seconds in rounds.items():
        print(f"rounds of {side}: {' '.join(f'{s:.4g}' for s in seconds)}")


def read_rounds(lines: Sequence[str]) -> dict[str, list[float]]:
    """Return the seconds of every round by side, from what a benchmark printed."""
    found = (_ROUNDS.fullmatch(line) for line in lines)
    return {match[1]: [float(s) for s in match[2].split()] for match in found if match}


def machine() -> dict[str, Any]:
    """Return what the numbers depend on: processor, cores, load, threads of BLAS, and versions."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def write(result: Result, folder: Path = FOLDER) -> Path:
    """Keep a result, and print its ratios, the last of them on the last line."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.name}.json"
    kept = {**asdict(result), "date": time.strftime("%Y-%m-%d"), "machine": machine()}
    path.write_text(json.dumps(kept, indent=1, default=str) + "\n", encoding="utf-8")
    for name, ratio in result.ratios.items():
        print(f"{name} ratio: {ratio:.3g}")
    return path
