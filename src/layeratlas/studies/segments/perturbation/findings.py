"""The findings on brittleness, each with its null: quadratic regime, additivity, segments, ends against middle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.formatting import capitalised
from layeratlas.runs.finding import Finding
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Effect, Verdict, could_have_seen, decide
from layeratlas.studies.segments.names import EVERY_LAYER, SegmentFinding
from layeratlas.studies.segments.perturbation.brittleness import Brittleness
from layeratlas.studies.segments.perturbation.contrast import SegmentContrast
from layeratlas.studies.segments.perturbation.ends import end_findings
from layeratlas.studies.segments.perturbation.estimate import Estimate
from layeratlas.studies.segments.perturbation.result import Result
from layeratlas.studies.segments.perturbation.trials import Span

# A ratio within these bounds counts as constant; this applies to the mean's interval and to every point and segment.
_LEAST, _MOST = 0.8, 1.25
_CHANGE_SEEN = f"The bounds are {_LEAST:g} and {_MOST:g}: an interval within them shows it, one outside refutes it."
# A segment's B counts as equal to that of the other blocks if their ratio is within this factor in either direction.
_ALIKE = 2.0


def brittleness_findings(brittleness: Brittleness) -> list[Finding]:
    """Return all findings on one model's effects."""
    return [
        _constancy(brittleness),
        _additivity(brittleness),
        *_segments(brittleness),
        *end_findings(brittleness),
    ]


def _constancy(brittleness: Brittleness) -> Finding:
    """Is B the same at both small strengths, over all points and at each of them?

    Deviations can cancel in a mean. Therefore one point or segment shown to be outside the bounds is enough for
    `not supported`, and one with an estimate outside them is enough for `inconclusive`.
    """
    small, large = brittleness.spec.small
    points, segments = brittleness.ratios()
    mean = brittleness.constancy()
    each = [_near_one(ratio) for estimate in (points, segments) for ratio in _each(estimate)]
    all_near = _within(points.value) and _within(segments.value)
    verdict = decide(
        shown=_near_one(mean) == "supported" and all_near, refuted="not supported" in [_near_one(mean), *each]
    )
    statement = (
        f"{_CONSTANT[verdict]}: at strength {large:g} it is {_measured(mean)} times that at {small:g}, geometric mean "
        f"over all points of the stream; {_range(points.value)} times at single points and {_range(segments.value)} "
        f"times over single segments. {_CHANGE_SEEN}"
    )
    null = f"the ratio, or that of any one point or segment, is outside {_LEAST:g} to {_MOST:g}"
    result = Result(estimate=mean, null=null, verdict=verdict)
    return result.finding(brittleness, SegmentFinding.QUADRATIC_REGIME, EVERY_LAYER, statement)


_CONSTANT: dict[Verdict, str] = {
    "supported": "Brittleness is constant as the noise shrinks",
    "not supported": "Brittleness changes as the noise shrinks",
    "inconclusive": "Whether brittleness is constant as the noise shrinks is undecided",
}
_ADDED: dict[Verdict, str] = {
    "supported": "Noise in several blocks at once has the mean of its blocks' own effects",
    "not supported": "Noise in several blocks at once has another effect than the mean of its blocks' own",
    "inconclusive": "Whether noise in several blocks at once has the mean of its blocks' own effects is undecided",
}


def _additivity(brittleness: Brittleness) -> Finding:
    """Does B under noise in several blocks at once equal the mean of the blocks' B?"""
    ratio = brittleness.additivity()
    verdict = _near_one(ratio)
    statement = f"{_ADDED[verdict]}: measured over added {_measured(ratio)}. {_CHANGE_SEEN}"
    null = f"the ratio is outside {_LEAST:g} to {_MOST:g}"
    result = Result(estimate=ratio, null=null, verdict=verdict)
    return result.finding(brittleness, SegmentFinding.ADDITIVITY, "segments", statement)


