"""The effects of erasing and steering on the answers of a set, and the probe's accuracy, at each point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy

from layeratlas.core.arrays import FloatArray, Floats, Ints
from layeratlas.stats.intervals import draws_interval, widened
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.tests import holm, sign_flip
from layeratlas.stats.verdicts import Effect, Verdict, decide
from layeratlas.studies.causal.names import Edited


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The out-of-fold accuracy of a linear probe at one point.

    `gain`: accuracy minus `chance`, with the p-value from shuffled labels (maximum over points); `left`: the accuracy
    of a probe on the erased vectors; `shuffled`: the mean accuracy on shuffled labels.
    """

    gain: Effect
    chance: float
    left: float
    shuffled: float

    @property
    def verdict(self) -> Verdict:
        """Whether the label is encoded."""
        return self.gain.verdict()


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One set at one point. A loss is the mean decrease, in nats, of the log-odds of the right answer under an edit.

    `used`: the loss from erasing minus that of the stronger control (random directions, or directions of shuffled
    labels); `specific`: the loss from erasing minus that from erasing another task's label; `steered`: the loss from
    steering to another class minus that of random directions. p-values are exact sign flips of groups, Holm-corrected
    over the points of the set. `unused_p` is the p-value against a loss of `margin` or more.
    """

    point: int
    reading: Reading
    loss: Effect
    losses: dict[Edited, float]
    used: Effect
    specific: Effect
    steered: Effect
    unused_p: float
    margin: float
    erased_accuracy: float

    @property
    def verdict(self) -> Verdict:
        """Verdict on whether the answers need the information that the probe decodes here.

        `not supported` if a loss as large as the margin is excluded, even if a smaller loss is shown.
        """
        if self.used.hi < self.margin:
            return "not supported"
        return self.used.verdict()


@dataclass(frozen=True, kw_only=True)
class SetEffects:
    """A set's cells, and the unedited model's performance: mean log-odds of the right answer, and accuracy.

    `steering` (1 + B, P) is the effect of steering on the answers minus that of random directions: the estimate,
    followed by its draws.
    """

    level: str
    answered: Effect
    accuracy: float
    cells: list[Cell]
    steering: Floats
    n: int
    n_groups: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The logits of a set's answers: `clean` (m, k), `edited` (m, points, edits, k); `codes` (m,), `groups` m names."""

    clean: FloatArray
    edited: FloatArray
    edits: Sequence[Edited]
    codes: Ints
    groups: Sequence[str]


def log_odds(logits: FloatArray, codes: Ints) -> Floats:
    """Return the log-odds of the right answer against the mean of the others, (n, ...), from logits (n, ..., k)."""
    wide = logits.astype(np.float64)
    index = codes.reshape(-1, *[1] * (wide.ndim - 1))
    right = np.take_along_axis(wide, index, -1)[..., 0]
    others = wide.copy()
    np.put_along_axis(others, index, -np.inf, -1)
    odds: Floats = right - scipy.special.logsumexp(others, axis=-1) + np.log(wide.shape[-1] - 1)
    return odds


def set_effects(
    level: str, measured: Measured, readings: Sequence[Reading], points: Sequence[int], unused: float, draws: Resampler
) -> SetEffects:
    """Return a set's effects; losses below the share `unused` of the clean log-odds count as negligible."""
    clean = log_odds(measured.clean, measured.codes)
    losses = clean[:, None, None] - log_odds(measured.edited, measured.codes)
    by_edit = {
        edit: losses[:, :, [i for i, other in enumerate(measured.edits) if other is edit]].mean(2)
        for edit in dict.fromkeys(measured.edits)
    }
    sampler = _Sampler(measured.groups, draws)
    answered = sampler.effects(clean[:, None])[0]
    margin = unused * max(answered.estimate, 0.0)
    erased = by_edit[Edited.ERASE]
    used = _weaker(*(sampler.effects(erased - by_edit[kind]) for kind in (Edited.RANDOM, Edited.SHUFFLED)))
    specific = sampler.effects(erased - by_edit[Edited.OTHER])
    moved = by_edit[Edited.STEER] - by_edit[Edited.STEER_RANDOM]
    steered = sampler.effects(moved)
    right = measured.edited.argmax(-1) == measured.codes[:, None, None]
    cells = [
        Cell(
            point=point,
            reading=readings[i],
            loss=sampler.effects(erased)[i],
            losses={edit: float(values[:, i].mean()) for edit, values in by_edit.items()},
            used=used[i],
            specific=specific[i],
            steered=steered[i],
            unused_p=sampler.below(_weaker_values(erased, by_edit, i), margin),
            margin=margin,
            erased_accuracy=float(right[:, i, list(measured.edits).index(Edited.ERASE)].mean()),
        )
        for i, point in enumerate(points)
    ]
    accuracy = float((measured.clean.argmax(-1) == measured.codes).mean())
    return SetEffects(
        level=level,
        answered=answered,
        accuracy=accuracy,
        cells=cells,
        steering=sampler.draws(moved),
        n=len(clean),
        n_groups=len(set(measured.groups)),
    )


