"""The vectors that edits add to each prompt's stream at one point: erasure, its controls of equal norm, and steering.

All edits of a prompt are fitted on the other folds of its set, never on the prompt itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset
from layeratlas.directions.erasing import Eraser, fit_eraser
from layeratlas.probes import Fold, label_shuffles, make_folds
from layeratlas.studies.causal.names import Edited
from layeratlas.studies.causal.settings import CausalSettings

_LEAST = 1e-12


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a set is erased: its folds, its class codes (n,), and `shuffled` codes (controls, n)."""

    folds: tuple[Fold, ...]
    codes: Ints
    shuffled: Ints
    settings: CausalSettings
    seed: int

    @classmethod
    def of(cls, data: Dataset, probe: ProbeSpec, settings: CausalSettings, seed: int) -> Plan:
        """Return the plan of a set."""
        folds = make_folds(data, probe.folds, 1, seed)
        codes = data.y.astype(np.int64)
        shuffled = codes[label_shuffles(data, folds, settings.controls, seed)]
        return cls(folds=tuple(folds), codes=codes, shuffled=shuffled, settings=settings, seed=seed)

    @property
    def edits(self) -> list[Edited]:
        """The edits of every prompt and point, in the order of `moves`."""
        controls = [Edited.RANDOM, Edited.SHUFFLED] * self.settings.controls
        return [Edited.ERASE, *controls, Edited.OTHER, Edited.STEER, *[Edited.STEER_RANDOM] * self.settings.controls]


def moves(x: Floats, plan: Plan, point: int, other: Eraser | None) -> Floats:
    """Return the vectors to add to x (n, d) at a point, (edits, n, d) in the order of `plan.edits`.

    Controls move each vector as far as the edit that they are compared with. `other` erases another task's label; if it
    is None, that edit moves nothing.
    """
    out = np.zeros((len(plan.edits), *x.shape))
    rng = np.random.default_rng([plan.seed, 53, point])
    for fold in plan.folds:
        out[:, fold.test] = np.stack(_of_fold(x, plan, fold, other, rng))
    return out


def erased_vectors(x: Floats, plan: Plan) -> Floats:
    """Return x (n, d) erased fold by fold, in the same way as the model's stream."""
    out = np.empty_like(x)
    for fold in plan.folds:
        out[fold.test] = fit_eraser(x[fold.train], plan.codes[fold.train])(x[fold.test])
    return out


def _of_fold(x: Floats, plan: Plan, fold: Fold, other: Eraser | None, rng: np.random.Generator) -> list[Floats]:
    train, test = x[fold.train], x[fold.test]
    erase = fit_eraser(train, plan.codes[fold.train]).change(test)
    steer = plan.settings.strength * _steering(train, plan.codes[fold.train], plan.codes[fold.test])
    rows = [erase]
    for labels in plan.shuffled:
        rows.append(_towards_mean(test, train, erase, rng))
        rows.append(_as_long_as(erase, fit_eraser(train, labels[fold.train]).change(test)))
    rows.append(np.zeros_like(erase) if other is None else _as_long_as(erase, other.change(test)))
    rows.append(steer)
    for _ in plan.shuffled:
        signs = rng.choice([-1.0, 1.0], (len(test), 1))
        rows.append(_as_long_as(steer, signs * _directions(train, len(test), rng)))
    return rows


def _steering(train: Floats, codes: Ints, own: Ints) -> Floats:
    """Return the vectors from the mean of each prompt's class to the mean of the next class, (len(own), d)."""
    classes = np.unique(codes)
    means = np.stack([train[codes == code].mean(0) for code in classes])
    moved: Floats = means[(own + 1) % len(classes)] - means[own]
    return moved


def _directions(train: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return random directions (count, d) in which texts vary: sums of centred texts with random weights.

    A direction drawn uniformly from all dimensions would mostly be one in which the stream does not vary, and editing
    along it would change nothing.
    """
    centred = train - train.mean(0)
    weighted: Floats = rng.standard_normal((count, len(train))) @ centred
    return weighted


def _towards_mean(test: Floats, train: Floats, as_far: Floats, rng: np.random.Generator) -> Floats:
    """Return moves along random directions towards the mean, like those of an eraser, with the norms of `as_far`."""
    directions = _directions(train, len(test), rng)
    side = np.sign(np.einsum("nd,nd->n", test - train.mean(0), directions))
    return _as_long_as(as_far, -side[:, None] * directions)


def _as_long_as(given: Floats, moved: Floats) -> Floats:
    """Return moves rescaled to the norms of the given ones."""
    norms = np.linalg.norm(moved, axis=1, keepdims=True)
    scaled: Floats = moved * np.linalg.norm(given, axis=1, keepdims=True) / np.maximum(norms, _LEAST)
    return scaled
