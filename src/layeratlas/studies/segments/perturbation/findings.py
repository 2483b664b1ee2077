"""The findings on brittleness, each with its null: quadratic regime, additivity, segments, ends against middle."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.formatting import num
from layeratlas.runs.finding import Finding
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.segments.names import EVERY_LAYER, SKIP, SegmentFinding
from layeratlas.studies.segments.perturbation.brittleness import Brittleness, Estimate, SpanTest
from layeratlas.studies.segments.perturbation.trials import Span

_NAN = float("nan")
# A ratio between these is called constant: the mean with its interval, and every single point and segment.
_LEAST, _MOST = 0.8, 1.25
# Each end is this share of the depth; the middle is the half between the quarters.
_END = 0.1


def brittleness_findings(brittleness: Brittleness) -> list[Finding]:
    """Return all findings on one model's effects."""
    return [
        _constancy(brittleness),
        _additivity(brittleness),
        *_segments(brittleness),
        *_ends(brittleness),
    ]


@dataclass(frozen=True, kw_only=True)
class _Result:
    """An estimate and what a test said of it."""

    estimate: Estimate
    null: str
    verdict: Verdict
    p: float = _NAN

    def finding(
        self, brittleness: Brittleness, kind: SegmentFinding, level: str, statement: str, method: str = ""
    ) -> Finding:
        """Return the finding under the run's noise, or under another perturbation (`method`)."""
        value, lo, hi = self.estimate.numbers
        return Finding(
            finding=kind,
            level=level,
            component="resid",
            method=method or brittleness.spec.noise,
            statement=statement,
            estimate=value,
            lo=lo,
            hi=hi,
            p=self.p,
            null=self.null,
            verdict=self.verdict,
            n=brittleness.effects.passages,
        )


def _constancy(brittleness: Brittleness) -> Finding:
    """Is B the same at both small strengths, over all points and at each of them?

    A mean hides deviations that cancel, so one point or segment beyond the bounds is enough for `not supported`.
    """
    small, large = brittleness.spec.small
    points, segments = brittleness.ratios()
    result = _near_one(brittleness.constancy(), np.append(points, segments))
    statement = (
        f"Brittleness {_IS_NEAR[result.verdict]} constant as the noise shrinks: at strength {large:g} it is "
        f"{_measured(result.estimate)} times that at {small:g}, geometric mean over all points of the stream; "
        f"{_range(points)} times at single points and {_range(segments)} times over single segments."
    )
    return result.finding(brittleness, SegmentFinding.QUADRATIC_REGIME, EVERY_LAYER, statement)


def _additivity(brittleness: Brittleness) -> Finding:
    """Is B of noise in several blocks at once the mean of the blocks' own B?"""
    result = _near_one(brittleness.additivity())
    statement = (
        f"Noise in several blocks at once {_IS_NEAR[result.verdict]} the mean of its blocks' own effects: measured "
        f"over added {_measured(result.estimate)}. All other spans of blocks are compared by this mean."
    )
    return result.finding(brittleness, SegmentFinding.ADDITIVITY, "segments", statement)


_IS_NEAR: dict[Verdict, str] = {
    "supported": "is",
    "not supported": "is not",
    "inconclusive": "is not shown to be",
}


def _near_one(ratio: Estimate, single: Floats | None = None) -> _Result:
    """Return whether a ratio is about 1: an equivalence test by its interval.

    Supported if the interval is within 0.8 to 1.25, not supported if it is outside. If `single` ratios are given, one
    that is not about 1, whatever its interval, makes it not supported.
    """
    _, lo, hi = ratio.numbers
    deviates = single is not None and not ((single >= _LEAST) & (single <= _MOST)).all()
    verdict: Verdict = "supported" if lo >= _LEAST and hi <= _MOST else "inconclusive"
    if deviates or hi < _LEAST or lo > _MOST:
        verdict = "not supported"
    which = "the ratio" if single is None else "the ratio, or that of any one point or segment,"
    return _Result(estimate=ratio, null=f"{which} is outside {_LEAST:g} to {_MOST:g}", verdict=verdict)


def _measured(ratio: Estimate) -> str:
    value, lo, hi = ratio.numbers
    return f"{value:.2f} [{lo:.2f}, {hi:.2f}]"


def _range(values: Floats) -> str:
    return f"{values.min():.2f} to {values.max():.2f}"


