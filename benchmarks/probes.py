"""Probes with controls, against scikit-learn's loop over the same folds and shuffles, and against their floor.

    python benchmarks/probes.py [--rounds 5] [--n 1000] [--width 3072] [--repeats 1] [--shuffles 200]

Ridge: cross-validation with the choice of penalty and 200 label shuffles of one layer, against
`permutation_test_score` on StandardScaler + RidgeCV; the reference is timed on few shuffles and scaled to 200.
SVM: the labels and its 40 shuffles, against SVC(kernel="linear") fitted anew for each. Floor: the products and
eigendecompositions alone that exact cross-validation of both needs, on arrays that lie ready. All sides run in turn in
one process, on the same data, in CPU seconds, which other processes hardly change; a map of 28 layers x 3 components is
84 times either. Agreement is printed; the last lines are ratios of medians, over the floor the median of the paired
ratios.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from results import Result, median, write
from sklearn.linear_model import RidgeCV
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import permutation_test_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import Design, make_design, probe_layer
from layeratlas.probes.ridge import PENALTIES

FEW = 2


def problem(n: int, width: int) -> tuple[np.ndarray, Dataset]:
    """Return vectors whose spectrum falls like that of activations, with a weak class direction, and their items."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    x = (
        rng.standard_normal((n, width))
        * (np.arange(1, width + 1) ** -0.5)
        @ np.linalg.qr(rng.standard_normal((width, width)))[0]
    )
    x += 0.018 * x.std() * np.outer(2 * labels - 1, rng.standard_normal(width))
    items = tuple(Item(f"text {i}", "yes" if y else "no", f"group {i}") for i, y in enumerate(labels))
    return x, Dataset("benchmark", "benchmark", items)


def reference_ridge(x: np.ndarray, design: Design) -> float:
    """Return the seconds that all shuffles and the labels would take, from a few shuffles."""
    folds = [(f.train, f.test) for f in design.folds if f.repeat == 0]
    scorer = make_scorer(lambda y, found: accuracy_score(y > 0, found > 0))
    start = time.process_time()
    line = make_pipeline(StandardScaler(), RidgeCV(alphas=PENALTIES))
    permutation_test_score(line, x, 2 * design.y - 1, cv=folds, n_permutations=FEW, scoring=scorer)
    return (time.process_time() - start) * (1 + len(design.shuffled)) / (1 + FEW)


def reference_svm(x: np.ndarray, design: Design, shuffles: int) -> float:
    """Return the seconds of all label columns that the probe fits, from 1 + FEW of them."""
    start = time.process_time()
    for y in (design.y, *design.shuffled[:FEW]):
        _out_of_fold(lambda: SVC(kernel="linear", C=1.0), x, y, design)
    return (time.process_time() - start) * (1 + shuffles) / (1 + FEW)


def _out_of_fold(make: Any, x: np.ndarray, y: np.ndarray, design: Design) -> np.ndarray:
    scores = np.zeros(len(y))
    for fold in design.folds:
        if fold.repeat:
            continue
        scaler = StandardScaler().fit(x[fold.train])
        fit = make().fit(scaler.transform(x[fold.train]), 2 * y[fold.train] - 1)
        test = scaler.transform(x[fold.test])
        scores[fold.test] = fit.decision_function(test) if hasattr(fit, "decision_function") else fit.predict(test)
    return scores


def floor(x: np.ndarray, design: Design) -> tuple[float, dict[str, float]]:
    """Return the seconds, and the operations by part (GFLOP), of what no exact method on this Gram matrix goes without.

    Features are scaled on each training part, so that every fold has its own Gram matrix; leave-one-out needs the
    diagonal of its inverse at each penalty, so that it needs an eigendecomposition (or an inverse per penalty).
    """
    columns = 1 + len(design.shuffled) + len(design.control_tasks)
    counts = dict.fromkeys(("Gram and test products", "eigendecompositions", "label columns at 7 penalties"), 0.0)
    seconds = 0.0
    rng = np.random.default_rng(0)
    for fold in design.folds:
        inside, outside = x[fold.train], x[fold.test]
        n, d = inside.shape
        k = columns if fold.repeat == 0 else 1
        y = rng.standard_normal((n, k))
        start = time.process_time()
        gram = inside @ inside.T if n <= d else inside.T @ inside
        _, vectors = np.linalg.eigh(gram)
        if n <= d:
            outside @ inside.T
        else:
            vectors = inside @ vectors
        rotated = vectors.T @ y
        for _ in PENALTIES:
            vectors @ rotated
        seconds += time.process_time() - start
        r = min(n, d)
        counts["Gram and test products"] += (n * d * r + 2 * (len(outside) if n <= d else r) * n * d) / 1e9
        counts["eigendecompositions"] += 14 / 3 * r**3 / 1e9
        counts["label columns at 7 penalties"] += 2 * n * r * k * (1 + len(PENALTIES)) / 1e9
    return seconds, counts


def main() -> None:
    """Print agreement, seconds, operations, and the ratios last; keep them."""
    parser = argparse.ArgumentParser()
    for name, value in (("rounds", 5), ("n", 1000), ("width", 3072), ("repeats", 1), ("shuffles", 200)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    x, data = problem(args.n, args.width)
    design = make_design(data, ProbeSpec(repeats=args.repeats, shuffles=args.shuffles), 0)
    shuffles = max(20, args.shuffles // 5)
    sides: dict[str, Any] = {
        name: lambda chosen=names: probe_layer(x, design, chosen)
        for name, names in (("ridge", ["ridge"]), ("svm", ["svm"]), ("both", ["ridge", "svm"]))
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*sides, "floor", "sklearn ridge", "sklearn svm")}
    for _ in range(args.rounds):
        for name, work in sides.items():
            start = time.process_time()
            found = work()
            seconds[name].append(time.process_time() - start)
        seconds["floor"].append(floor(x, design)[0])
        seconds["sklearn ridge"].append(reference_ridge(x, design))
        seconds["sklearn svm"].append(reference_svm(x, design, shuffles))
    ridge, svm = (result.scores[0, :, 0] for result in found)
    gap = np.abs(ridge - _out_of_fold(lambda: RidgeCV(alphas=PENALTIES), x, design.y, design)).max()
    print(f"n = {args.n}, d = {args.width}, 5 folds, {args.repeats} repeats, one layer of one component")
    print(f"ridge: largest difference of a prediction {gap:.1e}")
    hinge = _out_of_fold(lambda: SVC(kernel="linear", C=1.0), x, design.y, design)
    right = [float(((s > 0) == (design.y > 0)).mean()) for s in (svm, hinge)]
    print(f"svm: accuracy {right[0]:.4f}, scikit-learn {right[1]:.4f}")
    for part, count in floor(x, design)[1].items():
        print(f"{part:<30} {count:8.1f} GFLOP")
    middle = {name: median(values) for name, values in seconds.items()}
    for name, value in middle.items():
        print(f"{name:<14} {value:8.2f} s")
    ratios = {
        "svm": middle["sklearn svm"] / middle["svm"],
        "both over the floor": median([a / b for a, b in zip(seconds["both"], seconds["floor"], strict=True)]),
        "ridge": middle["sklearn ridge"] / middle["ridge"],
    }
    write(Result(name="probes", settings=vars(args), rounds=seconds, ratios=ratios))


if __name__ == "__main__":
    main()
