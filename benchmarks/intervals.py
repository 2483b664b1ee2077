"""How often 95 % intervals contain the truth, and how wide they are: exits of known accuracy, probes at real widths.

    python benchmarks/intervals.py [trials]

By default 200 simulations of six exits and 400 of probes, about half an hour of one core. See docs/validation.md.
"""

from __future__ import annotations

import sys

import numpy as np

from layeratlas.validation import scores, widths


def main(trials: int) -> None:
    """Print one line per cell."""
    for groups, size in scores.SHAPES:
        for truth in scores.ACCURACIES:
            ends = np.array([scores.interval(groups, size, truth, seed) for seed in range(trials // 2)])
            show(f"exits, {groups} groups, accuracy {truth}", ends[:, 0].ravel(), ends[:, 1].ravel(), truth)
    for cell in widths.CELLS:
        ends = np.array([widths.interval(cell, seed) for seed in range(trials)])
        show(str(cell), ends[:, 0], ends[:, 1], widths.expected_accuracy(cell))


def show(name: str, lo: np.ndarray, hi: np.ndarray, truth: float) -> None:
    """Print how many intervals contain the truth, and their mean width."""
    held = (lo <= truth) & (truth <= hi)
    print(f"{name:<48}{held.sum():>7} of {len(held):<7}{held.mean():>7.1%}{(hi - lo).mean():>9.3f}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
