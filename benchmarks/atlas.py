"""What `run atlas` shares between its studies, and what that saves over a run of each.

    python benchmarks/atlas.py --count [--size standard]
    python benchmarks/atlas.py [--size quick] [--rounds 1] [--model ...]

First the texts that several studies read: a shared forward pass could save these alone. Then, unless `--count`, a run
of each study in a process of its own against one atlas; every curve and finding must be equal. The last line is the
ratio of seconds, atlas over the runs apart.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import combinations, pairwise
from pathlib import Path

import polars as pl

from layeratlas.api.specs import ATLAS, make_specs
from layeratlas.core import registry
from layeratlas.core.spec import DEFAULT_MODEL
from layeratlas.runs.pipeline import make_material


def count_shared(size: str) -> None:
    """Print how many texts each study reads, and how many two studies share or begin with."""
    texts = {}
    for spec in make_specs("atlas", DEFAULT_MODEL, size, {}):
        study = registry.get("studies", spec.study)
        settings = study.settings(**spec.settings)
        texts[spec.study] = set(study.texts_of(study.select(spec, settings, make_material(study, spec)), settings))
    print(", ".join(f"{study}: {len(own)} distinct texts" for study, own in texts.items()))
    for one, other in combinations(texts, 2):
        longer = sorted(texts[one] | texts[other])
        begun = sum(b.startswith(a) and (a in texts[one]) != (b in texts[one]) for a, b in pairwise(longer))
        print(f"{one} and {other}: {len(texts[one] & texts[other])} equal, {begun} that one of the other begins with")


def seconds(study: str, model: str, size: str, out: Path) -> float:
    """Return the seconds of a run in a process of its own."""
    command = ["run", study, "--model", model, "--size", size, "--out", str(out), "--quiet"]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "layeratlas", *command], check=True, capture_output=True)
    return time.perf_counter() - start


def once(model: str, size: str) -> tuple[float, float]:
    """Return the seconds of an atlas and of a run of each study; raises SystemExit where their tables differ."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        apart = sum(seconds(study, model, size, folder / "apart" / study) for study in ATLAS)
        whole = seconds("atlas", model, size, folder / "whole")
        for study in ATLAS:
            for name in ("curves.parquet", "findings.parquet"):
                tables = [folder / way / study / name for way in ("apart", "whole")]
                if tables[0].is_file() and not pl.read_parquet(tables[0]).equals(pl.read_parquet(tables[1])):
                    raise SystemExit(f"{name} of {study} differs")
        return whole, apart


def main() -> None:
    """Print counts, seconds, and the ratio last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="quick")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--count", action="store_true")
    args = parser.parse_args()
    count_shared(args.size)
    if args.count:
        return
    rounds = [once(args.model, args.size) for _ in range(args.rounds)]
    print("rounds (atlas, runs apart):", " ".join(f"{whole:.0f}/{apart:.0f}" for whole, apart in rounds))
    print(f"atlas / runs apart: {statistics.median(whole / apart for whole, apart in rounds):.2f}")


if __name__ == "__main__":
    main()
