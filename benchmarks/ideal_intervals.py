"""How often the intervals of exits contain the truth, in the limit of many simulations, with an ideal interval beside.

    python benchmarks/ideal_intervals.py [trials] [--nearby]

Each line has the coverage of three intervals over the same answers: Wilson's with the true effective number of
questions, which no run knows (ideal); Wilson's with the number that the groups' spread suggests, widened by Student's t
(plugged in), and the same with smaller errors; and the reported one. Where each group is one question, the answers are
binomial and the coverage is exact; elsewhere it is counted over simulations, by default 40,000 per cell. The
bootstrap's standard error is computed instead of drawn. The cells are those of docs/validation.md, or with --nearby
others; then the range over cells is printed too. Both take some minutes of one core.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.stats.design_effects import Effective, wilson
from layeratlas.stats.intervals import Z95, few_groups, share_interval
from layeratlas.validation.scores import ACCURACIES, SHAPES

_NARROWER = (1.0, 0.95, 0.9, 0.85)
# Answers are simulated, and intervals computed, so many at a time.
_BATCH = 2000
# The range over cells is printed for fewer groups, and for others.
_FEWER = 5


class Cell(NamedTuple):
    """Groups of `size` questions with accuracy `truth`, and the share of their noise that a group has in common."""

    groups: int
    size: int
    truth: float
    shared: float

    @property
    def effective(self) -> float:
        """The number of independent questions with the same variance (Kish 1965)."""
        alike = self.groups * self.size
        if self.size == 1 or self.shared == 0:
            return alike
        fails, limit = 1 - self.truth, scipy.special.ndtri(1 - self.truth)
        noise = scipy.stats.multivariate_normal([0, 0], [[1, self.shared], [self.shared, 1]], allow_singular=True)
        both = fails if self.shared == 1 else noise.cdf([limit, limit])
        return float(alike / (1 + (self.size - 1) * (both - fails**2) / (fails * self.truth)))


# The share of the noise that the questions of a group have in common is that of `validation.scores`.
DOCUMENTED = tuple(Cell(groups, size, truth, 0.3) for groups, size in SHAPES for truth in ACCURACIES)
NEARBY = tuple(
    itertools.starmap(
        Cell, itertools.product((6, 10, 20), (4, 8, 16), (0.25, 0.6, 0.85, 0.9, 0.98), (0, 0.1, 0.3, 0.5, 1))
    )
)
FEW = tuple(
    itertools.starmap(
        Cell, itertools.product((2, 3, 4), (4, 16, 50), (0.25, 0.6, 0.85, 0.9, 0.98), (0, 0.1, 0.3, 0.5, 1))
    )
)


def main(trials: int, nearby: bool) -> None:
    """Print one line per cell."""
    narrower = "".join(f"{f'x {factor:g}':>8}" for factor in _NARROWER[1:])
    head = f"{'groups':>6}{'size':>6}{'accuracy':>10}{'shared':>8}{'effective':>11}{'ideal':>8}{'plugged in':>12}"
    print(f"{head}{narrower}{'reported':>10}{'width':>7}{'plugged':>9}")
    rates = []
    for cell in (*NEARBY, *FEW) if nearby else DOCUMENTED:
        ideal, *plugged, reported, width, before = measured(cell, trials)
        rates.append((cell.groups < _FEWER, cell.shared, ideal, plugged[0], reported))
        narrowed = "".join(f"{rate:>8.1%}" for rate in plugged[1:])
        numbers = f"{cell.effective:>11.1f}{ideal:>8.1%}{plugged[0]:>12.1%}{narrowed}{reported:>10.1%}"
        line = f"{cell.groups:>6}{cell.size:>6}{cell.truth:>10g}{cell.shared:>8g}{numbers}{width:>7.3f}{before:>9.3f}"
        print(line, flush=True)
    if nearby:
        table = np.array(rates)
        for few in (0, 1):
            print(f"fewer than {_FEWER} groups:" if few else f"{_FEWER} groups or more:")
            show_ranges(table[table[:, 0] == few, 1:])


def show_ranges(rates: Floats) -> None:
    """Print the lowest and highest rate of each interval, and how many are outside 93 to 97 %, by shared noise."""
    for shared in np.unique(rates[:, 0]):
        for name, column in zip(("ideal", "plugged in", "reported"), rates[rates[:, 0] == shared, 1:].T, strict=True):
            low, high = (column < 0.93).sum(), (column > 0.97).sum()
            span = f"{column.min():.1%} to {column.max():.1%}"
            print(f"shared {shared:g}, {name}: {span}; {low} below 93 %, {high} above 97 % of {len(column)}")


def measured(cell: Cell, trials: int) -> Floats:
    """Return the coverages of the ideal, the plugged-in and the reported interval, and two mean widths."""
    totals = np.zeros(len(_NARROWER) + 4)
    for rights, weights in binomial(cell) if cell.size == 1 else grouped(cell, trials):
        estimate = rights.mean(1)
        intervals = [wilson(estimate, cell.effective, Z95)]
        intervals += [plugged_in(rights, cell.size, factor) for factor in _NARROWER]
        intervals.append(reported(rights, cell.size))
        totals[:-2] += [((lo <= cell.truth) & (cell.truth <= hi)) @ weights for lo, hi in intervals]
        totals[-2:] += [(hi - lo) @ weights for lo, hi in (intervals[-1], intervals[1])]
    return totals


def binomial(cell: Cell) -> Iterator[tuple[Floats, Floats]]:
    """Yield every number of right answers of n questions, as answers (n + 1, n), and their probabilities (n + 1,)."""
    count, n = np.arange(cell.groups + 1), cell.groups
    yield (np.arange(n) < count[:, None]).astype(float), scipy.stats.binom.pmf(count, n, cell.truth)


def grouped(cell: Cell, trials: int) -> Iterator[tuple[Floats, Floats]]:
    """Yield simulated shares of right answers per group, (batch, groups), and their weights (batch,)."""
    rng = np.random.default_rng([cell.groups, cell.size, round(100 * cell.truth), round(100 * cell.shared)])
    for start in range(0, trials, _BATCH):
        batch = min(_BATCH, trials - start)
        common = np.sqrt(cell.shared) * rng.standard_normal((batch, cell.groups, 1))
        own = np.sqrt(1 - cell.shared) * rng.standard_normal((batch, cell.groups, cell.size))
        yield (scipy.special.ndtri(cell.truth) + common + own > 0).mean(2), np.full(batch, 1 / trials)


def plugged_in(rights: Floats, size: int, factor: float) -> tuple[Floats, Floats]:
    """Return Wilson's interval with the estimated effective number of questions, errors times `factor`."""
    groups, estimate = rights.shape[1], rights.mean(1)
    spread, error = estimate * (1 - estimate), rights.std(1) / np.sqrt(groups) * few_groups(groups) * factor
    known = (spread > 0) & (error > 0)
    variance = np.maximum(error**2 / np.where(known, spread, 1), 1 / (groups * size))
    lo, hi = wilson(estimate, 1 / variance, Z95)
    low, high = np.where(known, lo, estimate - 3 / groups), np.where(known, hi, estimate + 3 / groups)
    return np.maximum(low, 0), np.minimum(high, 1)


def reported(rights: Floats, size: int) -> tuple[Floats, Floats]:
    """Return the interval of a run for shares of right answers per group (trials, groups).

    Two draws stand for the bootstrap: one standard error below the estimate and above it.
    """
    groups = rights.shape[1]
    # Many trials have the same numbers of right answers in their groups, in another order.
    rights, back = np.unique(np.sort(rights, axis=1), axis=0, return_inverse=True)
    estimate, error = rights.mean(1), rights.std(1) / np.sqrt(groups) * few_groups(groups)
    draws = np.stack([estimate - error, estimate + error])
    lo, hi = share_interval(estimate, draws, groups, Effective(groups * size, groups))
    return lo[back], hi[back]


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    main(numbers[0] if numbers else 40_000, "--nearby" in sys.argv)
