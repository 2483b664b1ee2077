"""Claim H2: do deep layers hold early, narrow content, and read it better or worse than abstractions at that place?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.tests import two_sided
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.hierarchy.words import NAMES

NARROW = ("buried item", "buried relation")
ABSTRACT = ("buried analogy", "document")
# The deep layers: the last quarter of depth.
_DEEP = 0.75


def deep_gain(curve: Curve) -> tuple[float, Floats]:
    """Return how far a curve is above chance over the deep layers, as a share of what is possible, and its draws."""
    deep = curve.depth >= _DEEP
    room = 1 - curve.chance
    return float((curve.estimate[deep].mean() - curve.chance) / room), (
        curve.draws[:, deep].mean(1) - curve.chance
    ) / room


def compression_findings(curves: Sequence[Curve]) -> list[Finding]:
    """Return two findings from one component's level curves: is buried content read deep down, and against what?

    The first compares narrow buried levels (items, relations) with their label shuffles, layer mean by layer mean; the
    second their gain over chance with that of buried analogies and of documents, read at the same kind of position.
    Levels have different texts, so their bootstraps are independent.
    """
    by_level = {c.level: c for c in curves}
    narrow = [by_level[level] for level in NARROW if level in by_level]
    wide = [by_level[level] for level in ABSTRACT if level in by_level]
    if not narrow:
        return []
    first = narrow[0]
    n = sum(c.n for c in narrow)
    deep = first.depth >= _DEEP
    gain, draws = _mean([deep_gain(c) for c in narrow])
    lo, hi = np.percentile(draws, [2.5, 97.5])
    shuffles = min(len(c.shuffles) for c in narrow)
    null = np.mean([(c.shuffles[:shuffles, deep].mean(1) - c.chance) / (1 - c.chance) for c in narrow], axis=0)
    p = (1 + float((null >= gain).sum())) / (1 + shuffles)
    verdict: Verdict = "supported" if lo > 0 and p <= 0.05 else "not supported" if hi < 0.05 else "inconclusive"
    says = {"supported": "still read", "not supported": "not read"}.get(verdict, "may or may not be read")
    text = (
        f"Items and relations buried under 100 words are {says} in the last quarter of {NAMES[first.component]}: "
        f"{gain:.2f} [{lo:.2f}, {hi:.2f}] of the way from chance to certainty."
    )
    out = [
        Finding(
            "deep content", "buried", first.component, first.method, text, gain, float(lo), float(hi), p,
            f"{shuffles} label shuffles", verdict, n,
        )
    ]  # fmt: skip
    if wide:
        out.append(_against(first, (gain, draws), _mean([deep_gain(c) for c in wide]), n + sum(c.n for c in wide)))
    return out


def _mean(parts: Sequence[tuple[float, Floats]]) -> tuple[float, Floats]:
    return float(np.mean([value for value, _ in parts])), np.mean([draws for _, draws in parts], axis=0)


def _against(first: Curve, narrow: tuple[float, Floats], wide: tuple[float, Floats], n: int) -> Finding:
    gap = narrow[0] - wide[0]
    draws = narrow[1] - wide[1]
    lo, hi = np.percentile(draws, [2.5, 97.5])
    p = two_sided(draws)
    verdict: Verdict = "supported" if lo > 0 else "not supported" if hi < 0 else "inconclusive"
    says = {"supported": "better than", "not supported": "worse than"}.get(verdict, "neither better nor worse than")
    text = (
        f"In the last quarter of {NAMES[first.component]} narrow buried content is read {says} abstractions at the "
        f"same place (buried analogies, documents): {gap:+.2f} [{lo:+.2f}, {hi:+.2f}]."
    )
    return Finding(
        "deep compression", "buried", first.component, first.method, text, gap, float(lo), float(hi), p,
        "narrow content and abstractions are read equally well", verdict, n,
    )  # fmt: skip
