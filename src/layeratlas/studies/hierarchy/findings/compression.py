"""Do deep layers hold early, narrow content, and does it decode better than abstractions at that place? (H2)"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import percentile_interval
from layeratlas.stats.tests import two_sided
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.hierarchy.names import BURIED_ABSTRACT, BURIED_NARROW, COMPONENT_NAMES, Kind

# The deep layers: the last quarter of depth.
_DEEP = 0.75
# The smallest gain over chance that matters, as a share of the way from chance to certainty.
_SMALLEST_GAIN = 0.05
# Levels that both findings are about.
_LEVEL = "buried"


@dataclass(frozen=True, kw_only=True)
class DeepGain:
    """The gain over chance of n texts in the deep layers, as a share of the way from chance to certainty.

    draws: (B,) over resampled groups; shuffles: (S,) under shuffled labels.
    """

    estimate: float
    draws: Floats
    shuffles: Floats
    n: int


def deep_gain(curve: Curve) -> DeepGain:
    """Return the mean gain of a curve over the last quarter of depth."""
    deep = curve.depth >= _DEEP
    return DeepGain(
        estimate=float(_share(curve.estimate[deep].mean(), curve)),
        draws=_share(curve.draws[:, deep].mean(1), curve),
        shuffles=_share(curve.shuffles[:, deep].mean(1), curve),
        n=curve.n,
    )


def _share(values: Floats, curve: Curve) -> Floats:
    return (values - curve.chance) / (1 - curve.chance)


def _mean_gain(gains: Sequence[DeepGain]) -> DeepGain:
    """Return the mean of several levels' gains; their texts differ, so their bootstraps are independent."""
    shuffles = min(len(gain.shuffles) for gain in gains)
    return DeepGain(
        estimate=float(np.mean([gain.estimate for gain in gains])),
        draws=np.mean([gain.draws for gain in gains], axis=0),
        shuffles=np.mean([gain.shuffles[:shuffles] for gain in gains], axis=0),
        n=sum(gain.n for gain in gains),
    )


def compression_findings(curves: Iterable[Curve]) -> list[Finding]:
    """Return two findings from one component's level curves, none where no buried level was run.

    Deep content: do buried items and relations decode in the last quarter of depth, against label shuffles? Deep
    compression: do they decode better there than buried analogies and documents, which are read at the same kind of
    position?
    """
    by_level = {curve.level: curve for curve in curves}
    narrow = [by_level[level] for level in BURIED_NARROW if level in by_level]
    abstract = [by_level[level] for level in BURIED_ABSTRACT if level in by_level]
    if not narrow:
        return []
    gain = _mean_gain([deep_gain(curve) for curve in narrow])
    findings = [_content_finding(narrow[0], gain)]
    if abstract:
        findings.append(_contrast_finding(narrow[0], gain, _mean_gain([deep_gain(curve) for curve in abstract])))
    return findings


def _content_finding(curve: Curve, gain: DeepGain) -> Finding:
    lo, hi = percentile_interval(gain.draws)
    p = (1 + float((gain.shuffles >= gain.estimate).sum())) / (1 + len(gain.shuffles))
    verdict = Effect(estimate=gain.estimate, lo=float(lo), hi=float(hi), p=p).verdict(margin=_SMALLEST_GAIN)
    verbs = {"supported": "decode", "not supported": "do not decode", "inconclusive": "do not detectably decode"}
    statement = (
        f"Items and relations buried under 100 words {verbs[verdict]} in the last quarter of "
        f"{COMPONENT_NAMES[curve.component]}: gain over chance {gain.estimate:.2f} [{lo:.2f}, {hi:.2f}] of what is "
        f"possible."
    )
    return Finding(
        finding=Kind.DEEP_CONTENT,
        level=_LEVEL,
        component=curve.component,
        method=curve.method,
        statement=statement,
        estimate=gain.estimate,
        lo=float(lo),
        hi=float(hi),
        p=p,
        null=f"{len(gain.shuffles)} label shuffles",
        verdict=verdict,
        n=gain.n,
    )


def _contrast_finding(curve: Curve, narrow: DeepGain, abstract: DeepGain) -> Finding:
    difference, draws = narrow.estimate - abstract.estimate, narrow.draws - abstract.draws
    lo, hi = percentile_interval(draws)
    # The interval alone decides; p is that of the same draws.
    verdict = Effect(estimate=difference, lo=float(lo), hi=float(hi)).verdict()
    verbs = {
        "supported": "decodes better than",
        "not supported": "decodes worse than",
        "inconclusive": "does not decode detectably better or worse than",
    }
    statement = (
        f"In the last quarter of {COMPONENT_NAMES[curve.component]} narrow buried content {verbs[verdict]} "
        f"abstractions at the same place (buried analogies, documents): {difference:+.2f} [{lo:+.2f}, {hi:+.2f}]."
    )
    return Finding(
        finding=Kind.DEEP_COMPRESSION,
        level=_LEVEL,
        component=curve.component,
        method=curve.method,
        statement=statement,
        estimate=difference,
        lo=float(lo),
        hi=float(hi),
        p=two_sided(draws),
        null="narrow content and abstractions decode equally well",
        verdict=verdict,
        n=narrow.n + abstract.n,
    )
