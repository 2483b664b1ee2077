"""The published claims X1 to X6 and X8 about early exits, each against a null of its own.

The claims are those of arXiv 2312.04333. X5 and X7 compare sizes, so that one run only adds its part to X5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.tests import holm, two_sided
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.exits.choices import ExitCurve, Scored, accuracy
from layeratlas.studies.exits.findings import SMALL, Answered, finding, signed, span

CALCULATION, REASONING, FACTS = ("arithmetic", "calculation"), ("reasoning",), ("facts",)
_LOW, _THIRD = 0.25, 1 / 3


def claim_findings(found: Sequence[Answered], last: Sequence[Finding], says: str) -> list[Finding]:
    """Return X1 to X5 from the level curves and the findings about the last exit."""
    out = [_upper(one) for one in found if one.curve.level in CALCULATION and one.verdict == "supported"]
    out += [_as_x2(f) for f in last if f.finding == "last against best" and f.level in FACTS]
    out += [_as_x3(f) for f in last if f.finding == "last exit" and f.level in CALCULATION + REASONING]
    if found:
        out += [_middle(found), _low(found, says)]
    return out


def _upper(one: Answered) -> Finding:
    """X1: half of the rise above the baselines comes in the upper half of the network."""
    lo, hi = one.onset_interval
    verdict: Verdict = "supported" if lo > 0.5 else "not supported" if hi < 0.5 else "inconclusive"
    says = {"supported": "sits in the upper half", "not supported": "sits in the lower half"}
    text = (
        f"{one.curve.level.capitalize()} {says.get(verdict, 'cannot be placed in either half')}: half of its rise is "
        f"passed at depth {one.onset:.2f} [{lo:.2f}, {hi:.2f}] (X1)."
    )
    p = two_sided(one.onsets - 0.5)
    return finding("X1", one.curve, text, (one.onset, lo, hi, p), "half of the rise is passed at depth 0.5", verdict)


def _as_x2(source: Finding) -> Finding:
    """X2: facts peak at the last exit."""
    return replace(source, finding="X2", statement=f"Do facts peak at the last exit? {source.statement} (X2)")


def _as_x3(source: Finding) -> Finding:
    """X3: the exit before the last is the best for calculation and reasoning; the opposite of what `source` asks."""
    turned: dict[Verdict, Verdict] = {"supported": "not supported", "not supported": "supported"}
    return replace(
        source,
        finding="X3",
        statement=f"Is the exit before the last better? {source.statement} (X3)",
        estimate=-source.estimate,
        lo=-source.hi,
        hi=-source.lo,
        verdict=turned.get(source.verdict, "inconclusive"),
    )


def _middle(found: Sequence[Answered]) -> Finding:
    """X4: in every level that is answered, half of the rise is passed in the middle half of the network."""
    known = [one for one in found if one.verdict == "supported"]
    null = "half of the rise is passed outside depth 0.25 to 0.75"
    if not known:
        text = "No level is answered better than by its baselines, so that no gain starts anywhere (X4)."
        return _over_levels("X4", found, text, (float("nan"),) * 4, null, "inconclusive")
    ends = [one.onset_interval for one in known]
    inside = all(lo > 0.25 and hi < 0.75 for lo, hi in ends)
    outside = [one.curve.level for one, (lo, hi) in zip(known, ends, strict=True) if hi < 0.25 or lo > 0.75]
    verdict: Verdict = "supported" if inside else "not supported" if outside else "inconclusive"
    each = [f"{k.curve.level} {k.onset:.2f} [{lo:.2f}, {hi:.2f}]" for k, (lo, hi) in zip(known, ends, strict=True)]
    start = {
        "supported": "In every level gains start mid-network",
        "inconclusive": "Gains may start mid-network",
        "not supported": f"Gains do not start mid-network in {', '.join(outside)}",
    }
    text = f"{start[verdict]}: {', '.join(each)} (X4)."
    ps = [float(((one.onsets <= 0.25) | (one.onsets >= 0.75)).mean()) for one in known]
    p = max([*ps, 1 / (1 + len(known[0].onsets))])
    numbers = (float(np.mean([k.onset for k in known])), min(e[0] for e in ends), max(e[1] for e in ends), p)
    return _over_levels("X4", known, text, numbers, null, verdict)


def _low(found: Sequence[Answered], says: str) -> Finding:
    """X5, this model's part: what low exits answer beyond their baselines."""
    curves = [one.curve for one in found]
    inside = curves[0].depth < _LOW
    gains = np.mean([c.gains[:, inside].mean(1) for c in curves], axis=0)
    estimate = float(np.mean([(c.estimate - c.floor)[inside].mean() for c in curves]))
    lo, hi = (float(end) for end in np.percentile(gains, [2.5, 97.5]))
    text = (
        f"Below depth {_LOW} exits answer {signed(estimate)} {span(lo, hi)} beyond the best baseline{says}; whether "
        "low layers perform alike across sizes takes runs of several sizes (X5)."
    )
    null = "equal across sizes, which one model cannot test"
    return _over_levels("X5", found, text, (estimate, lo, hi, float("nan")), null, "inconclusive")


