"""The findings on the first and the last blocks against the middle (Lad et al., arXiv 2406.19384)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from layeratlas.core.formatting import num
from layeratlas.runs.finding import Finding
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.tests import holm, rank_p
from layeratlas.stats.verdicts import could_have_seen, decide, least_seen
from layeratlas.studies.segments.names import SKIP, SegmentFinding
from layeratlas.studies.segments.perturbation.brittleness import Brittleness
from layeratlas.studies.segments.perturbation.estimate import Estimate
from layeratlas.studies.segments.perturbation.result import Result

# An end counts as more sensitive if its sensitivity is more than this many times that of the middle.
_MOST = 1.25
# Each end is this share of the depth; the middle is the half between the first and the last quarter.
_END = 0.1
_TESTS = 4


@dataclass(frozen=True, kw_only=True)
class _EndTest:
    """The sensitivity of one end over that of the middle half, under one perturbation."""

    method: str
    perturbation: str
    end: str
    ratio: Estimate
    p: float


def end_findings(brittleness: Brittleness) -> list[Finding]:
    """Return whether the first and the last blocks are more sensitive than the middle, to noise and to skipping blocks.

    With many passages even a tiny difference is significant, so the ratio must exceed a margin.
    """
    noise, points = brittleness.spec.noise, brittleness.at_points()
    blocks = replace(points, value=points.value[1:], draws=points.draws[:, 1:])
    skips = brittleness.mean(brittleness.effects.by_skip())
    tests = [
        *_end_tests(noise, noise, blocks),
        *_end_tests(SKIP, "leaving out a block", skips),
    ]
    adjusted = holm([test.p for test in tests])
    return [_end_finding(brittleness, replace(test, p=p)) for test, p in zip(tests, adjusted, strict=True)]


def _end_tests(method: str, perturbation: str, blocks: Estimate) -> list[_EndTest]:
    """Return the tests of the first and of the last blocks against the middle half, from an estimate by block (L,)."""
    layers = len(blocks.value)
    width, quarter = max(1, round(_END * layers)), round(layers / 4)
    middle = slice(quarter, max(round(3 * layers / 4), quarter + 1))
    words = "block" if width == 1 else f"{width} blocks"
    tests = []
    for end, at in ((f"first {words}", slice(0, width)), (f"last {words}", slice(layers - width, layers))):
        ratio = replace(
            blocks,
            value=blocks.value[at].mean() / blocks.value[middle].mean(),
            draws=blocks.draws[:, at].mean(1) / blocks.draws[:, middle].mean(1),
        )
        p = rank_p(-_MOST, -ratio.plausible)
        tests.append(_EndTest(method=method, perturbation=perturbation, end=end, ratio=ratio, p=p))
    return tests


def _end_finding(brittleness: Brittleness, test: _EndTest) -> Finding:
    """Return whether an end is more sensitive; `not supported` if the ratio is shown to be below 1.25."""
    value, lo, hi = test.ratio.numbers
    verdict = decide(shown=test.p <= ALPHA, refuted=hi < _MOST)
    end = f"The {test.end} {'are' if test.end.endswith('blocks') else 'is'}"
    ratio = f"{num(value, 2)} times [{num(lo, 2)}, {num(hi, 2)}]"
    than = f"sensitive to {test.perturbation} than the middle half"
    statement = {
        "supported": f"{end} more {than}: {ratio}.",
        "not supported": f"{end} less than {_MOST:g} times as sensitive to {test.perturbation} as the middle half: "
        f"{ratio}.",
        "inconclusive": f"Whether the {test.end} matter more is undecided: {ratio} as sensitive to {test.perturbation} "
        f"as the middle half; {could_have_seen(f'{_least_seen(test.ratio):.2f} times or more')}.",
    }[verdict]
    null = f"at most {_MOST:g} times as sensitive as the middle half (bootstrap over passages, Holm over four)"
    result = Result(estimate=test.ratio, p=test.p, null=null, verdict=verdict)
    return result.finding(brittleness, SegmentFinding.ENDS, test.end, statement, test.method)


def _least_seen(ratio: Estimate) -> float:
    """Return the smallest ratio that can be shown to exceed 1.25 with a power of 0.8 (Holm over four)."""
    return float(_MOST * np.exp(least_seen(np.log(ratio.plausible).std(), tests=_TESTS, sides=1)))
