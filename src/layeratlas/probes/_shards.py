"""Probe one layer of texts that need not fit into memory, in one pass over its vectors.

A sample of groups of texts is kept in memory and split into folds like any data set: all scores are those of its texts.
Texts of all other groups are used for training only: ridge sees them in every fold, under true labels, shuffles and
control tasks, through sums of products, whose size is the square of the width for any number of texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from layeratlas.core import registry
from layeratlas.core.arrays import FloatArray, Floats, Ints
from layeratlas.core.errors import DataError
from layeratlas.probes._contract import Fold
from layeratlas.probes._large import LargeSet, OtherLabels
from layeratlas.probes._moments import MomentRidge, Moments
from layeratlas.probes._sweep import Design, Labels, LayerScores, OutOfFold, probe_layer

# The probe that sums of products can fit.
SUMMED = "ridge"
# Rows per sum: a large shard is not copied to float64 as a whole, and small shards are put together.
_STEP = 4096


def probe_shards(
    parts: Iterable[tuple[Ints, FloatArray]], texts: LargeSet, design: Design, methods: Sequence[str]
) -> list[LayerScores]:
    """Return each method's scores on the sampled texts at one layer; ridge is trained on all texts.

    parts: texts (m,) and their vectors (m, d), each text once (`Store.parts`). The design is that of the data set of
    the sampled texts, in their order. Other probes use only the sample. Ridge uses the penalty with the smallest
    leave-one-out error over the sampled training texts. Raises DataError if labels and design differ, or if the design
    asks for `pca`.
    """
    _check(texts, design)
    kept, others = _read(parts, texts, design)
    held = [method for method in methods if method != SUMMED]
    results = dict(zip(held, probe_layer(kept, design, held), strict=True)) if held else {}
    if SUMMED in methods:
        results[SUMMED] = _ridge(kept, others, design)
    return [results[method] for method in methods]


def _check(texts: LargeSet, design: Design) -> None:
    if len(texts.sample) != len(design.y) or not np.array_equal(texts.y[texts.sample], design.y):
        raise DataError("the sample's labels are not those of its data set", "y[sample] equal to the data set's y")
    if design.spec.pca is not None:
        raise DataError("principal components of texts that do not fit into memory", "probes on all features")


def _read(parts: Iterable[tuple[Ints, FloatArray]], texts: LargeSet, design: Design) -> tuple[Floats, Moments]:
    """Return the vectors of the sample (n, d), and the moments of the other texts with their label columns."""
    place = np.full(len(texts.y), -1)
    place[texts.sample] = np.arange(len(texts.sample))
    trains = np.zeros(len(texts.y), dtype=bool)
    trains[texts.others] = True
    labels, kept, others = OtherLabels(texts, design), np.zeros((0, 0)), None
    for rows, values in _steps(parts):
        kept = np.zeros((len(texts.sample), values.shape[1])) if not kept.size else kept
        inside = place[rows] >= 0
        kept[place[rows[inside]]] = values[inside]
        outside = trains[rows]
        added = Moments.of(values[outside].astype(np.float64), labels.columns(rows[outside]))
        others = added if others is None else others + added
    if others is None:
        raise DataError("there are no vectors to probe", "those of every text", "capture the texts first")
    return kept, others


def _steps(parts: Iterable[tuple[Ints, FloatArray]]) -> Iterator[tuple[Ints, FloatArray]]:
    """Yield the same texts and vectors in steps of at least `_STEP` rows, but for the last, and below twice as many."""
    waiting: list[tuple[Ints, FloatArray]] = []
    for rows, values in parts:
        for start in range(0, len(rows), _STEP):
            waiting.append((rows[start : start + _STEP], values[start : start + _STEP]))
            if sum(len(some) for some, _ in waiting) >= _STEP:
                yield _joined(waiting)
                waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(parts: Sequence[tuple[Ints, FloatArray]]) -> tuple[Ints, FloatArray]:
    rows, values = zip(*parts, strict=True)
    return np.concatenate(rows), np.concatenate(values)


def _ridge(x: Floats, others: Moments, design: Design) -> LayerScores:
    """Return the out-of-fold scores of ridge, trained on the other texts and the sample's training texts."""
    found = OutOfFold(registry.get("probes", SUMMED).configured(design.spec), design, Labels.of(design), 1)
    for fold in design.folds:
        found.add(fold, partial(_held_out, x, others, fold, design.spec.penalties))
    return found.at(0)


def _held_out(x: Floats, others: Moments, fold: Fold, penalties: tuple[float, ...], y: Floats) -> Floats:
    """Return the scores (1, n_test, c) of a fold's test rows for the label columns y (n_train, c) of its training."""
    inside = x[fold.train]
    ridge = MomentRidge(others.of_columns(y.shape[1]) + Moments.of(inside, y))
    return ridge.best_scores(inside, y, x[fold.test], penalties)[None]
