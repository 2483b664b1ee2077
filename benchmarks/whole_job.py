"""A whole run of the hierarchy study, against a script that does the same with nnsight and scikit-learn.

    python benchmarks/whole_job.py --env /path/to/python [--size standard] [--sample 3] [--few 1] [--ours DIR | --cores]

PYTHON is that of an environment with nnsight and scikit-learn (`python -m venv DIR`, then `DIR/bin/pip install torch
nnsight scikit-learn`). Ours is `layeratlas run` with both probes, from the start of the process to the report; with
`--ours` a run that stands already, whose stages' seconds count. With `--cores` both sides are in seconds of all cores,
which other work on the machine changes less. The script (`benchmarks/rivals/whole_job_nnsight.py`) gets the same
texts, labels, folds, shuffles and penalties; it knows two classes only and leaves out the data sets of more classes
or numbers, and it has no bootstrap, no baseline, no findings and no report: all in its favour. As its probes take
hours, it runs them on a sample of the layers of each component and data set, and its SVM on few of the shuffles;
their seconds are scaled. Accuracies of the sampled layers must agree. The last line is the ratio, the script over
ours; before it stand others: with the SVM's control on 20 shuffles alone, which is less than ours does, with a ridge
fit per shuffle and, by the clock, without our stages of controls that the script lacks (random weights, other wordings
and word lists, learning curves).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core import registry
from layeratlas.core.spec import DEFAULT_MODEL, ModelSpec, ProbeSpec
from layeratlas.data.items import Dataset
from layeratlas.models import load
from layeratlas.probes import make_design
from layeratlas.probes.ridge import PENALTIES

SCRIPT = Path(__file__).parent / "rivals" / "whole_job_nnsight.py"
LIMIT, FEW = 0.01, 20
# Stages of a run that compute controls that the script lacks.
CONTROLS = ("random weights", "robustness", "learning curves")


def described(data: Dataset, spec: ProbeSpec) -> dict[str, Any]:
    """Return what the script needs of a data set."""
    design = make_design(data, spec, 0)
    repeats: list[list[Any]] = [[] for _ in range(design.repeats)]
    for fold in design.folds:
        repeats[fold.repeat].append([fold.train.tolist(), fold.test.tolist()])
    y, shuffled = (np.where(labels > 0, 1, -1).tolist() for labels in (design.y, design.shuffled))
    return {"name": data.name, "texts": data.texts, "y": y, "shuffled": shuffled, "repeats": repeats}


def make_job(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Save the model and return the script's job."""
    study = registry.get("studies", "hierarchy")
    spec = study.probe_spec(args.size)
    data = [d for name in study.tasks for d in registry.get("tasks", name).build(args.size)]
    model = load(ModelSpec(id=args.model, device="cpu"))
    model.model.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return {
        "model": str(folder), "penalties": PENALTIES, "sample": args.sample, "few": args.few, "cores": args.cores,
        "svm_shuffles": registry.get("probes", "svm").shuffles(spec.shuffles),
        "datasets": [described(d, spec) for d in data if len(d.classes) == 2],
    }  # fmt: skip


