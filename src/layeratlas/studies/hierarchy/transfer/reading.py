"""Probes fitted on one data set and applied to another, by layer, with the cosines between the two directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.data.items import Dataset
from layeratlas.probes import Design, Weights, label_shuffles, probe_weights
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.intervals import TRAINING, draws_interval, widened
from layeratlas.stats.measures import Measure, measures_for
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.tests import two_sided_rank
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.hierarchy.designs import designs_of
from layeratlas.studies.hierarchy.names import RESIDUAL
from layeratlas.studies.hierarchy.probing import load_probed, rows_of, whole_store

# Enough shuffles for one pair to be supported after Holm's correction over the 20 pairs of five data sets.
_SHUFFLES = 1999


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A data set's probe at every layer (P): its weights, its mean differences, and its own out-of-fold score (P,).

    `differences[l]` (k, d): the mean of each class minus the mean of all other texts.
    """

    design: Design
    vectors: list[Floats]
    weights: list[Weights]
    differences: list[Floats]
    own: Floats


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """The performance of `source`'s probe on `target` by layer: `value` (P,) and `draws` (B, P) of `metric`.

    `own` (P,) is the out-of-fold score of the source on its own texts. `cosine` (P,) compares the two sets' differences
    of class means, `weight_cosine` (P,) their probe weights. `layer` is where the source decodes best, so it is chosen
    without the target. `p` is two-sided, at that layer, from shuffling the target's labels within groups (or between
    groups, if each has a single label). `n` counts the texts of the target that are not in the source.
    """

    source: str
    target: str
    metric: str
    chance: float
    value: Floats
    draws: Floats
    own: Floats
    cosine: Floats
    weight_cosine: Floats
    p: float
    n: int
    n_groups: int

    @property
    def layer(self) -> int:
        """The layer at which the source decodes best."""
        return int(self.own.argmax())

    def effect(self, layer: int) -> Effect:
        """Return the value minus chance at a layer; p is NaN except at the chosen layer."""
        draws = self.draws[:, layer] - self.chance
        lo, hi = draws_interval(draws, self.n_groups, least=-self.chance, most=1 - self.chance)
        p = self.p if layer == self.layer else float("nan")
        return Effect(estimate=float(self.value[layer] - self.chance), lo=float(lo), hi=float(hi), p=p)


def transfers_of(work: Workspace) -> list[Transfer]:
    """Return the transfer of every ordered pair of data sets with equal classes (residual stream, first probe).

    Both data sets of a pair are of the same built-in level, or both are the user's files. Large data sets are left out,
    and so are pairs with too few texts to read (`is_readable`), such as two label columns of the same texts.
    """
    alike: dict[tuple[str, ...], list[Design]] = {}
    for design in designs_of(work):
        if design.classes and not design.others:
            level = "" if design.data.source else design.data.level
            alike.setdefault((level, *design.data.classes), []).append(design)
    together = [designs for designs in alike.values() if len(designs) > 1]
    if not together or RESIDUAL not in work.spec.capture.components:
        return []
    return [
        transfer(source, target, work.spec.probe.bootstrap, work.spec.seed)
        for designs in together
        for fitted in [_fit_all(work, designs)]
        for source in fitted
        for target in fitted
        if source is not target and is_readable(source.design.data, target.design.data)
    ]


def is_readable(source: Dataset, target: Dataset) -> bool:
    """Return whether the target's texts outside the source have every class of the target, and two groups or more."""
    items = [target.items[row] for row in _unknown(source, target)]
    classes = {str(item.label) for item in items}
    return len({item.group for item in items}) > 1 and classes == set(target.classes)


def _unknown(source: Dataset, target: Dataset) -> list[int]:
    """Return the rows of the target whose text is not in the source."""
    known = set(source.texts)
    return [row for row, text in enumerate(target.texts) if text not in known]


