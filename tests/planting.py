"""Planted truth: data sets, activations and curves whose peaks are known because they were put there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import Design, Probed, make_design, probe_layer
from layeratlas.stats.curves import Curve
from layeratlas.stats.measures import measures_for
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.hierarchy.curves import task_curves
from layeratlas.studies.hierarchy.phrasing import Phrasing

# The words of the levels that tests use, as the built-in tasks declare them.
PHRASING = Phrasing(
    levels={"item": "item properties", "relation": "two-item relations", "analogy": "four-item analogies"}
)
LIGHT = ProbeSpec(methods=("ridge",), folds=5, repeats=2, shuffles=59, bootstrap=200)


def planted_data(
    n: int = 100, per_group: int = 1, level: str = "item", classes: int = 2, mixed: bool = False
) -> Dataset:
    """Return `n` items in groups of `per_group`; a group holds one label, or with `mixed` all of them."""
    items = []
    for i in range(n):
        group = i // per_group
        label = (i if mixed else group) % classes
        items.append(Item(f"{level} {i}", f"class {label}", f"{level}-{group:04d}"))
    return Dataset(level, level, tuple(items))


def activations(data: Dataset, strength: Sequence[float], width: int = 8, seed: int = 0) -> list[np.ndarray]:
    """Return noise (n, width) per layer plus, with that layer's strength, a direction per class."""
    rng = np.random.default_rng([seed, 3])
    directions = rng.standard_normal((len(data.classes), width))
    directions -= directions.mean(0)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    signal = directions[data.y.astype(int)]
    return [rng.standard_normal(signal.shape) + s * signal for s in strength]


def probed(data: Dataset, layers: Sequence[np.ndarray], spec: ProbeSpec = LIGHT, seed: int = 0) -> list[Probed]:
    """Probe every layer and return one `Probed` per method."""
    design = make_design(data, spec, seed)
    by_layer = [probe_layer(x, design, spec.methods) for x in layers]
    by_method = zip(spec.methods, zip(*by_layer, strict=True), strict=True)
    return [
        probed_from(design, np.stack([r.scores for r in results]), np.stack([r.shuffled for r in results]), method)
        for method, results in by_method
    ]


def probed_from(design: Design, scores: np.ndarray, shuffled: np.ndarray, method: str = "ridge") -> Probed:
    """Return scores as if probed from the residual stream, with a baseline at zero."""
    names = measures_for(design.data.kind, design.classes)
    return Probed(
        design=design,
        component="resid",
        method=method,
        scores=scores,
        shuffled=shuffled,
        baseline=dict.fromkeys(names, 0.0),
    )


def planted_curve(
    data: Dataset, strength: Sequence[float], spec: ProbeSpec = LIGHT, seed: int = 0, width: int = 8
) -> Curve:
    """Return the accuracy curve of planted activations, by the way a run takes."""
    first = probed(data, activations(data, strength, width, seed), spec, seed)[0]
    sampler = Resampler([item.group for item in data.items], spec.bootstrap, seed)
    return next(c for c in task_curves(first, sampler) if c.metric == "accuracy" and c.stratum == "all")


def drawn_curve(estimate: Sequence[float], spread: float = 0.01, level: str = "item", **fields: object) -> Curve:
    """Return a curve with this estimate whose draws, halves and shuffles are independent normal noise around it."""
    truth = np.asarray(estimate, float)
    rng = np.random.default_rng([len(truth), *level.encode()])

    def around(centre: np.ndarray, rows: int, sd: float) -> np.ndarray:
        return centre + sd * rng.standard_normal((rows, len(truth)))

    curve = Curve(
        level=level,
        task="all",
        stratum="all",
        component="resid",
        method="ridge",
        metric="accuracy",
        estimate=truth,
        draws=around(truth, 1000, spread),
        half_a=around(truth, 200, 1.4 * spread),
        half_b=around(truth, 200, 1.4 * spread),
        shuffles=around(np.full_like(truth, 0.5), 99, spread),
        chance=0.5,
        baseline=0.5,
        n=400,
        n_groups=100,
    )
    return dataclasses.replace(curve, **fields)  # type: ignore[arg-type]
