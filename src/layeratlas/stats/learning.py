"""Learning curves: the score that more texts would reach, and how many texts would show that a label is decodable."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import MARGIN, Z95, percentile_interval

# Candidate exponents of the power law: a mean has 0.5, and learning curves are around it.
_RATES = np.geomspace(0.2, 2.0, 15)
# The largest number of texts considered, as a multiple of the present one, and the number of grid points.
_FARTHEST, _NUMBERS = 100.0, 200


class Reading(StrEnum):
    """The conclusion from a learning curve about a label."""

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

    The form is that of Figueroa et al. (2012) and Hestness et al. (2017). Curves never fall with more texts and never
    exceed `most`. For each exponent the fit is linear; the exponent with the smallest error is kept.
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
    """The forecast of a learning curve: the asymptote with its 95 % interval, and the number of texts needed.

    With `needed` training texts, the lower end of the interval is above chance (infinite if more than 100 times the
    present number are needed). Its 95 % interval is over the bootstrap.
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

    The standard error of an estimate is assumed to shrink with the square root of the number of texts.
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
    """Return the conclusion from the lower end at the present number of texts and the asymptote's interval."""
    if last_lo > chance:
        return Reading.DECODED
    if lo > chance:
        return Reading.TOO_FEW_TEXTS
    return Reading.NOT_DECODED if hi < chance + MARGIN else Reading.UNDECIDED
