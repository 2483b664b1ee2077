"""Log-likelihoods of choices to curves: accuracy at every exit over what needs no model, or no question.

Scores, measures and the multiple-choice conventions are those of arXiv 2312.04333 and TruthfulQA (arXiv 2109.07958),
with ties split and MC2 by log-sum-exp.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from layeratlas.core.arrays import Bools, Floats
from layeratlas.data.questions import QuestionSet
from layeratlas.stats.curves import Curve, level_curve, mean_of
from layeratlas.stats.resampling import Resampler

SCORES = ("sum", "per_character", "per_byte", "per_token", "minus_answer")
_FEWEST = 20
# Rules of thumb that need no model; the best of them is the baseline of every curve.
RULES = ("fewest tokens", "fewest bytes", "commonest answer")


@dataclass(frozen=True)
class Table:
    """Which choices of n questions are true: `there`, `true`, `false` are (n, K), `first` (n,) the first true one."""

    there: Bools
    true: Bools
    first: NDArray[np.int64]

    @property
    def false(self) -> Bools:
        """The false choices."""
        return self.there & ~self.true

    @property
    def several(self) -> bool:
        """Whether any question has more than one true choice."""
        return bool((self.true.sum(1) > 1).any())

    def rows(self, inside: Bools) -> Table:
        """Return the table of some questions."""
        return Table(self.there[inside], self.true[inside], self.first[inside])

    def top(self, scores: Floats) -> tuple[Floats, Floats]:
        """Return the first true choice's score and the best false one's, each (..., n)."""
        first = np.broadcast_to(self.first, scores.shape[:-1])[..., None]
        truth: Floats = np.take_along_axis(scores, first, -1)[..., 0]
        return truth, np.where(self.false, scores, -np.inf).max(-1)


def make_table(data: QuestionSet) -> Table:
    """Return which choices of a set's questions are true."""
    most = max(len(q.choices) for q in data.items)
    there = np.array([[c < len(q.choices) for c in range(most)] for q in data.items])
    true = np.array([[c in q.answers for c in range(most)] for q in data.items])
    return Table(there, true, np.array([q.answers[0] for q in data.items]))


# A measure takes scores (..., n, K), the table and whether ties are wrong, and returns (..., n).
Judge = Callable[[Floats, Table, bool], Floats]


def accuracy(scores: Floats, table: Table, strict: bool) -> Floats:
    """Credit of the first true choice against the false ones (MC1): 1, or 1/k where k tie, or 0 if `strict`."""
    truth, other = table.top(scores)
    tied = (table.false & (scores == truth[..., None])).sum(-1)
    shared = 0.0 if strict else 1 / (1 + tied)
    out: Floats = np.where(truth > other, 1.0, np.where(truth == other, shared, 0.0))
    return out


def mc2(scores: Floats, table: Table, strict: bool) -> Floats:
    """Probability mass on the true choices, normalised over all choices by log-sum-exp."""
    true = logsumexp(np.where(table.true, scores, -np.inf), axis=-1)
    out: Floats = np.exp(true - logsumexp(np.where(table.there, scores, -np.inf), axis=-1))
    return out


def mc3(scores: Floats, table: Table, strict: bool) -> Floats:
    """Share of the true choices above the best false one; one that ties with m false ones counts 1/(1 + m)."""
    _, other = table.top(scores)
    best = other[..., None]
    tied = (table.false & (scores == best)).sum(-1)[..., None]
    each = np.where(scores > best, 1.0, np.where(scores == best, 0.0 if strict else 1 / (1 + tied), 0.0))
    out: Floats = (each * table.true).sum(-1) / table.true.sum(-1)
    return out


def margin(scores: Floats, table: Table, strict: bool) -> Floats:
    """By how much the first true choice outscores the best false one, in the score's unit."""
    truth, other = table.top(scores)
    return truth - other


def ties(scores: Floats, table: Table, strict: bool) -> Floats:
    """1 where the best score among the first true choice and the false ones is shared, else 0."""
    truth, other = table.top(scores)
    best = np.maximum(truth, other)[..., None]
    out: Floats = (((table.false & (scores == best)).sum(-1) + (truth == best[..., 0])) > 1).astype(float)
    return out


