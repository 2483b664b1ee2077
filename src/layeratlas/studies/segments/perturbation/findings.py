"""What the perturbations say, each statement with its null: constancy, additivity, segments, ends against middle."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.formatting import num
from layeratlas.runs.finding import Finding
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.segments.perturbation.brittleness import Brittleness, Estimate

# A ratio within these is called constant: of the mean with its interval, and of every single point and segment.
_NEAR = (0.8, 1.25)
# Ends are so large a share of the depth at either end; the middle is the half between the quarters.
_END = 0.1


def brittleness_findings(found: Brittleness) -> list[Finding]:
    """Return all findings on one model's effects."""
    return [_constancy(found), _additivity(found), *_segments(found), *_ends(found)]


def _finding(
    found: Brittleness, name: str, level: str, text: str, made: tuple[Estimate, float, str, Verdict], method: str = ""
) -> Finding:
    """Return a finding under the run's noise, or under what else was done (`method`)."""
    estimate, p, null, verdict = made
    value, lo, hi = estimate.numbers
    said = method or found.spec.noise
    return Finding(name, level, "resid", said, text, value, lo, hi, p, null, verdict, found.effects.passages)


def _constancy(found: Brittleness) -> Finding:
    """Is B the same at both small strengths, over all points and at each of them?

    A mean hides deviations that cancel, so that one point or segment beyond the bounds is enough to say no.
    """
    small, large = found.spec.small
    points, segments = found.ratios()
    text = (
        f"Brittleness {{says}} constant as the noise shrinks: at strength {large:g} it is {{measured}} times that at "
        f"{small:g}, geometric mean over all points of the stream; {_range(points)} times at single points and "
        f"{_range(segments)} times over single segments."
    )
    return _near_one(found, "quadratic regime", "every layer", text, found.constancy(), np.append(points, segments))


def _range(values: Floats) -> str:
    return f"{values.min():.2f} to {values.max():.2f}"


def _additivity(found: Brittleness) -> Finding:
    text = (
        "Noise in several blocks at once {says} the mean of the blocks' own: measured over added {measured}. "
        "Random spans are compared by the sum."
    )
    return _near_one(found, "additivity", "segments", text, found.additivity())


def _near_one(
    found: Brittleness, name: str, level: str, text: str, ratio: Estimate, single: Floats | None = None
) -> Finding:
    """Return a finding that is supported where a ratio is about 1; `text` leaves room for `says` and `measured`.

    Where `single` ratios are given, one that is not about 1, whatever its interval, makes it not supported.
    """
    value, lo, hi = ratio.numbers
    verdict: Verdict = "inconclusive"
    if lo >= _NEAR[0] and hi <= _NEAR[1]:
        verdict = "supported"
    apart = single is not None and not ((single >= _NEAR[0]) & (single <= _NEAR[1])).all()
    if apart or hi < _NEAR[0] or lo > _NEAR[1]:
        verdict = "not supported"
    says = {"supported": "is", "not supported": "is not"}.get(verdict, "may or may not be")
    which = "the ratio" if single is None else "the ratio, or that of any one point or segment,"
    null = f"{which} is outside {_NEAR[0]:g} to {_NEAR[1]:g}"
    words = text.format(says=says, measured=f"{value:.2f} [{lo:.2f}, {hi:.2f}]")
    return _finding(found, name, level, words, (ratio, float("nan"), null, verdict))


def _segments(found: Brittleness) -> list[Finding]:
    """One finding a segment: its B, and whether it is special among all spans of its width (Holm over segments)."""
    segments = found.effects.segments
    tests = [found.span_test(*span) for span in segments.values()]
    ps = holm([p for p, _ in tests])
    scale = " Absolute noise: this depends on the stream's scale." if found.spec.noise == "absolute noise" else ""
    out = []
    for (name, (start, stop)), p, (_, spans) in zip(segments.items(), ps, tests, strict=True):
        b = found.measured(start, stop)
        value, lo, hi = b.numbers
        least = min(1.0, len(segments) / spans)
        verdict: Verdict = "supported" if p <= 0.05 else "not supported" if least <= 0.05 else "inconclusive"
        says = {
            "supported": f"It differs from the {spans} spans of its width.",
            "not supported": f"It does not differ from the {spans} spans of its width.",
            "inconclusive": f"Among only {spans} spans of its width no difference could show (p at least {least:.2f}).",
        }[verdict]
        rms = float(found.effects.sizes[:, start + 1 : stop + 1].mean())
        text = (
            f"{name[0].upper()}{name[1:]} (blocks {start}-{stop - 1}): KL / strength² is {_short(value)} "
            f"[{_short(lo)}, {_short(hi)}] nats, stream rms {_short(rms)}; half of the top predictions change at "
            f"strength {_half(found, start, stop)}. {says}{scale}"
        )
        null = f"all {spans} contiguous spans of {stop - start} blocks, Holm over {len(segments)} segments"
        out.append(_finding(found, "brittleness", name, text, (b, p, null, verdict)))
    return out


def _half(found: Brittleness, start: int, stop: int) -> str:
    value, lo, hi = found.half("segment", start, stop).numbers
    largest = found.effects.sigmas("segment", start, stop)[-1]
    if not np.isfinite(value):
        return f"above {largest:g}"
    return f"{value:.2f} [{lo:.2f}, {f'{hi:.2f}' if np.isfinite(hi) else f'above {largest:g}'}]"


def _ends(found: Brittleness) -> list[Finding]:
    """Are the first and the last blocks more brittle than the middle (Lad et al., arXiv 2406.19384)?

    No two blocks are quite alike, and many passages show the smallest difference: it counts beyond a margin.
    """
    layers = found.effects.layers
    width = max(1, round(_END * layers))
    middle = slice(round(layers / 4), max(round(3 * layers / 4), round(layers / 4) + 1))
    ends = {f"first {_blocks(width)}": slice(0, width), f"last {_blocks(width)}": slice(layers - width, layers)}
    noise = found.spec.noise
    points, skips = found.at_points(), found.mean(found.effects.by_skip())
    blocks = Estimate(points.value[1:], points.draws[:, 1:])
    rows = []
    for method, measure, curve in ((noise, noise, blocks), ("skip", "leaving out a block", skips)):
        for end, at in ends.items():
            value = curve.value[at].mean() / curve.value[middle].mean()
            draws = curve.draws[:, at].mean(1) / curve.draws[:, middle].mean(1)
            p = (1 + int((draws <= _NEAR[1]).sum())) / (1 + len(draws))
            rows.append((method, measure, end, Estimate(value, draws), p))
    ps = holm([p for *_, p in rows])
    out = []
    for (method, measure, end, ratio, _), p in zip(rows, ps, strict=True):
        value, lo, hi = ratio.numbers
        verdict: Verdict = "supported" if p <= 0.05 else "not supported" if hi < _NEAR[1] else "inconclusive"
        says = {"supported": "more", "not supported": "not clearly more"}.get(verdict, "perhaps more")
        text = (
            f"The {end} {'is' if width == 1 else 'are'} {says} sensitive to {measure} than the middle half: "
            f"{num(value, 2)} times [{num(lo, 2)}, {num(hi, 2)}]."
        )
        null = f"at most {_NEAR[1]:g} times as sensitive as the middle half (bootstrap over passages, Holm over four)"
        out.append(_finding(found, "ends against middle", end, text, (ratio, p, null, verdict), method))
    return out


def _blocks(width: int) -> str:
    return "block" if width == 1 else f"{width} blocks"


def _short(value: float) -> str:
    """Return three significant digits."""
    return f"{value:.3g}"
