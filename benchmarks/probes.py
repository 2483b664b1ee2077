"""Probes with controls, against scikit-learn's loop over the same folds, penalties and shuffles.

    python benchmarks/probes.py [--rounds 5] [--n 1000] [--width 3072]

Ridge: cross-validation with the choice of penalty and 200 label shuffles of one layer, against
`permutation_test_score` on StandardScaler + RidgeCV; the reference is timed on few shuffles and scaled to 200.
SVM: the labels and its 40 shuffles, against SVC(kernel="linear") fitted anew for each. Both sides run in turn in one
process, on the same data; a map of 28 layers x 3 components is 84 times either. Agreement is printed; the last two
lines are the ratios of medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
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
from layeratlas.probes.svm import LinearSVM

FEW = 2
SVM_SHUFFLES = LinearSVM().shuffles(200)


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
    """Return the seconds that 200 shuffles and the labels would take, from a few shuffles."""
    folds = [(f.train, f.test) for f in design.folds if f.repeat == 0]
    scorer = make_scorer(lambda y, found: accuracy_score(y > 0, found > 0))
    start = time.perf_counter()
    permutation_test_score(
        make_pipeline(StandardScaler(), RidgeCV(alphas=PENALTIES)), x, 2 * design.y - 1,
        cv=folds, n_permutations=FEW, scoring=scorer,
    )  # fmt: skip
    return (time.perf_counter() - start) * 201 / (1 + FEW)


def reference_svm(x: np.ndarray, design: Design) -> float:
    """Return the seconds of all label columns that the probe fits, from 1 + FEW of them."""
    start = time.perf_counter()
    for y in (design.y, *design.shuffled[:FEW]):
        _out_of_fold(lambda: SVC(kernel="linear", C=1.0), x, y, design)
    return (time.perf_counter() - start) * (1 + SVM_SHUFFLES) / (1 + FEW)


def _out_of_fold(make: Any, x: np.ndarray, y: np.ndarray, design: Design) -> np.ndarray:
    scores = np.zeros(len(y))
    for fold in design.folds:
        scaler = StandardScaler().fit(x[fold.train])
        fit = make().fit(scaler.transform(x[fold.train]), 2 * y[fold.train] - 1)
        test = scaler.transform(x[fold.test])
        scores[fold.test] = fit.decision_function(test) if hasattr(fit, "decision_function") else fit.predict(test)
    return scores


def main() -> None:
    """Print agreement, seconds, and the ratios last."""
    parser = argparse.ArgumentParser()
    for name, value in (("rounds", 5), ("n", 1000), ("width", 3072)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    x, data = problem(args.n, args.width)
    design = make_design(data, ProbeSpec(repeats=1, shuffles=200), 0)
    seconds: dict[str, list[float]] = {"ridge": [], "sklearn ridge": [], "svm": [], "sklearn svm": []}
    for _ in range(args.rounds):
        for name in ("ridge", "svm"):
            start = time.perf_counter()
            found = probe_layer(x, design, [name])[0].scores[0, :, 0]
            seconds[name].append(time.perf_counter() - start)
        seconds["sklearn ridge"].append(reference_ridge(x, design))
        seconds["sklearn svm"].append(reference_svm(x, design))
    ridge = probe_layer(x, design, ["ridge"])[0].scores[0, :, 0]
    gap = np.abs(ridge - _out_of_fold(lambda: RidgeCV(alphas=PENALTIES), x, design.y, design)).max()
    print(f"n = {args.n}, d = {args.width}, 5 folds, one layer of one component")
    print(f"ridge: largest difference of a prediction {gap:.1e}")
    hinge = _out_of_fold(lambda: SVC(kernel="linear", C=1.0), x, design.y, design)
    right = [float(((s > 0) == (design.y > 0)).mean()) for s in (found, hinge)]
    print(f"svm: accuracy {right[0]:.4f}, scikit-learn {right[1]:.4f}")
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in middle.items():
        print(f"{name:<14} {value:8.2f} s")
    print(f"svm ratio: {middle['sklearn svm'] / middle['svm']:.1f}")
    print(f"ridge ratio: {middle['sklearn ridge'] / middle['ridge']:.1f}")


if __name__ == "__main__":
    main()
