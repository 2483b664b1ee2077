"""What limits the coverage of the intervals of exits: the cells of docs/validation.md with an ideal interval beside.

    python benchmarks/ideal_intervals.py [trials]

Each line has the coverage of three intervals over the same answers: the reported one, Wilson's with the true effective
number of questions (which no run knows), and the reported one made narrower. Where each group is one question, the
answers are binomial and the coverage is exact; elsewhere it is counted over simulations, by default 40,000 per cell.
The bootstrap's standard error is computed instead of drawn. A minute of one core.
"""

from __future__ import annotations

import sys

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import Z95, few_groups, share_interval
from layeratlas.validation.scores import ACCURACIES, SHAPES

# The share of the variance of their noise that the questions of a group have in common, as in `validation.scores`.
_SHARED = 0.3
_NARROWER = (1.0, 0.95, 0.9, 0.85)


def main(trials: int) -> None:
    """Print one line per cell."""
    narrower = "".join(f"{f'x {factor:g}':>8}" for factor in _NARROWER[1:])
    print(f"{'groups':>6}{'accuracy':>10}{'effective':>11}{'ideal':>8}{'reported':>10}{narrower}")
    for groups, size in SHAPES:
        for truth in ACCURACIES:
            rights, weights = binomial(groups, truth) if size == 1 else grouped(groups, size, truth, trials)
            effective = groups * size / design_effect(size, truth)
            ideal = coverage(wilson(rights.mean(1), effective), truth, weights)
            ours = [coverage(reported(rights, size, factor), truth, weights) for factor in _NARROWER]
            narrowed = "".join(f"{rate:>8.1%}" for rate in ours[1:])
            print(f"{groups:>6}{truth:>10g}{effective:>11.1f}{ideal:>8.1%}{ours[0]:>10.1%}{narrowed}", flush=True)


def binomial(n: int, truth: float) -> tuple[Floats, Floats]:
    """Return every number of right answers of n questions, as answers (n + 1, n), and their probabilities (n + 1,)."""
    count = np.arange(n + 1)
    return (np.arange(n) < count[:, None]).astype(float), scipy.stats.binom.pmf(count, n, truth)


def grouped(groups: int, size: int, truth: float, trials: int) -> tuple[Floats, Floats]:
    """Return simulated shares of right answers per group, (trials, groups), and equal weights (trials,)."""
    rng = np.random.default_rng([groups, round(100 * truth)])
    common = np.sqrt(_SHARED) * rng.standard_normal((trials, groups, 1))
    own = np.sqrt(1 - _SHARED) * rng.standard_normal((trials, groups, size))
    return (scipy.special.ndtri(truth) + common + own > 0).mean(2), np.full(trials, 1 / trials)


def design_effect(size: int, truth: float) -> float:
    """Return 1 + (size - 1) times the correlation of two answers of one group (Kish 1965)."""
    if size == 1:
        return 1.0
    fails, limit = 1 - truth, scipy.special.ndtri(1 - truth)
    both = scipy.stats.multivariate_normal([0, 0], [[1, _SHARED], [_SHARED, 1]]).cdf([limit, limit])
    return float(1 + (size - 1) * (both - fails**2) / (fails * truth))


def wilson(estimate: Floats, n: float) -> tuple[Floats, Floats]:
    """Return Wilson's 95 % interval of shares (...) of n independent items."""
    ratio = Z95**2 / n
    centre = (estimate + ratio / 2) / (1 + ratio)
    reach = np.sqrt(ratio * estimate * (1 - estimate) + ratio**2 / 4) / (1 + ratio)
    return centre - reach, centre + reach


def reported(rights: Floats, size: int, factor: float) -> tuple[Floats, Floats]:
    """Return the interval of a run for shares of right answers per group (trials, groups), errors times `factor`.

    Two draws stand for the bootstrap: one standard error below the estimate and above it.
    """
    groups = rights.shape[1]
    estimate = rights.mean(1)
    error = rights.std(1) / np.sqrt(groups) * few_groups(groups) * factor
    return share_interval(estimate, np.stack([estimate - error, estimate + error]), groups, groups * size)


def coverage(interval: tuple[Floats, Floats], truth: float, weights: Floats) -> float:
    """Return the weighted share of intervals, lo and hi each (trials,), that contain the truth."""
    lo, hi = interval
    return float(((lo <= truth) & (truth <= hi)) @ weights)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40_000)
