"""Train a probe on a share of its training folds, or on few dimensions, for learning curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core import registry
from layeratlas.core.arrays import Floats, Ints
from layeratlas.probes._contract import Fold, Probe
from layeratlas.probes._dual import SplitGram, components, held_out_scores, label_columns, split_gram
from layeratlas.probes._sweep import Design

# How often a subset that lacks a class is drawn again.
_REDRAWS = 20


def subset_scores(x: Floats, design: Design, method: str, share: float, draws: int, seed: int) -> Floats | None:
    """Return out-of-fold scores (draws, n, k) of a probe trained on a share of the groups of each training fold.

    x: vectors (n, d). The folds of the first repeat are used, with their whole test sets. Returns None if a share lacks
    a class or has fewer than two groups.
    """
    probe, columns = _probe_and_columns(design, method)
    scores = np.zeros((draws, *columns.shape))
    rng = np.random.default_rng([seed, 37, round(1e6 * share)])
    for draw in range(draws):
        for fold in _first_repeats(design, 1):
            train = _subset(design, fold, share, rng)
            if train is None:
                return None
            gram = split_gram(x, train, fold.test, design.spec.pca)
            scores[draw, fold.test] = held_out_scores(probe, gram, columns[train])
    return scores


def dimension_scores(
    x: Floats, design: Design, method: str, dimensions: Sequence[int], repeats: int = 1
) -> dict[int, Floats]:
    """Return out-of-fold scores (repeats, n, k) of a probe that sees the first components of its training rows.

    Keys are numbers of components; numbers beyond the rank of a training set are left out. There are at most as many
    repeats as the design has.
    """
    probe, columns = _probe_and_columns(design, method)
    repeats = min(repeats, design.spec.repeats)
    scores = {number: np.zeros((repeats, *columns.shape)) for number in dimensions}
    for fold in _first_repeats(design, repeats):
        gram = split_gram(x, fold.train, fold.test)
        for number in dimensions:
            if number not in scores or number > len(gram.train.values):
                scores.pop(number, None)
                continue
            scores[number][fold.repeat, fold.test] = held_out_scores(probe, _part(gram, number), columns[fold.train])
    return scores


def _part(gram: SplitGram, number: int) -> SplitGram:
    train, vectors = components(gram.train, number)
    return SplitGram(train=train, test=gram.scores(vectors), basis=vectors)


def _probe_and_columns(design: Design, method: str) -> tuple[Probe, Floats]:
    probe: Probe = registry.get("probes", method).configured(design.spec)
    return probe, label_columns(design.y, design.classes)


def _first_repeats(design: Design, repeats: int) -> list[Fold]:
    return [fold for fold in design.folds if fold.repeat < repeats]


def _subset(design: Design, fold: Fold, share: float, rng: np.random.Generator) -> Ints | None:
    """Return the training rows of a random share of the groups, with all classes; None if none was found."""
    groups = design.data.groups[fold.train]
    names = np.unique(groups)
    count = round(share * len(names))
    if count < 2:
        return None
    for _ in range(_REDRAWS):
        kept = rng.permutation(names)[:count]
        train: Ints = fold.train[np.isin(groups, kept)]
        if not design.classes or len(np.unique(design.y[train])) == design.classes:
            return train
    return None