def _over_levels(
    name: str, found: Sequence[Answered], text: str, numbers: tuple[float, ...], null: str, verdict: Verdict
) -> Finding:
    first, n = found[0].curve, sum(one.curve.n for one in found)
    estimate, lo, hi, p = numbers
    return Finding(name, "all", first.component, first.method, text, estimate, lo, hi, p, null, verdict, n)


def float_findings(
    curves: Sequence[ExitCurve], scored: Sequence[Scored], resampler: Resampler, strict: bool
) -> list[Finding]:
    """Return X6: integer problems against their float twins, which share a group, at the last exit.

    `curves` are the main curves of the sets of one level, in the order of `scored`.
    """
    out = []
    for curve, one in zip(curves, scored, strict=True):
        kinds = [next((k for k in ("integer", "float") if k in q.stratum.split()), "") for q in one.data.items]
        groups = {k: {q.group for q, kind in zip(one.data.items, kinds, strict=True) if kind == k} for k in set(kinds)}
        paired = groups.get("integer", set()) & groups.get("float", set())
        if len(paired) < 10:
            continue
        right = accuracy(one.scores(curve.method)[-1], one.table, strict)
        weights = resampler.weights([q.group for q in one.data.items])
        means = []
        for kind in ("integer", "float"):
            inside = np.array([k == kind and q.group in paired for k, q in zip(kinds, one.data.items, strict=True)])
            means.append(weights[:, inside] @ right[inside] / np.maximum(weights[:, inside].sum(1), 1e-12))
        gap = means[0] - means[1]
        draws = gap[1 : 1 + resampler.bootstrap]
        lo, hi = (float(end) for end in np.percentile(draws, [2.5, 97.5]))
        p = two_sided(draws)
        verdict: Verdict = "supported" if lo > 0 else "not supported" if hi < 0 else "inconclusive"
        link = {"supported": "harder than", "not supported": "easier than"}.get(verdict, "not shown to be harder than")
        text = (
            f"Floats are {link} integers of the same digits in {curve.task} at the last exit: integers lead by "
            f"{signed(float(gap[0]))} {span(lo, hi)} in {len(paired)} pairs (X6)."
        )
        null = "integers and their float twins are answered equally well"
        out.append(finding("X6", curve, text, (float(gap[0]), lo, hi, p), null, verdict))
    return out


def agreement_curve(scored: Sequence[Scored], curve: ExitCurve, resampler: Resampler, strict: bool) -> ExitCurve | None:
    """Return Cohen's (1960) kappa of being right in two languages, by exit, mean over pairs of languages.

    `scored` are the sets of one level, `curve` its main curve. Questions in several languages share a group. None
    where no two languages share ten groups. The control is the kappa of the choices without their questions.
    """
    by_language = {one.data.language: one for one in scored}
    kappas: list[Floats] = []
    controls: list[Floats] = []
    shared: set[str] = set()
    for a, b in combinations(by_language.values(), 2):
        at = [{q.group: i for i, q in enumerate(one.data.items)} for one in (a, b)]
        both = sorted(set(at[0]) & set(at[1]))
        if len(both) < 10:
            continue
        shared |= set(both)
        weights = resampler.weights(both)
        for bare, into in ((False, kappas), (True, controls)):
            right = [
                accuracy(one.scores(curve.method, bare), one.table, strict)[:, [where[g] for g in both]]
                for one, where in zip((a, b), at, strict=True)
            ]
            into.append(_kappa(right[0], right[1], weights))
    if not kappas:
        return None
    values, control = (np.mean(part, axis=0) for part in (kappas, controls))
    n, h = resampler.bootstrap, resampler.halves
    return ExitCurve(
        curve.level, "all", "all", "resid", curve.method, "agreement", values[0], values[1 : 1 + n],
        values[1 + n : 1 + n + h], values[1 + n + h :], control[1 : 1 + n], 0.0, float("nan"),
        sum(len(one.data.items) for one in by_language.values()), len(shared), np.zeros(n), False,
        control[1 + n : 1 + n + h], control[1 + n + h :],
    )  # fmt: skip


def _kappa(one: Floats, two: Floats, weights: Floats) -> Floats:
    """Return kappa for every row of weights: credits (P, n) and (b, n) to (b, P); 0 where nothing can agree."""
    w = weights / np.maximum(weights.sum(1, keepdims=True), 1e-12)
    first, second, both = (w @ part.T for part in (one, two, one * two))
    observed = 1 - first - second + 2 * both
    expected = first * second + (1 - first) * (1 - second)
    return np.where(1 - expected > 1e-9, (observed - expected) / np.maximum(1 - expected, 1e-9), 0.0)