class _Sampler:
    """Means over prompts with intervals over groups, and exact tests."""

    def __init__(self, groups: Sequence[str], draws: Resampler) -> None:
        self._weights = draws.weights(groups, halves=False)
        names, self._group_of = np.unique(np.asarray(groups), return_inverse=True)
        self._count = len(names)

    def draws(self, values: Floats) -> Floats:
        """Return the means of columns (n, P) and their draws, (1 + B, P)."""
        means = (self._weights @ values) / np.maximum(self._weights.sum(1, keepdims=True), 1)
        return np.concatenate([means[:1], widened(means[:1], means[1:], self._count, times=1.0)])

    def effects(self, values: Floats) -> list[Effect]:
        """Return the mean of each column of values (n, P), its interval and p-value (Holm over the columns)."""
        means = self.draws(values)
        lo, hi = draws_interval(means[1:], self._count)
        sums = np.stack([np.bincount(self._group_of, column, self._count) for column in values.T], 1)
        ps = holm([sign_flip(own) for own in sums.T])
        return [Effect(estimate=float(means[0, i]), lo=float(lo[i]), hi=float(hi[i]), p=p) for i, p in enumerate(ps)]

    def below(self, values: Floats, margin: float) -> float:
        """Return the one-sided p-value against a mean of values (n,) of `margin` or more."""
        draws = self.draws(values[:, None])[1:, 0]
        return float((1 + (draws >= margin).sum()) / (1 + len(draws)))


def _weaker(first: Sequence[Effect], second: Sequence[Effect]) -> list[Effect]:
    """Return, for two contrasts that must both hold, the smaller one with the larger p (intersection-union test)."""
    return [
        replace(min(pair, key=lambda effect: effect.estimate), p=max(effect.p for effect in pair))
        for pair in zip(first, second, strict=True)
    ]


def _weaker_values(erased: Floats, by_edit: dict[Edited, Floats], at: int) -> Floats:
    """Return the losses at a point minus those of the stronger control there, (n,)."""
    controls = [by_edit[kind][:, at] for kind in (Edited.RANDOM, Edited.SHUFFLED)]
    values: Floats = erased[:, at] - max(controls, key=lambda losses: float(losses.mean()))
    return values


def unused_point(effects: SetEffects) -> tuple[Cell, float, Verdict]:
    """Return the point that most clearly encodes the label without using it, its p (Holm over points), and a verdict.

    Both must be shown: that a probe decodes the label, and that erasing it costs less than the margin. It is
    `not supported` if the label is used at every point at which it is encoded.
    """
    cells = effects.cells
    ps = holm([max(cell.reading.gain.p, cell.unused_p) for cell in cells])
    at = min(range(len(cells)), key=lambda i: (ps[i], cells[i].used.estimate))
    encoded = [cell for cell in cells if cell.reading.verdict == "supported"]
    all_used = bool(encoded) and all(cell.verdict == "supported" for cell in encoded)
    shown = ps[at] <= 0.05 and cells[at].reading.verdict == "supported"
    return cells[at], ps[at], decide(shown=shown, refuted=all_used)
