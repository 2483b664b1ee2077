"""Probe a data set layer by layer: out-of-fold scores, and the same on shuffled labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from layeratlas.core import registry
from layeratlas.core.arrays import Bools, Floats
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset
from layeratlas.probes._contract import Fold, Probe
from layeratlas.probes._dual import SplitGram, Weights, fitted_weights, held_out_scores, label_columns, split_gram
from layeratlas.probes._folds import label_shuffles, make_folds
from layeratlas.probes._surface import surface_features
from layeratlas.stats.measures import measures_for

# Equal vectors must tie whatever their labels: a score this close to the decision boundary is rounding.
_TIE = 1e-6
# The stratum and the task that stand for the whole.
_WHOLE = "all"
# The probe of the surface baseline: ridge, which predicts classes and numbers.
_BASELINE_PROBE = "ridge"


@dataclass(frozen=True, kw_only=True)
class Design:
    """What all layers of a data set share.

    y: labels (n,); shuffled: labels under each shuffle (shuffles, n); strata: names of parts of the items, "all" first.
    """

    data: Dataset
    folds: tuple[Fold, ...]
    repeats: int
    y: Floats
    shuffled: Floats
    strata: tuple[str, ...]
    spec: ProbeSpec = field(default_factory=ProbeSpec)

    @property
    def classes(self) -> int:
        """The number of classes, 0 for numbers."""
        return len(self.data.classes)

    def rows_of(self, stratum: str) -> Bools:
        """Return which items belong to a stratum, (n,)."""
        return np.array([stratum in (_WHOLE, s) for s in self.data.strata])


def make_design(data: Dataset, spec: ProbeSpec, seed: int) -> Design:
    """Return a data set with its folds and shuffles, the same for every layer, component and probe."""
    folds = make_folds(data, spec.folds, spec.repeats, seed)
    names = sorted(set(data.strata))
    return Design(
        data=data,
        folds=tuple(folds),
        repeats=folds[-1].repeat + 1,
        y=data.y,
        shuffled=data.y[label_shuffles(data, folds, spec.shuffles, seed)],
        strata=(_WHOLE, *(name for name in names if name != _WHOLE)) if len(names) > 1 else (_WHOLE,),
        spec=spec,
    )


@dataclass(frozen=True, kw_only=True)
class LayerScores:
    """One probe at one layer.

    scores: (repeats, n, k) out of fold; shuffled: (strata, measures, shuffles), the out-of-fold measure of each shuffle
    on its own labels.
    """

    scores: Floats
    shuffled: Floats


@dataclass(frozen=True, kw_only=True)
class Probed:
    """One probe at every layer of one component (P layers).

    scores: (P, repeats, n, k) out of fold; shuffled: (P, strata, measures, shuffles); `baseline` by measure, and
    `baseline_scores` (repeats, n, k) of the best surface features, None where they are not kept.
    """

    design: Design
    component: str
    method: str
    scores: Floats
    shuffled: Floats
    baseline: dict[str, float]
    baseline_scores: Floats | None = None


class _OutOfFold:
    """The out-of-fold scores of one probe at one layer, filled fold by fold.

    scores: (repeats, n, k); control: (shuffles, n, k), on the folds of the first repeat.
    """

    def __init__(self, probe: Probe, design: Design, real: Floats, shuffled: Floats) -> None:
        self._probe, self._real = probe, real
        self._shuffled = shuffled[: probe.shuffles(len(shuffled))]
        self._discrete = design.classes > 0
        self.scores = np.zeros((design.repeats, *real.shape))
        self.control = np.zeros(self._shuffled.shape)

    def add(self, fold: Fold, gram: SplitGram) -> None:
        """Score the fold's test rows; shuffles are further label columns of the same fit."""
        shuffled = self._shuffled if fold.repeat == 0 else self._shuffled[:0]
        y = np.concatenate([self._real[None, fold.train], shuffled[:, fold.train]]).transpose(1, 0, 2)
        flat = held_out_scores(self._probe, gram, y.reshape(len(fold.train), -1))
        scores = flat.reshape(len(fold.test), -1, self._real.shape[-1])
        if self._discrete:
            scores[np.abs(scores) < _TIE] = 0.0
        self.scores[fold.repeat, fold.test] = scores[:, 0]
        if fold.repeat == 0:
            self.control[:, fold.test] = scores[:, 1:].transpose(1, 0, 2)


def probe_layer(x: Floats, design: Design, methods: Sequence[str]) -> list[LayerScores]:
    """Probe one layer's vectors x (n, d) with every method; they share folds and Gram matrices."""
    probes: list[Probe] = [registry.get("probes", name).configured(design.spec) for name in methods]
    real, shuffled = label_columns(design.y, design.classes), label_columns(design.shuffled, design.classes)
    results = [_OutOfFold(probe, design, real, shuffled) for probe in probes]
    for fold in design.folds:
        gram = split_gram(x, fold.train, fold.test, design.spec.pca)
        for result in results:
            result.add(fold, gram)
    return [LayerScores(scores=r.scores, shuffled=_measure_shuffles(r.control, design)) for r in results]


def probe_weights(x: Floats, design: Design, method: str) -> Weights:
    """Return the probe of a data set fitted on all of one layer's vectors x (n, d), with the settings of the folds."""
    probe: Probe = registry.get("probes", method).configured(design.spec)
    return fitted_weights(probe, x, label_columns(design.y, design.classes), design.spec.pca)


def _measure_shuffles(control: Floats, design: Design) -> Floats:
    """Return each shuffle's measures on its own labels, (strata, measures, shuffles)."""
    measures = measures_for(design.data.kind, design.classes)
    y = design.shuffled[: len(control)]
    values = np.zeros((len(design.strata), len(measures), len(control)))
    for i, stratum in enumerate(design.strata):
        weight = design.rows_of(stratum)[None].astype(float)
        for j, measure in enumerate(measures.values()):
            values[i, j] = measure(control, y, weight)[0]
    return values


@dataclass(frozen=True, kw_only=True)
class SurfaceBaseline:
    """The best value per measure without the model, and the out-of-fold scores (repeats, n, k) of the best features.

    The best features are those of the first measure, which findings use.
    """

    values: dict[str, float]
    scores: Floats


def surface_baseline(design: Design, tokens: Sequence[int]) -> SurfaceBaseline:
    """Return what a probe reaches without the model.

    It sees counts of words, counts of character n-grams, or the numbers of characters, words and tokens (`tokens`, one
    count per text).
    """
    texts = design.data.texts
    everyone = np.ones((1, len(texts)))
    design = replace(design, shuffled=design.shuffled[:1])  # a baseline needs no control
    best: dict[str, float] = {}
    kept = np.zeros((design.repeats, len(texts), 1))
    measures = measures_for(design.data.kind, design.classes)
    for x in surface_features(texts, tokens):
        scores = probe_layer(x, design, [_BASELINE_PROBE])[0].scores
        values = {name: float(measure(scores, design.y, everyone).mean()) for name, measure in measures.items()}
        main = next(iter(measures))
        if values[main] > best.get(main, -np.inf):
            kept = scores
        best = {name: max(value, best.get(name, -np.inf)) for name, value in values.items()}
    return SurfaceBaseline(values=best, scores=kept)
