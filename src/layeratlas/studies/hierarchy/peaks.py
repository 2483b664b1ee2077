"""Where curves peak, in what order, and whether they fall again; each with its null."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.peaks import cross_chosen, find_peak, top_depth
from layeratlas.stats.tests import holm, normal_tail, two_sided
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.hierarchy.words import NAMES, count, what, who, word

_Z95 = 1.959964


def peak_findings(curves: Sequence[Curve]) -> list[Finding]:
    """Return one finding per curve: is there anything to decode, and where is it read best?

    The null is the maximum over all layers and curves of the z-scored shuffled curves (Westfall and Young 1993),
    so p is corrected for every layer and curve that was looked at.
    """
    null = np.full(min(len(c.shuffles) for c in curves), -np.inf)
    tops = []
    for curve in curves:
        centre, spread = curve.shuffles.mean(0), np.sqrt(curve.shuffles.var(0).mean()) + 1e-12
        null = np.maximum(null, ((curve.shuffles - centre) / spread).max(1)[: len(null)])
        tops.append(((curve.estimate - centre) / spread).max())
    return [
        _peak_finding(c, (1 + float((null >= top).sum())) / (1 + len(null)), len(null))
        for c, top in zip(curves, tops, strict=True)
    ]


def _peak_finding(curve: Curve, p: float, shuffles: int) -> Finding:
    peak = find_peak(curve)
    where = f"{NAMES[curve.component]}"
    verdict: Verdict = "supported" if p <= 0.05 and peak.lo > curve.chance else "inconclusive"
    unit = "point" if curve.component == "resid" else "block"
    span = f"{unit} {peak.layer}" + (f" ({peak.first}-{peak.last})" if peak.first < peak.last else "")
    lo, hi = np.percentile(peak.depths, [2.5, 97.5])
    if verdict == "supported":
        text = (
            f"{who(curve.level)} read best from {where} at {span} of {count(curve)}, depth "
            f"{curve.depth[peak.layer]:.2f}: {word(curve.metric)} {peak.value:.2f} [{peak.lo:.2f}, {peak.hi:.2f}], "
            f"chance {curve.chance:.2f}."
        )
    else:
        text = f"{who(curve.level)} not read above chance from {where} at any layer (best {peak.value:.2f})."
    null = f"largest of all layers and curves under {shuffles} label shuffles"
    return Finding(
        "peak", curve.level, curve.component, curve.method, text, float(curve.depth[peak.layer]),
        float(lo), float(hi), p, null, verdict, curve.n,
    )  # fmt: skip


def order_findings(curves: Sequence[Curve], decodable: set[str]) -> list[Finding]:
    """Return a finding for each pair of neighbouring levels: does the later one peak deeper?

    `curves` are one component's level curves in the order that the study expects. The interval is that of the
    difference in peak depth over the bootstrap; p is two-sided, Holm-corrected over the pairs.
    """
    pairs = [(a, b) for a, b in pairwise(curves) if {a.level, b.level} <= decodable]
    gaps = [find_peak(b).depths - find_peak(a).depths for a, b in pairs]
    ps = holm([two_sided(gap) for gap in gaps])
    out = []
    for (a, b), gap, p in zip(pairs, gaps, ps, strict=True):
        lo, hi = np.percentile(gap, [2.5, 97.5])
        estimate = float(top_depth(b.estimate, b.depth) - top_depth(a.estimate, a.depth))
        verdict: Verdict = "supported" if lo > 0 and p <= 0.05 else "not supported" if hi < 0 else "inconclusive"
        says = {"supported": "deeper than", "not supported": "earlier than"}
        link = says.get(verdict, "at a depth that cannot be told apart from")
        text = (
            f"{who(b.level)} read best {link} {what(a.level)} in {NAMES[a.component]}: {estimate:+.2f} of depth "
            f"[{lo:+.2f}, {hi:+.2f}]."
        )
        out.append(
            Finding(
                "order", f"{a.level} < {b.level}", a.component, a.method, text, estimate, float(lo), float(hi), p,
                "both peak at the same depth (bootstrap over groups)", verdict, a.n + b.n,
            )
        )  # fmt: skip
    return out


def _spread(curve: Curve, draws: Floats) -> float:
    """Return the standard error of a difference from the peak, from its draws (B,).

    At the ceiling, where all draws agree, it is that of the curve's own interval.
    """
    top = curve.estimate.argmax()
    lo, hi = (ends[top] for ends in curve.interval)
    spread = float(draws.std())
    return spread if spread > 1e-12 else max(float(hi - lo) / (2 * _Z95), 1e-12)


def decline_finding(curve: Curve) -> Finding:
    """Return whether the curve falls from its peak to the last layer; the peak is chosen on the other half."""
    last = np.zeros(len(curve.estimate))
    last[-1] = 1
    drop = cross_chosen(curve, last)
    spread = _spread(curve, curve.draws[:, curve.estimate.argmax()] - curve.draws[:, -1])
    lo, hi = drop - _Z95 * spread, drop + _Z95 * spread
    verdict: Verdict = "supported" if lo > 0 else "not supported" if hi < 0.02 else "inconclusive"
    says = {"supported": "falls", "not supported": "does not fall"}.get(verdict, "may or may not fall")
    text = (
        f"The {word(curve.metric)} of {what(curve.level)} {says} from its peak to the last layer of "
        f"{NAMES[curve.component]}: by {drop:.2f} [{lo:.2f}, {hi:.2f}]."
    )
    p = float(min(1.0, max(1 / len(curve.draws), 2 * normal_tail(abs(drop) / max(spread, 1e-12)))))
    return Finding(
        "decline", curve.level, curve.component, curve.method, text, drop, lo, hi, p,
        "the last layer reads as well as the peak", verdict, curve.n,
    )  # fmt: skip


def surface_finding(curve: Curve) -> Finding:
    """Return whether the peak beats what the surface gives: words, lengths, and the embeddings (point 0)."""
    first = np.zeros(len(curve.estimate))
    floor, name = curve.baseline, "words and lengths alone"
    if curve.component == "resid" and not curve.estimate[0] < curve.baseline:
        first[0], floor, name = 1, 0.0, "the embedding of the token read (point 0)"
    gain = cross_chosen(curve, first) - floor
    spread = _spread(curve, curve.draws[:, curve.estimate.argmax()] - curve.draws @ first)
    lo, hi = gain - _Z95 * spread, gain + _Z95 * spread
    verdict: Verdict = "supported" if lo > 0 else "not supported" if hi < 0.02 else "inconclusive"
    base = float(curve.estimate @ first) + floor
    link = "beats" if verdict == "supported" else "does not clearly beat"
    text = f"The peak of {what(curve.level)} {link} {name} ({base:.2f}): by {gain:.2f} [{lo:.2f}, {hi:.2f}]."
    p = float(min(1.0, max(1 / len(curve.draws), 2 * normal_tail(abs(gain) / max(spread, 1e-12)))))
    return Finding(
        "surface", curve.level, curve.component, curve.method, text, gain, lo, hi, p,
        f"the peak equals {name}", verdict, curve.n,
    )  # fmt: skip
