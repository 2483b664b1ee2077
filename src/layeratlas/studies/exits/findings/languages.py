"""Do low exits answer in several languages, and agree in them (X8)?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, starmap

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.intervals import MARGIN, ROUNDING
from layeratlas.stats.resampling import Resampler, split_draws
from layeratlas.stats.verdicts import Effect, bootstrapped, holm_corrected
from layeratlas.studies.exits.curves import ExitCurve
from layeratlas.studies.exits.findings.statements import with_span
from layeratlas.studies.exits.measures import accuracy
from layeratlas.studies.exits.names import AGREEMENT, ALL, ExitFinding
from layeratlas.studies.exits.scores import ScoredSet

# Two languages are compared if they share at least this many groups.
FEWEST_SHARED = 10
# Low exits are those up to this fraction of depth, without the embeddings.
LOWER_THIRD = 1 / 3
# The share of shared groups in which two sets must have the same true choices to be versions of each other; a few rows
# of a translation may be wrong.
_SAME_ANSWERS = 0.9


@dataclass(frozen=True)
class _Pair:
    """Two sets of one level in two languages. Versions of a question are in the same place of the same group."""

    first: ScoredSet
    second: ScoredSet

    @property
    def shared(self) -> list[str]:
        """The groups of which both languages have equally many questions; others do not say which are versions."""
        first, second = Counter(self.first.groups), Counter(self.second.groups)
        return sorted(group for group, count in first.items() if second[group] == count)

    @property
    def comparable(self) -> bool:
        """Whether these are versions of each other in two languages, and not two tasks whose groups have equal names.

        Versions have as many choices in the same order, so the same places are true.
        """
        shared = self.shared
        if self.first.data.language == self.second.data.language or len(shared) < FEWEST_SHARED:
            return False
        first, second = (_places(scored, shared) for scored in (self.first, self.second))
        return sum(first[group] == second[group] for group in shared) >= _SAME_ANSWERS * len(shared)

    def kappa(self, method: str, resampler: Resampler, *, strict: bool, bare: bool) -> Floats:
        """Return the agreement of the two languages under every row of weights, (1 + B + 2H, P)."""
        shared = set(self.shared)
        rows = [_rows_of(scored, shared) for scored in (self.first, self.second)]
        first, second = (
            accuracy(scored.scores(method, bare=bare), scored.key, strict)[:, own]
            for scored, own in zip((self.first, self.second), rows, strict=True)
        )
        return _kappa(first, second, resampler.weights([self.first.groups[row] for row in rows[0]]))


def _rows_of(scored: ScoredSet, groups: Collection[str]) -> list[int]:
    """Return the rows of all questions of some groups, by group and then in the order of the set."""
    return sorted((i for i, group in enumerate(scored.groups) if group in groups), key=lambda i: scored.groups[i])


def _places(scored: ScoredSet, groups: Collection[str]) -> dict[str, list[tuple[int, tuple[int, ...]]]]:
    """Return, by group, the number of choices and the true ones of every question in the order of the set."""
    places: dict[str, list[tuple[int, tuple[int, ...]]]] = {}
    for row in _rows_of(scored, groups):
        question = scored.data.items[row]
        places.setdefault(question.group, []).append((len(question.choices), tuple(sorted(question.answers))))
    return places


def agreement_curve(
    sets: Sequence[ScoredSet], curve: ExitCurve, resampler: Resampler, *, strict: bool
) -> ExitCurve | None:
    """Return by exit how far two languages agree on which questions are right: Cohen's (1960) kappa, mean over pairs.

    `sets` are those of one level, `curve` is its main curve. The versions of a question in several languages share a
    group and have their choices in the same order; all questions of a group count, and groups are resampled. None if no
    two sets of different languages are versions of each other with ten groups in common. The control is the kappa of
    the choices without their questions.
    """
    pairs = [pair for pair in starmap(_Pair, combinations(sets, 2)) if pair.comparable]
    if not pairs:
        return None
    after, bare = (
        split_draws(
            np.mean([pair.kappa(curve.method, resampler, strict=strict, bare=bare) for pair in pairs], axis=0),
            resampler,
        )
        for bare in (False, True)
    )
    return ExitCurve(
        read=curve.read,
        level=curve.level,
        task=ALL,
        stratum=ALL,
        component="resid",
        method=curve.method,
        metric=AGREEMENT,
        estimate=after.estimate,
        draws=after.draws,
        half_a=after.half_a,
        half_b=after.half_b,
        shuffles=bare.draws,
        chance=0.0,
        baseline=float("nan"),
        n=sum(len(scored.data.items) for scored in sets),
        n_groups=len({group for pair in pairs for group in pair.shared}),
        baseline_draws=np.zeros(resampler.bootstrap),
        evident=False,
        control_a=bare.half_a,
        control_b=bare.half_b,
    )


def _kappa(first: Floats, second: Floats, weights: Floats) -> Floats:
    """Return kappa under every row of weights: credits (P, n) and (b, n) to (b, P); 0 where kappa is undefined."""
    w = weights / np.maximum(weights.sum(1, keepdims=True), ROUNDING)
    right_first, right_second, right_both = (w @ credit.T for credit in (first, second, first * second))
    observed = 1 - right_first - right_second + 2 * right_both
    expected = right_first * right_second + (1 - right_first) * (1 - right_second)
    return np.where(1 - expected > 1e-9, (observed - expected) / np.maximum(1 - expected, 1e-9), 0.0)


def language_finding(main: ExitCurve, agreement: ExitCurve) -> Finding | None:
    """Return X8: exits in the lower third gain over the baselines, and agree between languages.

    Choices without their question are always a baseline here, even if they are evident: recognising a wrong sum needs
    no language. The agreement is measured relative to that of the choices without their questions. Both conditions
    must hold (p-values Holm-corrected over the two). None for a model of one or two blocks, which has no such exit.
    """
    curve = replace(main, evident=False)
    inside = (curve.depth <= LOWER_THIRD) & (curve.depth > 0)
    if not inside.any():
        return None
    kappa_draws = (agreement.draws - agreement.shuffles)[:, inside].mean(1)
    gain, kappa = holm_corrected(
        [
            bootstrapped(
                float(curve.excess[inside].mean()),
                curve.gains[:, inside].mean(1),
                curve.n_groups,
                least=-1.0,
                most=1.0,
            ),
            bootstrapped(float(kappa_draws.mean()), kappa_draws, agreement.n_groups, least=-2.0, most=2.0),
        ]
    )
    both = Effect(estimate=gain.estimate, lo=min(gain.lo, kappa.lo), hi=gain.hi, p=max(gain.p, kappa.p))
    verdict = both.verdict(margin=MARGIN)
    low = f"Exits up to depth {LOWER_THIRD:.2f}"
    summary = {
        "supported": f"{low} carry cross-lingual ability",
        "not supported": f"{low} gain less than {MARGIN} over the baselines in several languages",
        "inconclusive": f"Whether {low.lower()} carry cross-lingual ability is undecided "
        f"({gain.could_have_seen} in accuracy)",
    }[verdict]
    return curve_finding(
        ExitFinding.X8,
        curve,
        statement=(
            f"{summary}: {with_span(gain)} in accuracy over the best baseline; agreement between languages (kappa) "
            f"{float(agreement.estimate[inside].mean()):.2f}, over that of the choices without their questions "
            f"{with_span(kappa)} (X8)."
        ),
        effect=replace(gain, p=both.p),
        null="in the lower third no gain over the best baseline, or no agreement over that of the choices alone",
        verdict=verdict,
    )
