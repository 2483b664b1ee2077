"""Learning curves: what more texts would reach, and how many would settle whether a label can be decoded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import MARGIN, Z95, percentile_interval

# Exponents of the power law that are tried: 0.5 is that of a mean, and learning curves lie around it.
_RATES = np.geomspace(0.2, 2.0, 15)
# How many times as many texts are considered, and at how many numbers between.
_FARTHEST, _NUMBERS = 100.0, 200


class Reading(StrEnum):
    """What a learning curve says of a label."""

    DECODED = "decoded"
    TOO_FEW_TEXTS = "too few texts"
    NOT_DECODED = "not decoded with any number of texts"
    UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """Curves `asymptote - scale * n ** -rate`, each parameter (B,)."""

    asymptote: Floats
    scale: Floats
    rate: Floats

    def at(self, n: Floats) -> Floats:
        """Return the values at training sizes n (S,), (B, S)."""
        values: Floats = self.asymptote[:, None] - self.scale[:, None] * n ** -self.rate[:, None]
        return values


def fit_power_law(sizes: Floats, values: Floats, most: float = 1.0) -> PowerLaw:
    """Fit a rising inverse power law to learning curves: values (B, S) at training sizes (S,), by least squares.

    The form is that of Figueroa et al. (2012) and Hestness et al. (2017). No curve falls with more texts and
    none ends above `most`. For each exponent the fit is linear; the exponent with the smallest error is kept.
    """
    best = np.full(len(values), np.inf)
    asymptote, scale, rate = (np.zeros(len(values)) for _ in range(3))
    for exponent in _RATES:
        a, b = _linear(sizes**-exponent, values, most)
        error = ((a[:, None] - b[:, None] * sizes**-exponent - values) ** 2).sum(1)
        better = error < best
        best = np.where(better, error, best)
        asymptote, scale = np.where(better, a, asymptote), np.where(better, b, scale)
        rate = np.where(better, exponent, rate)
    return PowerLaw(asymptote=asymptote, scale=scale, rate=rate)


def _linear(x: Floats, values: Floats, most: float) -> tuple[Floats, Floats]:
    """Return a and b (B,) of values = a - b x with b >= 0 and a <= most."""
    centred = x - x.mean()
    slope = np.minimum(values @ centred / (centred @ centred), 0.0)
    a = values.mean(1) - slope * x.mean()
    pinned = np.maximum(((most - values) @ x) / (x @ x), 0.0)
    over = a > most
    return np.where(over, most, a), np.where(over, pinned, -slope)


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a learning curve leads to: the asymptote with its 95 % interval, and how many texts would settle it.

    `needed` training texts put the lower end of an interval above chance (infinite where no number within 100 times the
    present one does), with its 95 % interval over the bootstrap.
    """

    asymptote: float
    lo: float
    hi: float
    needed: float
    needed_lo: float
    needed_hi: float
    reading: Reading


def forecast(sizes: Floats, values: Floats, draws: Floats, chance: float, most: float = 1.0) -> Forecast:
    """Return the forecast of a learning curve: values (S,) and bootstrap draws (B, S) at training sizes (S,).

    The standard error of an estimate is taken to shrink with the square root of the number of texts.
    """
    law = fit_power_law(sizes, np.concatenate([values[None], draws]), most)
    lo, hi = percentile_interval(law.asymptote[1:])
    error = float(draws[:, -1].std())
    grid = sizes[-1] * np.geomspace(sizes[0] / sizes[-1], _FARTHEST, _NUMBERS)
    settled = law.at(grid) - Z95 * error * np.sqrt(sizes[-1] / grid) > chance
    numbers = np.append(grid, np.inf)[np.where(settled.any(1), settled.argmax(1), len(grid))]
    low, high = np.quantile(numbers[1:], [0.025, 0.975], method="nearest")
    last_lo, _ = percentile_interval(draws[:, -1])
    return Forecast(
        asymptote=float(law.asymptote[0]),
        lo=float(lo),
        hi=float(hi),
        needed=float(numbers[0]),
        needed_lo=float(low),
        needed_hi=float(high),
        reading=_reading(float(last_lo), float(lo), float(hi), chance),
    )


def _reading(last_lo: float, lo: float, hi: float, chance: float) -> Reading:
    """Return what the lower end at the present number of texts and the asymptote's interval say."""
    if last_lo > chance:
        return Reading.DECODED
    if lo > chance:
        return Reading.TOO_FEW_TEXTS
    return Reading.NOT_DECODED if hi < chance + MARGIN else Reading.UNDECIDED
