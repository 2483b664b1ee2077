"""Why are floats harder? Pairs of an integer problem and its float twin, controlled for their other differences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.resampling import Resampler, split_draws
from layeratlas.stats.verdicts import Effect, bootstrapped
from layeratlas.studies.exits.curves import ExitCurve
from layeratlas.studies.exits.findings.number_types import FEWEST_PAIRS, FLOAT, INTEGER, number_type
from layeratlas.studies.exits.findings.statements import with_span
from layeratlas.studies.exits.measures import accuracy
from layeratlas.studies.exits.names import ExitFinding
from layeratlas.studies.exits.scores import ScoredSet

_PROBLEM = re.compile(r"(-?\d+(?:\.\d+)?) ([+\-*/]) (-?\d+(?:\.\d+)?)")
_CONTROLS = ("tokens", "carries", "size")
# Controls are collinear if a direction has less than this share of the design's norm.
_RANK = 1e-6


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """The properties of a problem: whether it is answered, tokens of its answer, carries, log10 size, decimals."""

    right: float
    tokens: float
    carries: float
    size: float
    decimals: float


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """Pairs by row: groups, the integer's lead `lead` (m,), and the controls, float minus integer, `more` (m, 3)."""

    groups: list[str]
    lead: Floats
    more: Floats
    decimals: Floats


def control_findings(
    sets: Sequence[ScoredSet], curves: Sequence[ExitCurve], resampler: Resampler, *, strict: bool
) -> list[Finding]:
    """Return, for sets with ten or more pairs, whether floats are harder at equal controls, and with more decimals.

    `curves` are the sets' main ones, in the same order. Only problems of the form `A + B` (or -, *, /) count.
    """
    findings = []
    for scored, curve in zip(sets, curves, strict=True):
        pairs = _pairs(scored, curve, strict)
        if len(pairs.groups) >= FEWEST_PAIRS:
            weights = resampler.weights(pairs.groups)
            findings += [_controlled(pairs, curve, weights, resampler), _precision(pairs, curve, weights, resampler)]
    return findings


def _pairs(scored: ScoredSet, curve: ExitCurve, strict: bool) -> _Pairs:
    right = accuracy(scored.scores(curve.method)[-1], scored.key, strict)
    tokens = scored.by_question(scored.tokens)
    problems: dict[str, dict[str, _Problem]] = {}
    for number, question in enumerate(scored.data.items):
        found = _PROBLEM.search(question.text)
        if found and (kind := number_type(question)):
            numbers = Decimal(found[1]), Decimal(found[3])
            length = float(tokens[number, question.answers[0]])
            problem = _problem(*numbers, found[2], right=float(right[number]), tokens=length)
            problems.setdefault(question.group, {})[kind] = problem
    return _paired({group: twins for group, twins in problems.items() if {INTEGER, FLOAT} <= set(twins)})


def _paired(twins: Mapping[str, Mapping[str, _Problem]]) -> _Pairs:
    both = [(pair[INTEGER], pair[FLOAT]) for pair in twins.values()]
    more = [[f.tokens - i.tokens, f.carries - i.carries, f.size - i.size] for i, f in both]
    return _Pairs(
        groups=list(twins),
        lead=np.array([i.right - f.right for i, f in both]),
        more=np.array(more).reshape(-1, 3),
        decimals=np.array([f.decimals for _, f in both]),
    )


def _problem(a: Decimal, b: Decimal, operator: str, *, right: float, tokens: float) -> _Problem:
    places = [max(0, -int(number.as_tuple().exponent)) for number in (a, b)]
    value = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else Decimal(0)}[operator]
    scale = 10 ** max(places)
    whole = (abs(int(a * scale)), abs(int(b * scale)))
    return _Problem(
        right=right,
        tokens=tokens,
        carries=float(carries(*whole, borrow=operator == "-") if operator in "+-" else 0),
        size=float(np.log10(max(float(abs(value)), 1e-9))),
        decimals=float(sum(places)),
    )