def seconds(cores: bool) -> float:
    """Return the time now, or the seconds of cores that ended processes of this one have taken so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime if cores else time.perf_counter()


def timed(command: list[str], cores: bool) -> float:
    """Return the seconds that a command takes, by the clock or of all cores; a failure ends the benchmark."""
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    start = seconds(cores)
    done = subprocess.run(command, capture_output=True, text=True, env=offline, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command[:3])} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return seconds(cores) - start


def estimate(result: dict[str, Any]) -> dict[str, float]:
    """Return the seconds of each kind of probe on all layers: of all cores, or with every process busy."""
    cells = pl.DataFrame([{k: c[k] for k in ("task", "component", "of")} | c["seconds"] for c in result["cells"]])
    kinds = [name for name in cells.columns if name not in ("task", "component", "of")]
    means = cells.group_by("task", "component").agg(pl.mean(*kinds, "of"))
    return {kind: float((means[kind] * means["of"]).sum()) / result["at_once"] for kind in kinds}


def differences(result: dict[str, Any], curves: Path) -> dict[str, float]:
    """Return by probe the largest difference of an accuracy from that of our run."""
    ours = pl.read_parquet(curves).filter(pl.col("metric") == "accuracy", pl.col("stratum") == "all")
    known = {(r["task"], r["component"], r["layer"], r["method"]): r["estimate"] for r in ours.iter_rows(named=True)}
    worst: dict[str, float] = {}
    for cell in result["cells"]:
        for method, value in cell["accuracy"].items():
            gap = abs(value - known[cell["task"], cell["component"], cell["layer"], method])
            worst[method] = max(gap, worst.get(method, 0.0))
    return worst


def show(job: dict[str, Any], result: dict[str, Any], ours: float, capture: float, stages: dict[str, float]) -> None:
    """Print what was run, the seconds, and the ratios last."""
    probes = estimate(result)
    total = sum({(c["task"], c["component"]): c["of"] for c in result["cells"]}.values())
    texts = {text for data in job["datasets"] for text in data["texts"]}
    print(f"{len(texts):,} texts, {len(job['datasets'])} data sets, {total} layers of components to probe")
    print(", ".join(f"{name} {number}" for name, number in result["versions"].items()))
    print(f"layeratlas, all of it              {ours:9.1f} s")
    print("its stages by the clock: " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in stages.items()))
    print(f"script, start-up and capture       {capture:9.1f} s")
    shuffles = len(job["datasets"][0]["shuffled"])
    print(
        f"its probes are estimates: {len(result['cells'])} of {total} layers were run, in {result['sampling']:.0f} s,"
    )
    print(
        f"the SVM on {job['few']} of {job['svm_shuffles']} shuffles, the ridge fit by fit on {job['few']} of {shuffles}"
    )
    for kind, seconds in probes.items():
        print(f"script, {kind:<26} {seconds:9.1f} s")
    fast, slow = (capture + probes[kind] + probes["svm, labels"] for kind in ("ridge", "ridge, a fit per shuffle"))
    one, svm = probes["svm, one shuffle"], job["svm_shuffles"]
    print(f"script / layeratlas, with the SVM on {min(svm, FEW)} shuffles: {(fast + min(svm, FEW) * one) / ours:.1f}")
    print(f"script / layeratlas, with a ridge fit per shuffle: {(slow + svm * one) / ours:.1f}")
    if not job["cores"]:
        plain = ours - sum(stages.get(name, 0.0) for name in CONTROLS)
        print(f"script / layeratlas, without controls that the script lacks: {(fast + svm * one) / plain:.1f}")
    print(f"script / layeratlas: {(fast + svm * one) / ours:.1f}")


def main() -> None:
    """Run both, compare accuracies, and print seconds and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", required=True, metavar="PYTHON")
    parser.add_argument("--size", default="standard")
    parser.add_argument("--sample", type=int, default=3, help="layers of each component and data set")
    parser.add_argument("--few", type=int, default=1, help="shuffles of the SVM, and of the ridge fit by fit")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    which = parser.add_mutually_exclusive_group()  # a finished run has kept the time alone
    which.add_argument("--ours", type=Path, metavar="DIR", help="a finished run of this size and model, by both probes")
    which.add_argument("--cores", action="store_true", help="count seconds of all cores instead of the time")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = make_job(args, folder / "model")
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        made = args.ours or folder / "run"
        run = ["run", "hierarchy", "--size", args.size, "--model", args.model, "--out", str(made), "--quiet"]
        run += ["--probe", "ridge", "--probe", "svm"]
        ours = 0.0 if args.ours else timed([sys.executable, "-m", "layeratlas", *run], args.cores)
        whole = timed([args.env, str(SCRIPT), str(folder / "job.json"), str(folder / "result.json")], args.cores)
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        manifest = json.loads((made / "run.json").read_text(encoding="utf-8"))
        stages = {name: stage["seconds"] for name, stage in manifest["stages"].items()}
        ours = ours or sum(stages.values())
        gaps = differences(result, made / "curves.parquet")
    for method, gap in gaps.items():
        print(f"{method}: largest difference of an accuracy on the sampled layers {gap:.4f}")
    show(job, result, ours, result["captured"] if args.cores else whole - result["sampling"], stages)
    if gaps["ridge"] > LIMIT:
        sys.exit(f"ridge accuracies differ by more than {LIMIT}")


if __name__ == "__main__":
    main()