def chances(metric: str, table: Table) -> Floats:
    """Return what blind choice scores on each question, (n,); NaN where it has no such level."""
    false, true = table.false.sum(1), table.true.sum(1)
    share: Floats = np.full(len(true), np.nan)
    if metric in ("accuracy", "mc3"):
        share = 1 / (1 + false)
    elif metric == "mc2":
        share = true / (true + false)
    return share


@dataclass(frozen=True)
class Scored:
    """A question set with what its choices got, choices of all questions one after another (C of them).

    `asked`, `bare`: (C, P), log-likelihood in nats at every exit after the question, and without it. `tokens`,
    `characters`, `bytes`: (C,), sizes of the choices.
    """

    data: QuestionSet
    asked: Floats
    bare: Floats
    tokens: Floats
    characters: Floats
    bytes: Floats

    @cached_property
    def table(self) -> Table:
        """Which choices are true."""
        return make_table(self.data)

    def by_question(self, values: Floats) -> Floats:
        """Return choices (C, ...) as (..., n, K); what is no choice is -inf."""
        out = np.full((*values.shape[1:], *self.table.there.shape), -np.inf)
        out[..., self.table.there] = np.moveaxis(values, 0, -1)
        return out

    def scores(self, method: str, bare: bool = False) -> Floats:
        """Return a score of every choice at every exit, (P, n, K); of the choices without their question if `bare`.

        `minus_answer` has nothing left without the question; its control is the choices' own log-likelihood.
        """
        values = self.bare if bare else self.asked
        size = {"per_character": self.characters, "per_byte": self.bytes, "per_token": self.tokens}.get(method)
        if size is not None:
            values = values / size[:, None]
        elif method == "minus_answer" and not bare:
            values = values - self.bare
        return self.by_question(values)

    def surface(self, name: str) -> Floats:
        """Return the score that a rule of thumb gives every choice, (n, K): one of RULES, or `most bytes`.

        `commonest answer` counts how often the same words are the truth in other groups: "yes", or "invalid".
        """
        sizes = {"fewest tokens": -self.tokens, "fewest bytes": -self.bytes, "most bytes": self.bytes}
        return self.by_question(sizes[name] if name in sizes else self._elsewhere())

    def _elsewhere(self) -> Floats:
        every = Counter(q.truth for q in self.data.items)
        own = Counter((q.group, q.truth) for q in self.data.items)
        return np.array([float(every[c] - own[q.group, c]) for q in self.data.items for c in q.choices])


@dataclass(frozen=True)
class ExitCurve(Curve):
    """A curve whose control (`shuffles`) is the bootstrap of the choices without their question.

    `surface` (B,) is the bootstrap of the baseline, over the same draws; `control_a`, `control_b` (H, P) are the
    control in the halves of the groups. Where choices are `evident` without the question, the control is drawn and is
    no floor.
    """

    surface: Floats
    evident: bool
    control_a: Floats
    control_b: Floats

    @property
    def floor(self) -> Floats:
        """What an exit must beat, (P,): the best of chance, the baseline and the choice without the question."""
        return self.over(self.shuffles.mean(0))

    def over(self, control: Floats) -> Floats:
        """Return the floor where the choices without their questions reach `control` (..., P)."""
        floor: Floats = np.maximum(control * (not self.evident), max(self.chance, self.baseline))
        return floor

    @property
    def gains(self) -> Floats:
        """Estimates over the floor in every draw, (B, P); each draw has its own floor."""
        fixed = np.maximum(self.surface, self.chance)[:, None]
        gain: Floats = self.draws - np.maximum(self.shuffles * (not self.evident), fixed)
        return gain


MEASURES: dict[str, Judge] = {"accuracy": accuracy, "mc2": mc2, "mc3": mc3, "margin": margin, "ties": ties}


