"""The gains of a curve over its floor, and the height to which it rises."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import ROUNDING
from layeratlas.stats.peaks import cross_read


def gains_of(curve: Curve) -> tuple[Floats, Floats]:
    """Return the gains of a curve (P,) and of its draws (B, P) over the floor: its signal, where that is known.

    The floor is the larger of chance and the mean of the shuffled labels over all layers; that of a signal is 0.
    """
    curve = curve.signal or curve
    floor = _floor(curve)
    return curve.estimate - floor, curve.draws - floor


def _floor(curve: Curve) -> float:
    return max(curve.chance, float(curve.shuffles.mean())) if curve.shuffles.size else curve.chance


def risen(curve: Curve) -> tuple[Floats, Floats]:
    """Return the gains of a curve (P,) and of its draws (B, P), each at most the height of its best layer.

    That height is read on other groups than those that choose the layer. In draws it moves with the layer that is best
    in the whole sample and with those that halves choose, in equal parts: the former alone varies too much, the latter
    too little.
    """
    gains, drawn = gains_of(curve)
    curve = curve.signal or curve
    if not curve.half_a.size:
        return gains, drawn
    chosen = np.concatenate([curve.half_a.argmax(1), curve.half_b.argmax(1)])
    weights = np.bincount(chosen, minlength=len(gains)) / len(chosen)
    weights[gains.argmax()] += 1
    top = min(cross_read(curve.half_a, curve.half_b) - _floor(curve), gains.max())
    tops = np.maximum(top + (drawn - gains) @ weights / 2, ROUNDING)
    return np.minimum(gains, max(top, ROUNDING)), np.minimum(drawn, tops[:, None])
