"""Generated text under interventions on segments, on other spans, and without interventions: table and findings.

The first version of arXiv 2505.18244 claims that perturbing local layers changes the choice of words, intermediate
layers the sentences, and global layers the coherence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.intervals import ALPHA, mean_interval
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Effect, could_have_seen, least_seen
from layeratlas.studies.segments.intervention.effects import MeanInterval
from layeratlas.studies.segments.intervention.text_measures import (
    ADJACENT_COSINE,
    DISTINCT_2,
    SENTENCE_LENGTH,
    measured,
)
from layeratlas.studies.segments.intervention.text_tests import BOOTSTRAP, TextComparison, compare_texts, signed_rank
from layeratlas.studies.segments.names import GLOBAL, INTERMEDIATE, LOCAL, SegmentFinding


class EditedSpan(NamedTuple):
    """The name of an intervention, and the segment or blocks on which it is made."""

    edit: str
    span: str


Texts = Mapping[EditedSpan, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class _Claimed:
    """A segment and the property of text that the first version attributes to it."""

    span: str
    measure: str
    words: str


# These measures were chosen before any result was seen.
_CLAIMED = (
    _Claimed(span=LOCAL, measure=DISTINCT_2, words="the choice of words (distinct-2)"),
    _Claimed(span=INTERMEDIATE, measure=SENTENCE_LENGTH, words="the length of sentences"),
    _Claimed(span=GLOBAL, measure=ADJACENT_COSINE, words="the similarity of neighbouring sentences"),
)


def text_rows(clean: Sequence[str], edited: Texts, controls: Texts, seed: int = 0) -> list[dict[str, Any]]:
    """Return one row per intervention, span and measure; all texts must be in the same order of prompts.

    `effect` is the rank-biserial correlation against the unperturbed texts; `p` is Holm-corrected over all rows.
    Columns with the prefix `control` are the same values for another span of equal width (NaN if none fits).
    """
    keys = list(edited)
    comparisons = _compare_all(clean, [edited[key] for key in keys], range(len(keys)), seed)
    shared = [i for i, key in enumerate(keys) if key in controls]
    beside = _compare_all(clean, [controls[keys[i]] for i in shared], shared, seed)
    rows = []
    for (i, measure), comparison in comparisons.items():
        key, control = keys[i], beside.get((i, measure))
        rows.append(
            {"edit": key.edit, "span": key.span, "measure": measure}
            | _mean(measured(clean, measure), seed).columns("clean")
            | _mean(measured(edited[key], measure), seed).columns("edited")
            | (_mean(measured(controls[key], measure), seed) if control else MeanInterval()).columns("control")
            | MeanInterval(comparison.effect, comparison.lo, comparison.hi).columns("effect")
            | {"p": comparison.p}
            | {f"control_{name}": getattr(control, name) if control else float("nan") for name in ("effect", "p")}
            | {"n": comparison.n}
        )
    return rows


def _compare_all(
    clean: Sequence[str], texts: Sequence[Sequence[str]], numbers: Sequence[int], seed: int
) -> dict[tuple[int, str], TextComparison]:
    """Return the comparisons of several sets of texts, keyed by the set's number and the measure."""
    by_name = {str(number): continued for number, continued in zip(numbers, texts, strict=True)}
    comparisons = compare_texts(clean, by_name, BOOTSTRAP, seed)
    return {(int(comparison.edit), comparison.measure): comparison for comparison in comparisons}


def _mean(values: Floats, seed: int) -> MeanInterval:
    """Return the mean over the prompts that have a value, with its 95 % bootstrap interval."""
    values = values[np.isfinite(values)]
    if not len(values):
        return MeanInterval()
    draws = values[np.random.default_rng([seed, 41]).integers(0, len(values), (BOOTSTRAP, len(values)))].mean(1)
    lo, hi = mean_interval(draws, len(values))
    return MeanInterval(float(values.mean()), float(lo), float(hi))


@dataclass(frozen=True, kw_only=True)
class _ClaimTest:
    """The test of a claim: by prompt (n,), how much more a measure changes for the segment than for another span."""

    claimed: _Claimed
    edits: int
    gaps: Floats


def text_findings(clean: Sequence[str], edited: Texts, controls: Texts, seed: int = 0) -> list[Finding]:
    """Return a finding per segment: do interventions on it change its property more than those on another span?

    For each prompt, the statistic is the change of the measure from the unperturbed text under interventions on the
    segment, minus the change under the same interventions on one other span of equal width, averaged over
    interventions; it is tested by signed ranks over prompts. The result concerns these two spans only. Segments without
    a control, or for which fewer than two prompts have the measure (texts of a single sentence), have no finding.
    """
    tests = []
    for claimed in _CLAIMED:
        keys = [key for key in edited if key.span == claimed.span and key in controls]
        pairs = [(edited[key], controls[key]) for key in keys]
        gaps = _further(clean, pairs, claimed.measure) if pairs else np.zeros(0)
        if len(gaps) > 1:
            tests.append(_ClaimTest(claimed=claimed, edits=len(keys), gaps=gaps))
    ps = holm([signed_rank(test.gaps) for test in tests])
    return [_finding(test, p, len(tests), seed) for test, p in zip(tests, ps, strict=True)]


def _further(clean: Sequence[str], pairs: Sequence[tuple[Sequence[str], Sequence[str]]], measure: str) -> Floats:
    """Return, over (edited, control) pairs, the mean additional change of the edited texts from clean ones, (n,)."""
    before = measured(clean, measure)
    moved = [
        np.abs(measured(texts, measure) - before) - np.abs(measured(control, measure) - before)
        for texts, control in pairs
    ]
    known = np.isfinite(moved)
    total = np.where(known, moved, 0.0).sum(0)
    prompts = known.any(0)
    gaps: Floats = total[prompts] / known.sum(0)[prompts]
    return gaps


def _finding(test: _ClaimTest, p: float, tests: int, seed: int) -> Finding:
    claimed, n = test.claimed, len(test.gaps)
    mean = _mean(test.gaps, seed)
    effect = Effect(estimate=mean.mean, lo=mean.lo, hi=mean.hi, p=p)
    verdict = effect.verdict_by_sign()
    other = "interventions on one other span of its width"
    seen = could_have_seen(f"{_least_seen(test.gaps, tests):.3f} on average")
    undecided = f"neither detectably more nor detectably less than {other} ({seen})"
    if tests * 2.0 ** (1 - n) > ALPHA:
        undecided = f"by an amount that {n} prompts are too few to judge, whatever it is"
    comparison = {"supported": f"more than {other}", "not supported": f"less than {other}", "inconclusive": undecided}
    return curve_finding(
        SegmentFinding.GENERATED_TEXT,
        Subject(level=claimed.span, component="resid", method=claimed.measure, n=n),
        statement=f"Interventions on the {claimed.span} segment change {claimed.words} of generated text "
        f"{comparison[verdict]}: {effect.estimate:+.3f} [{effect.lo:+.3f}, {effect.hi:+.3f}] further from the "
        f"unperturbed text, mean of {test.edits} interventions.",
        effect=effect,
        null=f"the same interventions on one other span of its width, Wilcoxon signed-rank, Holm over {tests}",
        verdict=verdict,
    )


def _least_seen(gaps: Floats, tests: int) -> float:
    """Return the smallest mean difference detectable with this many prompts at a power of 0.8, Holm over the tests."""
    return least_seen(float(gaps.std(ddof=1) / np.sqrt(len(gaps))), tests=tests)