def set_curves(scored: Scored, resampler: Resampler, strict: bool, main: str) -> list[ExitCurve]:
    """Return the curves of a question set: every score and measure; strata by accuracy of the score `main` alone."""
    strata = make_strata(scored.data)
    out = []
    everything = np.ones(len(scored.data.items), dtype=bool)
    for method in sorted(SCORES, key=lambda name: name != main):
        values, control = scored.scores(method), scored.scores(method, bare=True)
        for metric in MEASURES:
            if scored.table.several or metric not in ("mc2", "mc3"):
                out.append(
                    _curve(scored, (method, metric), (values, control), (resampler, strict), ("all", everything))
                )
        for stratum in strata.items() if method == main else ():
            out.append(_curve(scored, (method, "accuracy"), (values, control), (resampler, strict), stratum))
    return out


def make_strata(data: QuestionSet) -> dict[str, Bools]:
    """Return which questions are in each stratum that is reported alone: 20 questions or more, but not all of them.

    The stratum `all` is that of questions in no part.

    Where every question's stratum has the same number of words, two or more, and none that they share
    (`1-2 add float`), each word is one.
    """
    words = [q.stratum.split() for q in data.items]
    crossed = len({len(w) for w in words}) == 1 and len(words[0]) > 1
    crossed = crossed and all(len(set(column)) > 1 for column in zip(*words, strict=True))
    parts = words if crossed else [[q.stratum] for q in data.items]
    names = dict.fromkeys(name for part in parts for name in part)
    found = {name: np.array([name in part for part in parts]) for name in names if name != "all"}
    return {name: inside for name, inside in found.items() if _FEWEST <= inside.sum() < len(parts)}


def _curve(
    scored: Scored, names: tuple[str, str], scores: tuple[Floats, Floats], how: tuple[Resampler, bool],
    part: tuple[str, Bools],
) -> ExitCurve:  # fmt: skip
    items, (resampler, strict), (stratum, inside) = scored.data.items, how, part
    table, groups = scored.table.rows(inside), [q.group for q, kept in zip(items, inside, strict=True) if kept]
    weights, judge = resampler.weights(groups), MEASURES[names[1]]
    values, control = (_means(judge(one[:, inside], table, strict), weights) for one in scores)
    rules = np.stack([judge(scored.surface(name)[inside], table, False) for name in RULES])
    floors = _means(rules, weights)
    best = int(floors[0].argmax())
    b, h = resampler.bootstrap, resampler.halves
    known = names[1] in ("accuracy", "mc3")
    return ExitCurve(
        scored.data.level, scored.data.name, stratum, "resid", *names, values[0], values[1 : 1 + b],
        values[1 + b : 1 + b + h], values[1 + b + h :], control[1 : 1 + b],
        float(chances(names[1], table).mean()), float(floors[0, best]) if known else float("nan"), len(groups),
        len(set(groups)), floors[1 : 1 + b, best], scored.data.evident,
        control[1 + b : 1 + b + h], control[1 + b + h :],
    )  # fmt: skip


def _means(values: Floats, weights: Floats) -> Floats:
    """Return weighted means over questions: (..., n) and (b, n) to (b, ...); a draw without any has the whole's."""
    with np.errstate(invalid="ignore"):
        out: Floats = np.moveaxis(values @ weights.T / weights.sum(1), -1, 0)
    return np.where(np.isfinite(out), out, out[:1])


def level_curves(curves: Sequence[ExitCurve], groups: dict[str, int]) -> list[ExitCurve]:
    """Return, as task `all`, the mean of each level's sets by score and measure; `groups` is their number by level."""
    together: dict[tuple[str, str, str], list[ExitCurve]] = {}
    for curve in curves:
        if curve.stratum == "all":
            together.setdefault((curve.level, curve.method, curve.metric), []).append(curve)
    return [_level_curve(same, groups[level]) for (level, _, _), same in together.items()]


def _level_curve(curves: Sequence[ExitCurve], n_groups: int) -> ExitCurve:
    mean = level_curve(curves, n_groups)
    surface, *control = (mean_of(curves, name) for name in ("surface", "control_a", "control_b"))
    evident = all(c.evident for c in curves)  # one that is not keeps the floor for all
    return replace(mean, surface=surface, evident=evident, control_a=control[0], control_b=control[1])