def language_finding(one: Answered, agreement: ExitCurve) -> Finding | None:
    """Return X8: do exits in the lower third answer in several languages beyond the baselines, and agree in them?

    The choice without its question is a baseline here, also where it shows by itself whether it is true: to see that a
    sum is wrong takes no language. Agreement is read over that of the choices without their questions. None for a
    model of one or two blocks, which has no exit there.
    """
    curve = replace(one.curve, evident=False)
    inside = (curve.depth <= _THIRD) & (curve.depth > 0)
    if not inside.any():
        return None
    gain = curve.gains[:, inside].mean(1)
    agree = (agreement.draws - agreement.shuffles)[:, inside].mean(1)
    estimate = float((curve.estimate - curve.floor)[inside].mean())
    lo, hi = (float(end) for end in np.percentile(gain, [2.5, 97.5]))
    same, beyond = float(agreement.estimate[inside].mean()), float(agree.mean())
    low, high = (float(end) for end in np.percentile(agree, [2.5, 97.5]))
    ps = [two_sided(draws) for draws in (gain, agree)]
    verdict: Verdict = "inconclusive"
    if lo > 0 and low > 0 and max(holm(ps)) <= 0.05:
        verdict = "supported"
    elif hi < SMALL:
        verdict = "not supported"
    says = {"supported": "carry", "not supported": "do not carry"}.get(verdict, "are not shown to carry")
    text = (
        f"Exits up to depth {_THIRD:.2f} {says} cross-lingual ability: {signed(estimate)} {span(lo, hi)} in accuracy "
        f"beyond the best baseline, agreement between languages (kappa) {same:.2f}, beyond that of the choices without "
        f"their questions by {signed(beyond)} {span(low, high)} (X8)."
    )
    null = "in the lower third no gain over the best baseline, or no agreement beyond that of choices without questions"
    return finding("X8", curve, text, (estimate, lo, hi, max(holm(ps))), null, verdict)


def token_count_finding(scored: Sequence[Scored], resampler: Resampler, curve: ExitCurve, says: str) -> Finding | None:
    """Return whether the first exit picks the choice with the fewest tokens more often than blind choice does.

    Over all questions whose choices differ in tokens, by the summed score; the statement also sets the exit's accuracy
    beside that of always choosing the fewest tokens. None where there are too few.
    """
    parts = [_counting(one) for one in scored]
    rows, groups = np.concatenate([part[0] for part in parts]), [g for part in parts for g in part[1]]
    if len(rows) < 10:
        return None
    weights = resampler.weights(groups)
    means = weights @ rows / np.maximum(weights.sum(1, keepdims=True), 1e-12)
    means = np.c_[means, means[:, 0] - means[:, 1], means[:, 2] - means[:, 3]]
    draws = means[1 : 1 + resampler.bootstrap]
    (hits, blind, right, rule, gap, beyond), (lows, highs) = means[0], np.percentile(draws, [2.5, 97.5], axis=0)
    # Where all are alike, no draw knows of rarer ones.
    reach = np.where(highs - lows < 1e-12, 3 / len(set(groups)), 0.0)
    lows, highs = np.maximum(lows - reach, [0, 0, 0, 0, -1, -1]), np.minimum(highs + reach, 1)
    lo, hi, p = float(lows[4]), float(highs[4]), two_sided(draws[:, 4])
    verdict: Verdict = "supported" if lo > 0 else "not supported" if hi < SMALL else "inconclusive"
    known = {"supported": "Exit 1 counts tokens", "not supported": "Exit 1 counts no tokens"}
    text = (
        f"{known.get(verdict, 'Exit 1 is not shown to count tokens')}: by the summed score it picks a choice with the "
        f"fewest in {hits:.0%} [{lows[0]:.0%}, {highs[0]:.0%}] of the {len(rows)} questions whose choices differ in "
        f"tokens, blind choice in {blind:.0%}{says}: {signed(gap)} {span(lo, hi)}. There it is right in {right:.0%} "
        f"[{lows[2]:.0%}, {highs[2]:.0%}], and choosing the fewest without any model in {rule:.0%} (ties shared): "
        f"{signed(beyond)} {span(lows[5], highs[5])}."
    )
    null = "exit 1 picks the fewest tokens as often as blind choice"
    numbers = (float(gap), lo, hi, p)
    return Finding("token count", "all", "resid", curve.method, text, *numbers, null, verdict, len(rows))


def _counting(one: Scored) -> tuple[Floats, list[str]]:
    """Return, for each question whose choices differ in tokens, four numbers, (n, 4), and its group.

    How much of exit 1's choice is one with the fewest tokens, and of blind choice; whether exit 1 is right, and the
    choice with the fewest tokens.
    """
    sums, tokens, there = one.scores("sum")[1], one.surface("fewest tokens"), one.table.there
    few, best = (values == values.max(1, keepdims=True) for values in (tokens, sums))
    columns = [(few & best).sum(1) / best.sum(1), few.sum(1) / there.sum(1)]
    columns += [accuracy(values, one.table, False) for values in (sums, tokens)]
    differ = few.sum(1) < there.sum(1)
    return np.stack(columns, 1)[differ], [q.group for q, kept in zip(one.data.items, differ, strict=True) if kept]