def carries(first: int, second: int, *, borrow: bool) -> int:
    """Return the number of carries in a sum of two numbers, or of borrows in the larger minus the smaller one."""
    high, low = max(first, second), min(first, second)
    count = carry = 0
    while high or low:
        a, b = high % 10, low % 10
        carry = int(a - b - carry < 0) if borrow else int(a + b + carry > 9)
        count += carry
        high, low = high // 10, low // 10
    return count


def _controlled(pairs: _Pairs, curve: ExitCurve, weights: Floats, resampler: Resampler) -> Finding:
    """Return the lead of integers at equal controls: the intercept of a regression of the lead on their differences."""
    varying, mean = pairs.more.std(0) > 0, pairs.more.mean(0)
    # A control that differs by the same amount in every pair cannot be separated from the intercept.
    fixed = [name for name, moves, by in zip(_CONTROLS, varying, mean, strict=True) if not moves and by]
    design = np.concatenate([np.ones((len(pairs.lead), 1)), pairs.more[:, varying]], 1)
    effect = _coefficient(pairs, design, 0, weights, resampler)
    if fixed or np.linalg.matrix_rank(design, tol=_RANK * np.linalg.norm(design)) < design.shape[1]:
        effect = Effect(estimate=effect.estimate, lo=-1.0, hi=1.0, p=1.0)
    verdict = effect.verdict()
    alike = "at equal tokens of the answer, carries and size"
    why = f"; {', '.join(fixed)} differ by the same in every pair" if fixed else ""
    summary = {
        "supported": f"Floats are harder than integers {alike}",
        "not supported": f"Floats are easier than integers {alike}",
        "inconclusive": f"Whether floats are harder {alike} is undecided ({effect.could_have_seen}{why})",
    }[verdict]
    return curve_finding(
        ExitFinding.X6_CONTROLLED,
        curve,
        statement=f"{summary} in {curve.task} at the last exit: integers minus floats {with_span(effect)} in accuracy, "
        f"{float(pairs.lead.mean()):+.2f} without these controls, {len(pairs.groups)} pairs (X6-controlled).",
        effect=effect,
        null="twins that are alike in tokens, carries and size are answered equally well",
        verdict=verdict,
    )


def _precision(pairs: _Pairs, curve: ExitCurve, weights: Floats, resampler: Resampler) -> Finding:
    """Return how much the lead of integers grows with each decimal of the float problem."""
    design = np.stack([np.ones(len(pairs.lead)), pairs.decimals], 1)
    effect = _coefficient(pairs, design, 1, weights, resampler)
    if not pairs.decimals.std():
        effect = Effect(estimate=0.0, lo=-1.0, hi=1.0, p=1.0)
    verdict = effect.verdict()
    summary = {
        "supported": "Floats are harder with each decimal",
        "not supported": "Floats are easier with each decimal",
        "inconclusive": f"Whether floats are harder with each decimal is undecided ({effect.could_have_seen})",
    }[verdict]
    return curve_finding(
        ExitFinding.X6_PRECISION,
        curve,
        statement=f"{summary} in {curve.task} at the last exit: the lead of their integer twins changes by "
        f"{with_span(effect)} in accuracy per decimal of both numbers, {len(pairs.groups)} pairs (X6-precision).",
        effect=effect,
        null="the lead of integers is the same at every number of decimals",
        verdict=verdict,
    )


def _coefficient(pairs: _Pairs, design: Floats, column: int, weights: Floats, resampler: Resampler) -> Effect:
    """Return a coefficient of the least-squares fit of the lead on a design (m, k), groups resampled together."""
    gram = np.einsum("bm,mi,mj->bij", weights, design, design)
    moment = np.einsum("bm,mi,m->bi", weights, design, pairs.lead)
    fits = (np.linalg.pinv(gram, hermitian=True) @ moment[..., None])[..., 0]
    sample = split_draws(fits[:, column], resampler)
    return bootstrapped(float(sample.estimate), sample.draws, len(pairs.groups))
