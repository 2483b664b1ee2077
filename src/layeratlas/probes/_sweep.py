"""Probe one data set at every layer of one component: out-of-fold scores, and the same on shuffled labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from layeratlas.core import registry
from layeratlas.core.arrays import Floats
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset
from layeratlas.probes._contract import Fold, Probe
from layeratlas.probes._dual import columns, out_of_fold, scores
from layeratlas.probes._folds import label_shuffles, make_folds
from layeratlas.probes._surface import surface_features
from layeratlas.stats.measures import measures_for

# Equal vectors must tie whatever their labels; closer to the boundary than this a score is rounding.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Design:
    """What every layer of a data set shares: folds, label columns, shuffled labels, strata."""

    data: Dataset
    folds: tuple[Fold, ...]
    repeats: int
    y: Floats
    shuffled: Floats  # (shuffles, n)
    strata: tuple[str, ...]  # "all" first
    spec: ProbeSpec = field(default_factory=ProbeSpec)

    @property
    def classes(self) -> int:
        """The number of classes, 0 for numbers."""
        return len(self.data.classes)

    def rows_of(self, stratum: str) -> NDArray[np.bool_]:
        """Return which items a stratum holds."""
        return np.array([stratum in ("all", s) for s in self.data.strata])


def make_design(data: Dataset, spec: ProbeSpec, seed: int) -> Design:
    """Fix folds and shuffles for a data set; the same for every layer, component and probe."""
    folds = make_folds(data, spec.folds, spec.repeats, seed)
    shuffled = data.y[label_shuffles(data, folds, spec.shuffles, seed)]
    parts = sorted(set(data.strata))
    strata = ("all", *(part for part in parts if part != "all")) if len(parts) > 1 else ("all",)
    return Design(data, tuple(folds), folds[-1].repeat + 1, data.y, shuffled, strata, spec)


@dataclass(frozen=True)
class LayerScores:
    """One probe at one layer.

    scores: (repeats, n, k) out-of-fold scores; shuffled: (strata, measures, shuffles), each shuffle's own
    out-of-fold measure on its own labels.
    """

    scores: Floats
    shuffled: Floats


@dataclass(frozen=True)
class Probed:
    """One probe at every layer of one component (P layers).

    scores: (P, repeats, n, k) out of fold; shuffled: (P, strata, measures, shuffles); `baseline` per measure.
    """

    design: Design
    component: str
    method: str
    scores: Floats
    shuffled: Floats
    baseline: dict[str, float]


def probe_layer(x: Floats, design: Design, methods: Sequence[str]) -> list[LayerScores]:
    """Probe one layer's vectors, x (n, d), with every method; folds and Gram matrices are shared."""
    probes: list[Probe] = [registry.get("probes", name).using(design.spec) for name in methods]
    n, real = len(x), columns(design.y, design.classes)
    k = real.shape[-1]
    limits = [probe.shuffles(len(design.shuffled)) for probe in probes]
    out = [np.zeros((design.repeats, n, k)) for _ in probes]
    control = [np.zeros((limit, n, k)) for limit in limits]
    fake = columns(design.shuffled, design.classes)
    for fold in design.folds:
        grams = out_of_fold(x, fold.train, fold.test, design.spec.pca)
        for i, probe in enumerate(probes):
            # Shuffles ride along as further columns, on the first repeat's folds.
            extra = fake[: limits[i], fold.train] if fold.repeat == 0 else fake[:0, fold.train]
            y = np.concatenate([real[None, fold.train], extra]).transpose(1, 0, 2)
            found = scores(probe, grams, y.reshape(len(fold.train), -1)).reshape(len(fold.test), -1, k)
            if design.classes:
                found[np.abs(found) < _ROUNDING] = 0.0
            out[i][fold.repeat, fold.test] = found[:, 0]
            if fold.repeat == 0:
                control[i][:, fold.test] = found[:, 1:].transpose(1, 0, 2)
    return [LayerScores(s, _measure_shuffles(c, design)) for s, c in zip(out, control, strict=True)]


def _measure_shuffles(control: Floats, design: Design) -> Floats:
    kinds = measures_for(design.data.kind, design.classes)
    y = design.shuffled[: len(control)]
    out = np.zeros((len(design.strata), len(kinds), len(control)))
    for i, stratum in enumerate(design.strata):
        weight = design.rows_of(stratum)[None].astype(float)
        for j, measure in enumerate(kinds.values()):
            out[i, j] = measure(control, y, weight)[0]
    return out


def surface_baseline(design: Design, lengths: Sequence[int]) -> dict[str, float]:
    """Return the best score per measure that a ridge probe reaches without the model.

    It reads the counts of words, of character n-grams, or the numbers of characters, words and tokens (`lengths`).
    """
    texts = design.data.texts
    everyone = np.ones((1, len(texts)))
    design = replace(design, shuffled=design.shuffled[:1])  # a baseline needs no control
    best: dict[str, float] = {}
    for x in surface_features(texts, lengths):
        found = probe_layer(x, design, ["ridge"])[0].scores
        for name, measure in measures_for(design.data.kind, design.classes).items():
            value = float(measure(found, design.y, everyone).mean())
            best[name] = max(value, best.get(name, -np.inf))
    return best
