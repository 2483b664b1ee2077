"""How often 95 % intervals contain the truth, and how wide they are: exits of known accuracy, probes at real widths.

    python benchmarks/intervals.py [trials] [probes]

By default 400 simulations of each cell of probes and half as many of six exits, about half an hour of one core; with
`probes` those alone, where 2,000 of each take about a quarter of an hour. For probes the last two numbers are the
standard error of the rate and the width of an ideal interval, 3.92 true standard errors. See docs/validation.md.
"""

from __future__ import annotations

import sys

import numpy as np

from layeratlas.stats.intervals import Z95
from layeratlas.validation import scores, widths


def main(trials: int, exits: bool) -> None:
    """Print one line per cell."""
    for groups, size in scores.SHAPES if exits else ():
        for truth in scores.ACCURACIES:
            ends = np.array([scores.interval(groups, size, truth, seed) for seed in range(trials // 2)])
            print(line(f"exits, {groups} groups, accuracy {truth}", ends[:, 0].ravel(), ends[:, 1].ravel(), truth))
    for cell in widths.CELLS:
        print(of_probes(cell, trials), flush=True)


def of_probes(cell: widths.Cell, trials: int) -> str:
    """Return the line of a cell of probes."""
    found = [widths.intervals(cell, seeds) for seeds in widths.batches(cell, trials)]
    lo, hi, estimate = np.concatenate(found).T
    truth = widths.expected_accuracy(cell)
    held = ((lo <= truth) & (truth <= hi)).mean()
    error = np.sqrt(held * (1 - held) / len(lo))
    return f"{line(str(cell), lo, hi, truth)}{error:>8.1%}{2 * Z95 * estimate.std():>9.3f}"


def line(name: str, lo: np.ndarray, hi: np.ndarray, truth: float) -> str:
    """Return how many intervals contain the truth, and their mean width."""
    held = (lo <= truth) & (truth <= hi)
    return f"{name:<52}{held.sum():>7} of {len(held):<7}{held.mean():>7.1%}{(hi - lo).mean():>9.3f}"


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    main(numbers[0] if numbers else 400, "probes" not in sys.argv)
