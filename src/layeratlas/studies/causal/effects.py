"""The effects of erasing and steering on the answers of a set, and the probe's accuracy, at each point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy

from layeratlas.core.arrays import FloatArray, Floats, Ints
from layeratlas.stats.group_means import GroupMeans, group_means
from layeratlas.stats.intervals import Z95
from layeratlas.stats.resampling import Resampler, Sample
from layeratlas.stats.tests import holm, rank_p
from layeratlas.stats.verdicts import Effect, Verdict, decide, least_seen
from layeratlas.studies.causal.names import Edited
from layeratlas.studies.causal.settings import CausalSettings


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
    steering to another class minus that of random directions, with the p-value against `least`, the smallest shift that
    matters. p-values are exact sign flips of groups, Holm-corrected over the points of the set. `unused_p` is the
    p-value against a loss of `margin` or more.
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
    least: float
    erased_accuracy: float

    @property
    def verdict(self) -> Verdict:
        """Verdict on whether the answers need the information that the probe decodes here.

        `not supported` if a loss as large as the margin is excluded, even if a smaller loss is shown.
        """
        if self.used.hi < self.margin:
            return "not supported"
        return self.used.verdict()

    @property
    def moves(self) -> Verdict:
        """Verdict on whether steering here moves the answers by more than `least`."""
        return self.steered.verdict(null=self.least)

    @property
    def seen(self) -> float:
        """The smallest shift by steering that would have been told from `least`, in nats."""
        error = (self.steered.hi - self.steered.lo) / (2 * Z95)
        return self.least + least_seen(error)


@dataclass(frozen=True, kw_only=True)
class SetEffects:
    """A set's cells, and the unedited model's performance: mean log-odds of the right answer, and accuracy.

    `steering` has the effect of steering at the P points, minus that of random directions, with its draws and halves.
    """

    level: str
    answered: Effect
    accuracy: float
    cells: list[Cell]
    steering: Sample
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
    level: str,
    measured: Measured,
    readings: Sequence[Reading],
    points: Sequence[int],
    settings: CausalSettings,
    draws: Resampler,
) -> SetEffects:
    """Return a set's effects; `settings` say which losses and shifts are too small to matter."""
    clean = log_odds(measured.clean, measured.codes)
    by_edit = _losses(clean, measured)

    def means(values: Floats) -> GroupMeans:
        return group_means(values, measured.groups, draws)

    answered = means(clean[:, None]).effects()[0]
    margin, least = settings.margins(answered.estimate)
    erased = by_edit[Edited.ERASE]
    against = [means(erased - by_edit[kind]) for kind in (Edited.RANDOM, Edited.SHUFFLED)]
    used = _weaker(*(contrast.effects() for contrast in against))
    specific = means(erased - by_edit[Edited.OTHER]).effects()
    shifts = by_edit[Edited.STEER] - by_edit[Edited.STEER_RANDOM]
    moved = means(shifts)
    lost, steered = means(erased).effects(), moved.effects(holm(means(shifts - least).ps))
    right = measured.edited.argmax(-1) == measured.codes[:, None, None]
    cells = [
        Cell(
            point=point,
            reading=readings[i],
            loss=lost[i],
            losses={edit: float(values[:, i].mean()) for edit, values in by_edit.items()},
            used=used[i],
            specific=specific[i],
            steered=steered[i],
            unused_p=_below(_weaker_draws(against, i), margin),
            margin=margin,
            least=least,
            erased_accuracy=float(right[:, i, list(measured.edits).index(Edited.ERASE)].mean()),
        )
        for i, point in enumerate(points)
    ]
    return SetEffects(
        level=level,
        answered=answered,
        accuracy=float((measured.clean.argmax(-1) == measured.codes).mean()),
        cells=cells,
        steering=moved.sample,
        n=len(clean),
        n_groups=len(set(measured.groups)),
    )


def _losses(clean: Floats, measured: Measured) -> dict[Edited, Floats]:
    """Return the mean loss of each prompt at each point under each kind of edit, (m, points), from clean odds (m,)."""
    losses = clean[:, None, None] - log_odds(measured.edited, measured.codes)
    return {
        edit: losses[:, :, [i for i, other in enumerate(measured.edits) if other is edit]].mean(2)
        for edit in dict.fromkeys(measured.edits)
    }


def _below(draws: Floats, margin: float) -> float:
    """Return the one-sided p-value against a mean of `margin` or more, from draws (B,)."""
    return rank_p(margin, draws)


def _weaker(first: Sequence[Effect], second: Sequence[Effect]) -> list[Effect]:
    """Return, for two contrasts that must both hold, the smaller one with the larger p (intersection-union test)."""
    return [
        replace(min(pair, key=lambda effect: effect.estimate), p=max(effect.p for effect in pair))
        for pair in zip(first, second, strict=True)
    ]


def _weaker_draws(against: Sequence[GroupMeans], at: int) -> Floats:
    """Return the draws (B,) of the loss at a point minus that of the stronger control there."""
    weaker = min(against, key=lambda contrast: float(contrast.sample.estimate[at]))
    draws: Floats = weaker.sample.draws[:, at]
    return draws


def unused_point(effects: SetEffects) -> tuple[Cell, float, Verdict]:
    """Return the point that most clearly encodes the label without using it, its p (Holm over points), and a verdict.

    Both must be shown: that a probe decodes the label, and that erasing it costs less than the margin. It is
    `not supported` if the label is used at every point at which it is shown to be encoded; the point is then the one of
    these with the smallest loss.
    """
    cells = effects.cells
    ps = holm([max(cell.reading.gain.p, cell.unused_p) for cell in cells])
    at = min(range(len(cells)), key=lambda i: (ps[i], cells[i].used.estimate))
    encoded = [i for i, cell in enumerate(cells) if cell.reading.verdict == "supported"]
    all_used = bool(encoded) and all(cells[i].verdict == "supported" for i in encoded)
    shown = ps[at] <= 0.05 and at in encoded
    if all_used and not shown:
        at = min(encoded, key=lambda i: cells[i].used.estimate)
    return cells[at], ps[at], decide(shown=shown, refuted=all_used)
