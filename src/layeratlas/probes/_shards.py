"""Probe one layer of texts that need not fit into memory, in one pass over its vectors.

A sample of whole groups of texts is kept in memory. It is split into folds like any data set, and all scores, shuffles,
bootstrap draws and costly probes are computed on it. All other texts are used for training only: ridge sees them in
every fold through sums of products, whose size is the square of the width for any number of texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats, Ints
from layeratlas.core.errors import DataError
from layeratlas.probes._dual import label_columns, with_ties
from layeratlas.probes._moments import MomentRidge, Moments
from layeratlas.probes._sweep import Design, LayerScores, probe_layer

# The probe that sums of products can fit.
_SUMMED = "ridge"
# Rows per step, so that a large shard is not copied to float64 as a whole.
_STEP = 4096


def sample_groups(groups: Ints, size: int, seed: int) -> Ints:
    """Return the rows of about `size` texts in random whole groups, ascending; all rows if there are few texts.

    groups: codes (n,), at least 0. Raises DataError if the sample would be one group.
    """
    counts = np.bincount(groups)
    order = np.random.default_rng([seed, 11]).permutation(np.flatnonzero(counts))
    drawn = order[: np.searchsorted(np.cumsum(counts[order]), size) + 1]
    if len(drawn) < 2:
        raise DataError(f"a sample of {size:,} texts is one group", "two groups or more", "ask for a larger sample")
    taken = np.zeros(len(counts), dtype=bool)
    taken[drawn] = True
    return np.flatnonzero(taken[groups])


def probe_shards(
    parts: Iterable[tuple[Ints, FloatArray]], y: Floats, sample: Ints, design: Design, methods: Sequence[str]
) -> list[LayerScores]:
    """Return each method's scores on the sampled texts at one layer; ridge is trained on all texts.

    parts: texts (m,) and their vectors (m, d), each text once (`Store.parts`). y: (n,) class codes, as in the design's
    data set, or numbers. sample: the row numbers, ascending, of the texts in the design's data set, in the same order.
    Shuffles, control tasks and other probes use only the sample. Ridge uses the penalty with the smallest leave-one-out
    error over the sampled training texts. Raises DataError if y and the design differ, or if the design asks for `pca`.
    """
    _check(y, sample, design)
    place = np.full(len(y), -1)
    place[sample] = np.arange(len(sample))
    kept, rest = np.zeros((0, 0)), None
    for rows, values in parts:
        kept = np.zeros((len(sample), values.shape[1])) if not kept.size else kept
        for start in range(0, len(rows), _STEP):
            at, x = rows[start : start + _STEP], values[start : start + _STEP].astype(np.float64)
            inside = place[at] >= 0
            kept[place[at[inside]]] = x[inside]
            added = Moments.of(x[~inside], label_columns(y[at[~inside]], design.classes))
            rest = added if rest is None else rest + added
    if rest is None:
        raise DataError("there are no vectors to probe", "those of every text", "capture the texts first")
    results = probe_layer(kept, design, methods)
    return [
        replace(result, scores=_summed_scores(kept, rest, design)) if method == _SUMMED else result
        for method, result in zip(methods, results, strict=True)
    ]


def _check(y: Floats, sample: Ints, design: Design) -> None:
    if len(sample) != len(design.y) or not np.array_equal(y[sample], design.y):
        raise DataError("the sample's labels are not those of its data set", "y[sample] equal to the data set's y")
    if design.spec.pca is not None:
        raise DataError("principal components of texts that do not fit into memory", "probes on all features")


def _summed_scores(x: Floats, rest: Moments, design: Design) -> Floats:
    """Return the out-of-fold scores (repeats, n, k) of ridge trained on `rest` and the sample's training texts."""
    y = label_columns(design.y, design.classes)
    scores = np.zeros((design.repeats, *y.shape))
    for fold in design.folds:
        inside, labels = x[fold.train], y[fold.train]
        ridge = MomentRidge(rest + Moments.of(inside, labels))
        scores[fold.repeat, fold.test] = ridge.best_scores(inside, labels, x[fold.test], design.spec.penalties)
    return with_ties(scores) if design.classes else scores
