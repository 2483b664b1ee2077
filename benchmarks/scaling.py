"""Could one decomposition serve all folds? Scales of all texts instead of the training part's, on a run's activations.

    python benchmarks/scaling.py RUN [--every 4] [--shuffles 100]

With features scaled on all texts of a data set, all folds and repeats share one Gram matrix; what a fold leaves out is
taken out of each penalty's inverse by the identity for a block, e = (G_BB)^-1 G_B y, and leave-one-out within the fold
by the diagonal of what remains. For every data set of classes of a hierarchy run: how far accuracies of ridge then move
from those with the training part's scales, at every so many layers, and CPU seconds. At the first of these layers the
predictions are compared with those of scikit-learn's `RidgeCV` on the same features. The last line is the mean absolute
difference of accuracies over all cells.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import polars as pl
from results import Result, median, write
from scipy.linalg.lapack import dpotrf, dpotri
from sklearn.linear_model import RidgeCV

from layeratlas.core import registry
from layeratlas.core.spec import ProbeSpec
from layeratlas.probes import Design, make_design, probe_layer
from layeratlas.probes._dual import label_columns, standardise
from layeratlas.probes.ridge import PENALTIES
from layeratlas.stats.measures import accuracy
from layeratlas.store import DiskStore


def inverse(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of a positive definite matrix."""
    lower = dpotri(dpotrf(matrix, lower=1)[0], lower=1)[0]
    return np.tril(lower) + np.tril(lower, -1).T


def shared(x: np.ndarray, design: Design) -> np.ndarray:
    """Return out-of-fold scores (repeats, n, k) of ridge with scales of all texts; every column is fitted."""
    real = label_columns(design.y, design.classes)
    z = standardise(x)[0]
    gram, n = z @ z.T, len(x)
    others = [label_columns(y, design.classes) for y in (*design.shuffled, *design.control_tasks)]
    every = np.concatenate([real, *others], 1)
    best = [np.full(every.shape[1] if fold.repeat == 0 else real.shape[1], np.inf) for fold in design.folds]
    errors = [np.zeros((len(fold.test), len(low))) for fold, low in zip(design.folds, best, strict=True)]
    for penalty in PENALTIES:
        solver = inverse(gram + penalty * np.eye(n)) - 1 / (n * penalty)
        applied = solver @ every
        for number, fold in enumerate(design.folds):
            out, u = fold.test, applied[:, : len(best[number])]
            block = solver[out]
            middle = inverse(np.ascontiguousarray(block[:, out]))
            error = middle @ u[out]
            left = np.diag(solver) - np.einsum("bn,bn->n", middle @ block, block)
            loo = ((u - block.T @ error)[fold.train] / left[fold.train, None]) ** 2
            better = loo.mean(0) < best[number]
            best[number] = np.where(better, loo.mean(0), best[number])
            errors[number] = np.where(better, error, errors[number])
    scores = np.zeros((design.repeats, *real.shape))
    for fold, error in zip(design.folds, errors, strict=True):
        held = real[fold.test] - error[:, : real.shape[1]]
        scores[fold.repeat, fold.test] = np.where(np.abs(held) < 1e-6, 0.0, held)
    return scores


def apart_from_reference(x: np.ndarray, design: Design, scores: np.ndarray) -> float:
    """Return the largest difference of a prediction from `RidgeCV` on features with scales of all texts."""
    z, y = standardise(x)[0], label_columns(design.y, design.classes)
    largest = 0.0
    for fold in design.folds:
        fit = RidgeCV(alphas=PENALTIES, alpha_per_target=True).fit(z[fold.train], y[fold.train])
        found = fit.predict(z[fold.test]).reshape(len(fold.test), -1)
        largest = max(largest, float(np.abs(found - scores[fold.repeat, fold.test]).max()))
    return largest


def main() -> None:
    """Print a line per data set, and the mean absolute difference last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--shuffles", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--size", default="quick")
    args = parser.parse_args()
    store = DiskStore.open(args.run / "activations")
    study = registry.get("studies", "hierarchy")
    cells, speed, rows = [], [], []
    for data in (data for task in study.tasks for data in registry.get("tasks", task).build(args.size)):
        file = args.run / "items" / f"{data.name}.parquet"
        if data.kind != "classes" or not file.exists():
            continue
        texts = pl.read_parquet(file)["row"].to_numpy()
        design = make_design(data, ProbeSpec(methods=("ridge",), repeats=args.repeats, shuffles=args.shuffles), 0)
        moved, apart = [], 0.0
        for layer in range(1, store.shape.points["resid"], args.every):
            x = store.read("resid", layer)[texts].astype(float)
            start = time.process_time()
            exact = probe_layer(x, design, ["ridge"])[0].scores
            middle = time.process_time()
            other = shared(x, design)
            speed.append((middle - start) / (time.process_time() - middle))
            one, two = (float(accuracy(s, design.y, np.ones((1, len(data.items)))).mean()) for s in (exact, other))
            moved.append(two - one)
            apart = apart if len(moved) > 1 else apart_from_reference(x, design, other)
        cells += moved
        rows.append(
            {"data": data.name, "n": len(data.items), "mean": np.mean(moved), "largest": np.abs(moved).max()}
            | {"from RidgeCV": apart}
        )
        print(
            f"{data.name:<20} n {len(data.items):4}  mean {np.mean(moved):+.4f}  largest {np.abs(moved).max():.4f}  "
            f"from RidgeCV {apart:.1e}"
        )
    print(f"mean difference {np.mean(cells):+.5f}; largest {np.abs(cells).max():.4f}; {len(cells)} cells")
    print(f"CPU seconds, training scales / shared scales: {median(speed):.2f}")
    ratios = {"mean absolute difference": float(np.abs(cells).mean())}
    write(Result(name="scaling", settings={**vars(args), "run": args.run.name}, rows=rows, ratios=ratios))


if __name__ == "__main__":
    main()