def _segments(brittleness: Brittleness) -> list[Finding]:
    """Return one finding per segment: its B, and whether it differs from all spans of its width."""
    segments = brittleness.effects.segments
    tests = [brittleness.span_test(span) for span in segments.values()]
    adjusted = holm([test.p for test in tests])
    return [
        _segment(brittleness, name, span, replace(test, p=p))
        for (name, span), test, p in zip(segments.items(), tests, adjusted, strict=True)
    ]


def _segment(brittleness: Brittleness, name: str, span: Span, test: SpanTest) -> Finding:
    count, (start, stop) = len(brittleness.effects.segments), span
    least = min(1.0, count / test.spans)
    verdict: Verdict = "supported" if test.p <= ALPHA else "not supported" if least <= ALPHA else "inconclusive"
    comparison = {
        "supported": f"It differs from the {test.spans} spans of its width.",
        "not supported": f"No difference from the {test.spans} spans of its width was detected.",
        "inconclusive": f"With only {test.spans} spans of its width no difference can be detected (p at least "
        f"{least:.2f}).",
    }[verdict]
    b = brittleness.measured("segment", span)
    value, lo, hi = (f"{number:.3g}" for number in b.numbers)
    rms = float(brittleness.effects.sizes[:, start + 1 : stop + 1].mean())
    statement = (
        f"{name[0].upper()}{name[1:]} (blocks {start}-{stop - 1}): KL / strength² is {value} [{lo}, {hi}] nats, stream "
        f"rms {rms:.3g}; half of the top predictions change at strength {_half(brittleness, span)}. {comparison}"
    )
    if brittleness.spec.noise == "absolute noise":
        statement += " Absolute noise: this depends on the stream's scale."
    null = f"all {test.spans} contiguous spans of {stop - start} blocks, Holm over {count} segments"
    result = _Result(estimate=b, p=test.p, null=null, verdict=verdict)
    return result.finding(brittleness, SegmentFinding.BRITTLENESS, name, statement)


def _half(brittleness: Brittleness, span: Span) -> str:
    value, lo, hi = brittleness.half("segment", span).numbers
    beyond = f"above {brittleness.effects.sigmas('segment', span)[-1]:g}"
    if not np.isfinite(value):
        return beyond
    return f"{value:.2f} [{lo:.2f}, {f'{hi:.2f}' if np.isfinite(hi) else beyond}]"


@dataclass(frozen=True, kw_only=True)
class _EndTest:
    """The sensitivity of one end over that of the middle half, under one perturbation."""

    method: str
    perturbation: str
    end: str
    ratio: Estimate
    p: float


def _ends(brittleness: Brittleness) -> list[Finding]:
    """Are the first and the last blocks more brittle than the middle (Lad et al., arXiv 2406.19384)?

    No two blocks are exactly alike, and many passages show the smallest difference: it counts beyond a margin.
    """
    noise, points = brittleness.spec.noise, brittleness.at_points()
    blocks = Estimate(points.value[1:], points.draws[:, 1:])
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
        value = blocks.value[at].mean() / blocks.value[middle].mean()
        draws = blocks.draws[:, at].mean(1) / blocks.draws[:, middle].mean(1)
        p = (1 + int((draws <= _MOST).sum())) / (1 + len(draws))
        tests.append(_EndTest(method=method, perturbation=perturbation, end=end, ratio=Estimate(value, draws), p=p))
    return tests


def _end_finding(brittleness: Brittleness, test: _EndTest) -> Finding:
    value, lo, hi = test.ratio.numbers
    verdict: Verdict = "supported" if test.p <= ALPHA else "not supported" if hi < _MOST else "inconclusive"
    more = {"supported": "more", "not supported": "not much more", "inconclusive": "not shown to be more"}[verdict]
    statement = (
        f"The {test.end} {'are' if test.end.endswith('blocks') else 'is'} {more} sensitive to {test.perturbation} than "
        f"the middle half: {num(value, 2)} times [{num(lo, 2)}, {num(hi, 2)}]."
    )
    null = f"at most {_MOST:g} times as sensitive as the middle half (bootstrap over passages, Holm over four)"
    result = _Result(estimate=test.ratio, p=test.p, null=null, verdict=verdict)
    return result.finding(brittleness, SegmentFinding.ENDS, test.end, statement, test.method)
