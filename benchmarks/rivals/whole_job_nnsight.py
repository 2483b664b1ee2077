"""The hierarchy study by hand: nnsight for the vectors, scikit-learn for the probes. Started by `whole_job.py`.

    python whole_job_nnsight.py JOB RESULT

JOB (JSON) holds the model's folder, the penalties and, by data set, texts, labels of +-1, folds and shuffled labels.
Vectors are captured for every distinct text; then each layer of each component is probed, layers in parallel
processes, on the folds of all repeats, and the shuffled labels on those of the first. Each probe is what
scikit-learn's users write, with one thing more: the ridge takes all shuffles of a fold as targets of one fit. A fit
per shuffle is timed beside it, on few of them. Only a sample of the layers is probed, from all over the depth, and
RESULT gives its seconds: of all cores if JOB asks for these, else by the clock.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, cpu_count, delayed
from nnsight_worker import load
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from transformers import AutoTokenizer

Folds = Sequence[tuple[np.ndarray, np.ndarray]]


def vectors(folder: str, texts: list[str]) -> dict[str, np.ndarray]:
    """Return the vectors (texts, layers, width) of every component, BOS before every text."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    ids = [bos + tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    return {name: tensor.numpy() for name, tensor in load(folder)(ids).items()}


def right(found: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return 1 where the sign of a prediction is the label, and a half where a prediction is 0 but for rounding."""
    share: np.ndarray = np.where(np.abs(found) < 1e-6, 0.5, (found > 0) == (y > 0))
    return share


def accuracy(make: Any, x: np.ndarray, y: np.ndarray, folds: Folds) -> float:
    """Return the out-of-fold accuracy of a classifier, or of a regression on +-1."""
    return float(right(cross_val_predict(make, x, y, cv=folds), y).mean())


def ridge_on_all(x: np.ndarray, labels: np.ndarray, folds: Folds, penalties: Sequence[float]) -> np.ndarray:
    """Return the out-of-fold accuracy of every row of labels, fitted together."""
    hits = np.zeros(len(labels))
    for train, test in folds:
        model = make_pipeline(StandardScaler(), RidgeCV(alphas=penalties, alpha_per_target=True))
        found = model.fit(x[train], labels[:, train].T).predict(x[test])
        hits += right(found, labels[:, test].T).sum(0)
    hits /= labels.shape[1]
    return hits


def probe(x: np.ndarray, data: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Return the accuracies and the seconds of one layer; the SVM and a ridge fit per shuffle run on few shuffles."""
    y, shuffled = np.array(data["y"]), np.array(data["shuffled"])
    repeats = [[(np.array(train), np.array(test)) for train, test in folds] for folds in data["repeats"]]
    ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=job["penalties"]))
    svm = make_pipeline(StandardScaler(), SVC(kernel="linear", C=1.0))
    now = time.process_time if job["cores"] else time.perf_counter
    clock = [now()]
    first = ridge_on_all(x, np.vstack([y, shuffled]), repeats[0], job["penalties"])
    clock.append(now())
    on_ridge = [float(first[0]), *(accuracy(ridge, x, y, folds) for folds in repeats[1:])]
    clock.append(now())
    on_svm = [accuracy(svm, x, y, folds) for folds in repeats]
    clock.append(now())
    few = shuffled[: job["few"]]
    for labels in few:
        accuracy(svm, x, labels, repeats[0])
    clock.append(now())
    for labels in few:
        accuracy(ridge, x, labels, repeats[0])
    clock.append(now())
    together, ridge_rest, svm_all, svm_few, ridge_few = np.diff(clock)
    return {
        "accuracy": {"ridge": float(np.mean(on_ridge)), "svm": float(np.mean(on_svm))},
        "seconds": {
            "ridge": together + ridge_rest,
            "svm, labels": svm_all,
            "svm, one shuffle": svm_few / len(few),
            # The labels' own fit of the first repeat costs what a shuffle's does.
            "ridge, a fit per shuffle": ridge_rest + ridge_few * (len(shuffled) + 1) / len(few),
        },
    }


def main() -> None:
    """Capture all, probe the sample, and write accuracies and seconds."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    texts = list(dict.fromkeys(text for data in job["datasets"] for text in data["texts"]))
    rows = {text: i for i, text in enumerate(texts)}
    found = vectors(job["model"], texts)
    cores, captured = time.process_time(), time.perf_counter()
    cells, tasks = [], []
    for data in job["datasets"]:
        at = [rows[text] for text in data["texts"]]
        for component, values in found.items():
            # The middle of each of so many equal parts of the depth; the first layers are unlike the rest.
            points = values.shape[1]
            k = min(job["sample"], points)
            for layer in ((np.arange(k) + 0.5) / k * points).astype(int):
                name = {"task": data["name"], "component": component, "layer": int(layer), "of": points}
                cells.append(name)
                tasks.append(delayed(probe)(values[at, layer], data, job))
    processes = cpu_count()
    results = Parallel(n_jobs=processes)(tasks)
    out = {
        "cells": [cell | result for cell, result in zip(cells, results, strict=True)],
        "at_once": 1 if job["cores"] else processes,
        "captured": cores,
        "sampling": time.perf_counter() - captured,
        "versions": {name: version(name) for name in ("nnsight", "scikit-learn", "joblib", "torch")},
    }
    Path(sys.argv[2]).write_text(json.dumps(out), encoding="utf-8")


if __name__ == "__main__":
    main()
