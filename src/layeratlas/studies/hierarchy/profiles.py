"""Profiles over layers: z-scores and their differences, and second peaks (a rise, a fall, a rise again)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.hierarchy.words import NAMES, what, word

# What counts as a second peak (thresholds are ours; the dip is reported beside them).
_EARLY, _PROMINENCE, _APART = 0.6, 0.5, 0.05
_HALVES = 50


def z_scores(values: Floats, component: str) -> Floats:
    """Return curves (..., P) as z-scores over layers, without point 0 of the residual stream.

    There the text read is its last token's embedding, often at chance, which would inflate the spread.
    """
    inner = values[..., 1:] if component == "resid" else values
    spread = inner.std(-1, keepdims=True)
    z: Floats = (inner - inner.mean(-1, keepdims=True)) / np.maximum(spread, 1e-12)
    return z


def smooth(values: Floats) -> Floats:
    """Return the running mean over three layers; the ends over two."""
    padded = np.concatenate([values[..., :1], values, values[..., -1:]], -1)
    counts = np.full(values.shape[-1], 3.0)
    total = padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]
    total[..., 0] -= padded[..., 0]
    total[..., -1] -= padded[..., -1]
    counts[[0, -1]] = 2
    out: Floats = total / counts
    return out


@dataclass(frozen=True)
class DoublePeak:
    """Two maxima and the lowest point between them, as layers of the curve."""

    first: int
    trough: int
    second: int


def candidate(values: Floats, component: str) -> DoublePeak | None:
    """Return the two neighbouring maxima with the deepest dip between them, or None where there are no two.

    On the smoothed z-scored curve, maxima lie in the first 60 % of depth, have a prominence of at least 0.5 and are
    at least 5 % of the layers apart.
    """
    z = smooth(z_scores(values, component))
    shift = len(values) - len(z)
    # A maximum may lie on the first point, which scipy does not take for one.
    padded = np.concatenate([[z.min() - 1], z, [z.min() - 1]])
    tops = scipy.signal.find_peaks(padded, prominence=_PROMINENCE, distance=max(1, int(_APART * len(z))))[0] - 1
    tops = tops[tops < _EARLY * len(z)]
    found = [DoublePeak(int(a), int(a + z[a : b + 1].argmin()), int(b)) for a, b in pairwise(tops)]
    if not found:
        return None
    best = max(found, key=lambda d: min(z[d.first], z[d.second]) - z[d.trough])
    return DoublePeak(best.first + shift, best.trough + shift, best.second + shift)


def second_peak_findings(curves: Sequence[Curve]) -> list[Finding]:
    """Return for each curve whether it rises, falls and rises again.

    The layers are chosen on one half of the groups and the dip is read on the other, both ways, so that a dip that is
    noise reads as zero on average. The dip is the smaller of the two falls, (first - trough) and (second - trough);
    its spread comes from the bootstrap. p is one-sided, Holm-corrected over the curves.
    """
    rows = [_dip(curve) for curve in curves]
    ps = holm([p for *_, p in rows])
    return [_finding(curve, *row[:-1], p) for curve, row, p in zip(curves, rows, ps, strict=True)]


def _dip(curve: Curve) -> tuple[DoublePeak | None, float, float, float]:
    """Return the candidate, the dip on the other half, its spread and the one-sided p."""
    found = candidate(curve.estimate, curve.component)
    if found is None:
        return None, 0.0, 0.0, 1.0
    dips = []
    for chosen_on, read_on in ((curve.half_a, curve.half_b), (curve.half_b, curve.half_a)):
        for chosen, read in zip(chosen_on[:_HALVES], read_on[:_HALVES], strict=True):
            at = candidate(chosen, curve.component)
            dips.append(0.0 if at is None else _size(read, at))
    draws = np.array([_size(draw, found) for draw in curve.draws])
    spread = max(float(draws.std()), 1e-12)
    dip = float(np.mean(dips))
    return found, dip, spread, float(scipy.stats.norm.sf(dip / spread))


def _size(values: Floats, at: DoublePeak) -> float:
    return float(min(values[at.first], values[at.second]) - values[at.trough])


def _finding(curve: Curve, at: DoublePeak | None, dip: float, spread: float, p: float) -> Finding:
    where = f"{what(curve.level)} in {NAMES[curve.component]}"
    null = "one peak: the dip chosen on one half of the groups is zero on the other"
    if at is None:
        text = f"No second peak of {where}: no two maxima that stand out in the first 60 % of depth."
        return Finding(
            "second peak", curve.level, curve.component, curve.method, text, 0.0, 0.0, 0.0, p, null,
            "not supported", curve.n,
        )  # fmt: skip
    lo, hi = dip - 1.96 * spread, dip + 1.96 * spread
    verdict: Verdict = "supported" if lo > 0 and p <= 0.05 else "inconclusive"
    says = "rises, falls and rises again" if verdict == "supported" else "may or may not rise a second time"
    text = (
        f"The {word(curve.metric)} of {where} {says}: layers {at.first}, {at.trough} and {at.second}, "
        f"a dip of {dip:.2f} [{lo:.2f}, {hi:.2f}]."
    )
    return Finding(
        "second peak", curve.level, curve.component, curve.method, text, dip, lo, hi, p, null, verdict, curve.n
    )