def _near_one(ratio: Estimate) -> Verdict:
    """Return whether a ratio is about 1, by equivalence: whether its interval lies within or outside 0.8 to 1.25."""
    value, lo, hi = ratio.numbers
    return Effect(estimate=value, lo=lo, hi=hi).within(_LEAST, _MOST)


def _each(estimates: Estimate) -> list[Estimate]:
    """Return the single estimates of an array estimate."""
    return [replace(estimates, value=value, draws=estimates.draws[:, i]) for i, value in enumerate(estimates.value)]


def _within(ratios: Floats) -> bool:
    return bool(((ratios >= _LEAST) & (ratios <= _MOST)).all())


def _measured(ratio: Estimate) -> str:
    value, lo, hi = ratio.numbers
    return f"{value:.2f} [{lo:.2f}, {hi:.2f}]"


def _range(values: Floats) -> str:
    return f"{values.min():.2f} to {values.max():.2f}"


def _segments(brittleness: Brittleness) -> list[Finding]:
    """Return one finding per segment: its B, and whether its blocks differ from all other blocks."""
    segments = brittleness.effects.segments
    contrasts = [brittleness.contrast(span) for span in segments.values()]
    adjusted = holm([contrast.p for contrast in contrasts])
    return [
        _segment(brittleness, name, span, replace(contrast, p=p))
        for (name, span), contrast, p in zip(segments.items(), contrasts, adjusted, strict=True)
    ]


def _segment(brittleness: Brittleness, name: str, span: Span, contrast: SegmentContrast) -> Finding:
    count, (start, stop) = len(brittleness.effects.segments), span
    b = brittleness.measured("segment", span)
    value, lo, hi = (f"{number:.3g}" for number in b.numbers)
    rms = float(brittleness.effects.sizes[:, start + 1 : stop + 1].mean())
    verdict, comparison = _compared(contrast, count)
    statement = (
        f"{capitalised(name)} (blocks {start}-{stop - 1}): KL / strength² is {value} [{lo}, {hi}] nats, stream "
        f"rms {rms:.3g}; half of the top predictions change at strength {_half(brittleness, span)}. {comparison}"
    )
    if brittleness.spec.noise == "absolute noise":
        statement += " Absolute noise: this depends on the stream's scale."
    null = f"blocks outside, with autocorrelated differences between blocks, Holm over {count} segments"
    result = Result(estimate=b, p=contrast.p, null=null, verdict=verdict)
    return result.finding(brittleness, SegmentFinding.BRITTLENESS, name, statement)


def _compared(contrast: SegmentContrast, count: int) -> tuple[Verdict, str]:
    """Return whether a segment differs from the other blocks; `not supported` needs equality within a factor of 2."""
    if not np.isfinite(contrast.error):
        return "inconclusive", "The model has too few other blocks for a comparison, whatever the difference."
    lo, hi = contrast.interval
    ratio = f"{contrast.ratio:.2f} [{lo:.2f}, {hi:.2f}] times"
    verdict = decide(shown=contrast.p <= ALPHA, refuted=lo >= 1 / _ALIKE and hi <= _ALIKE)
    more = "more" if contrast.ratio > 1 else "less"
    seen = could_have_seen(f"a {contrast.seen(count):.1f}-fold difference")
    return verdict, {
        "supported": f"Its blocks are {more} brittle than the others: {ratio}.",
        "not supported": f"Its blocks are as brittle as the others within a factor of {_ALIKE:g}: {ratio}.",
        "inconclusive": f"Whether its blocks differ from the others is undecided: {ratio}; {seen}.",
    }[verdict]


def _half(brittleness: Brittleness, span: Span) -> str:
    value, lo, hi = brittleness.half("segment", span).numbers
    beyond = f"above {brittleness.effects.sigmas('segment', span)[-1]:g}"
    if not np.isfinite(value):
        return beyond
    return f"{value:.2f} [{lo:.2f}, {f'{hi:.2f}' if np.isfinite(hi) else beyond}]"
