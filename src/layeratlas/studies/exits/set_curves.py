"""The curves of a question set: every score with every measure, and the strata with the deciding score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layeratlas.core.arrays import Bools, Floats
from layeratlas.stats.design_effects import credit_factor, effective
from layeratlas.stats.intervals import widened
from layeratlas.stats.resampling import Resampler, Sample, split_draws
from layeratlas.studies.exits.answer_key import AnswerKey
from layeratlas.studies.exits.curves import ExitCurve, scores_in_order
from layeratlas.studies.exits.measures import MEASURES, OF_SEVERAL, WITH_BASELINE, chance_levels
from layeratlas.studies.exits.names import ACCURACY, ALL
from layeratlas.studies.exits.scores import BASELINE_RULES, ScoredSet
from layeratlas.studies.exits.strata import make_strata


def set_curves(scored: ScoredSet, resampler: Resampler, *, strict: bool, score: str) -> list[ExitCurve]:
    """Return the curves of a question set; the accuracy of the deciding score `score` is also given by stratum."""
    return list(_curves(scored, resampler, strict, score))


def _curves(scored: ScoredSet, resampler: Resampler, strict: bool, score: str) -> Iterator[ExitCurve]:
    everything = np.ones(len(scored.data.items), dtype=bool)
    whole = _Stratum(scored=scored, name=ALL, inside=everything, resampler=resampler, strict=strict)
    strata = [
        _Stratum(scored=scored, name=name, inside=inside, resampler=resampler, strict=strict)
        for name, inside in make_strata(scored.data).items()
    ]
    for method in scores_in_order(score):
        values = _Values(method, scored.scores(method), scored.scores(method, bare=True))
        for metric in MEASURES:
            if scored.key.has_several or metric not in OF_SEVERAL:
                yield whole.curve(values, metric)
        for stratum in strata if method == score else ():
            yield stratum.curve(values, ACCURACY)


@dataclass(frozen=True)
class _Values:
    """A score of every choice at every exit, (P, n, K): after the question, and without it."""

    method: str
    after: Floats
    bare: Floats


@dataclass(frozen=True, kw_only=True)
class _Stratum:
    """A subset of a set's questions, given by the mask `inside` (n,), with its measures and resampling."""

    scored: ScoredSet
    name: str
    inside: Bools
    resampler: Resampler
    strict: bool

    @cached_property
    def key(self) -> AnswerKey:
        return self.scored.key.subset(self.inside)

    @cached_property
    def groups(self) -> list[str]:
        return [group for group, kept in zip(self.scored.groups, self.inside, strict=True) if kept]

    @cached_property
    def weights(self) -> Floats:
        return self.resampler.weights(self.groups)

    def curve(self, values: _Values, metric: str) -> ExitCurve:
        """Return the curve of one score and measure over these questions."""
        asked = self._sample(self._means(values.after, metric, self.strict), metric)
        control = self._sample(self._means(values.bare, metric, self.strict), metric)
        rules = np.stack([self.scored.rule_scores(rule) for rule in BASELINE_RULES])
        baselines = self._sample(self._means(rules, metric, False), metric)
        best = int(baselines.estimate.argmax())
        return ExitCurve(
            level=self.scored.data.level,
            task=self.scored.data.name,
            stratum=self.name,
            component="resid",
            method=values.method,
            metric=metric,
            estimate=asked.estimate,
            draws=asked.draws,
            half_a=asked.half_a,
            half_b=asked.half_b,
            shuffles=control.draws,
            chance=float(chance_levels(metric, self.key).mean()),
            baseline=float(baselines.estimate[best]) if metric in WITH_BASELINE else float("nan"),
            n=len(self.groups),
            n_groups=len(set(self.groups)),
            effective=effective(np.ones(len(self.groups)), np.unique(self.groups, return_inverse=True)[1]),
            times=self._fraction(values.after, metric),
            read=self.scored.read,
            baseline_draws=baselines.draws[:, best],
            evident=self.scored.data.evident,
            control_a=control.half_a,
            control_b=control.half_b,
        )

    def _fraction(self, scores: Floats, metric: str) -> Floats | float:
        """Return the factor by which ties that share credit make the error of a share smaller."""
        shared = MEASURES[metric](scores[:, self.inside], self.key, self.strict) if metric == ACCURACY else None
        return 1.0 if shared is None else credit_factor(shared)

    def _sample(self, means: Floats, metric: str) -> Sample:
        """Split means under every row of weights into estimate, draws and halves; widen the draws for few groups."""
        sample = split_draws(means, self.resampler)
        least, most = (0.0, 1.0) if metric in WITH_BASELINE else (-np.inf, np.inf)
        wide = widened(sample.estimate, sample.draws, len(set(self.groups)), times=1.0, least=least, most=most)
        return sample._replace(draws=wide)

    def _means(self, scores: Floats, metric: str, strict: bool) -> Floats:
        """Return the measure's mean under every row of weights, (..., n, K) to (1 + B + 2H, ...)."""
        return weighted_means(MEASURES[metric](scores[:, self.inside], self.key, strict), self.weights)


def weighted_means(values: Floats, weights: Floats) -> Floats:
    """Return weighted means over questions: (..., n) and (b, n) to (b, ...); NaN for weights of sum 0."""
    with np.errstate(invalid="ignore"):
        means: Floats = np.moveaxis(values @ weights.T / weights.sum(1), -1, 0)
    return means
