"""Which block to skip: the one whose removal changes predictions least."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layeratlas.runs.recommendation import ALL, Purpose, Recommendation
from layeratlas.stats.best_layers import CONFIDENCE, best_layers
from layeratlas.stats.chosen import value_of_choice
from layeratlas.stats.resampling import Sample
from layeratlas.studies.segments.names import SKIP
from layeratlas.studies.segments.perturbation.brittleness import Brittleness
from layeratlas.studies.segments.perturbation.estimate import Estimate
from layeratlas.studies.segments.perturbation.tables import KL

RULES: Mapping[Purpose, str] = {
    Purpose.PRUNE: "The block without which the next-token predictions on the run's passages change least (KL in nats, "
    "compared by its logarithm). The blocks that are as good hold all that are equally the least with "
    f"{CONFIDENCE:.0%} probability (model confidence set). It holds for one block: what leaving out several does is "
    "not the sum, and is not measured by this run.",
}
# Divergences below this are rounding errors.
_LEAST = 1e-9


def recommendations(brittleness: Brittleness) -> list[Recommendation]:
    """Return the recommended block to skip."""
    by_skip = brittleness.effects.by_skip()
    return [pruning(brittleness.mean(by_skip), brittleness.sample(by_skip))]


def pruning(skipped: Estimate, sample: Sample) -> Recommendation:
    """Return the block to skip, from the mean divergence with each block skipped (L,), and its draws and halves."""
    cost, draws = (np.log(np.maximum(values, _LEAST)) for values in (skipped.value, skipped.plausible))
    best = best_layers(-cost, -draws)
    block = int(cost.argmin())
    value, lo, hi = _value(skipped, sample, block)
    return Recommendation(
        purpose=Purpose.PRUNE,
        level=ALL,
        task=ALL,
        component="resid",
        method=SKIP,
        metric=KL,
        unit="block",
        last=len(cost) - 1,
        layer=block,
        as_good=tuple(int(layer) for layer in np.flatnonzero(best.inside)),
        confidence=CONFIDENCE,
        value=value,
        lo=lo,
        hi=hi,
        chance=float("nan"),
        reason="Without it the predictions change least.",
    )


def _value(skipped: Estimate, sample: Sample, block: int) -> tuple[float, float, float]:
    """Return the divergence without the block so chosen, read on other passages (`stats.chosen`), and its interval.

    A divergence is positive and skewed: the interval of the block is moved to the value by their ratio.
    """
    value, _ = value_of_choice(sample, block, np.negative)
    own, lo, hi = (float(numbers[block]) for numbers in (skipped.value, *skipped.interval))
    ratio = value / max(own, _LEAST)
    return value, lo * ratio, hi * ratio