def _fit_all(work: Workspace, designs: Sequence[Design]) -> list[Fitted]:
    store, method = whole_store(work), work.spec.probe.methods[0]
    own = {
        probed.design.data.name: probed.scores
        for probed in load_probed(work)
        if (probed.component, probed.method) == (RESIDUAL, method)
    }
    fitted = []
    for design in designs:
        rows = rows_of(work, design.data)
        layers = range(store.shape.points[RESIDUAL])
        vectors = list(store.read_layers(RESIDUAL, layers, rows).astype(np.float64))
        fitted.append(fit(design, vectors, own[design.data.name], method))
    return fitted


def fit(design: Design, vectors: list[Floats], scores: Floats, method: str) -> Fitted:
    """Return a data set's probe, fitted on each layer's vectors (n, d); `scores` (P, repeats, n, k) are out of fold."""
    _, measure = main_measure(design)
    everyone = np.ones((1, len(design.y)))
    return Fitted(
        design=design,
        vectors=vectors,
        weights=[probe_weights(x, design, method) for x in vectors],
        differences=[_differences(x, design) for x in vectors],
        own=np.array([float(measure(of_layer, design.y, everyone).mean()) for of_layer in scores]),
    )


def main_measure(design: Design) -> tuple[str, Measure]:
    """Return the measure of transfer: AUROC for two classes (invariant to a shift of the stream), or else accuracy."""
    measures = measures_for("classes", design.classes)
    name = "auroc" if "auroc" in measures else "accuracy"
    return name, measures[name]


def transfer(source: Fitted, target: Fitted, bootstrap: int, seed: int) -> Transfer:
    """Apply the source's probe to the texts of the target that are not in the source; the pair is readable."""
    rows = np.array(_unknown(source.design.data, target.design.data), np.int64)
    items = [target.design.data.items[row] for row in rows]
    groups, y = [item.group for item in items], target.design.y[rows]
    name, measure = main_measure(source.design)
    weights = Resampler(groups, bootstrap, seed).weights(groups, halves=False)
    read = [x[rows] @ w.coef.T + w.intercept for x, w in zip(target.vectors, source.weights, strict=True)]
    table = np.stack([measure(scores, y, weights) for scores in read], 1)
    table = np.where(np.isfinite(table), table, table[:1])
    return Transfer(
        source=source.design.data.name,
        target=target.design.data.name,
        metric=name,
        chance=0.5 if name == "auroc" else 1 / source.design.classes,
        value=table[0],
        # Another sample of the source's texts would have trained another probe, which no draw shows.
        draws=widened(table[0], table[1:], len(set(groups)), times=TRAINING, least=0.0, most=1.0),
        own=source.own,
        cosine=np.array([_cosine(a, b) for a, b in zip(source.differences, target.differences, strict=True)]),
        weight_cosine=np.array([_cosine(a.coef, b.coef) for a, b in zip(source.weights, target.weights, strict=True)]),
        p=_p_value(read[int(source.own.argmax())], target.design, rows, seed),
        n=len(rows),
        n_groups=len(set(groups)),
    )


def _p_value(scores: Floats, design: Design, rows: Ints, seed: int) -> float:
    """Return the two-sided p-value of scores (n, k) among label shuffles."""
    _, measure = main_measure(design)
    y = design.y[label_shuffles(design.data, design.folds, _SHUFFLES, seed)][:, rows]
    everyone = np.ones((1, len(rows)))
    value = measure(scores, design.y[rows], everyone)[0]
    shuffled = measure(np.broadcast_to(scores, (len(y), *scores.shape)), y, everyone)[0]
    return two_sided_rank(float(value), shuffled)


def _differences(x: Floats, design: Design) -> Floats:
    rows = [x[design.y == code].mean(0) - x[design.y != code].mean(0) for code in range(design.classes)]
    return np.stack(rows)


def _cosine(a: Floats, b: Floats) -> float:
    """Return the mean cosine of two sets of directions (k, d), class by class."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float((np.einsum("kd,kd->k", a, b) / np.maximum(norms, 1e-300)).mean())
