"""Draw the texts of a large data set that are kept in memory and tested: whole groups, or parts of huge ones.

Every text has the same chance to be drawn, so that means over the sample are those of the data set. Groups of up to a
tenth of the sample are drawn whole, with equal chances. Of a larger group as many texts are drawn as fit, and the group
is drawn the more often, in proportion to its size (Cochran, Sampling Techniques, 1977, chapters 9A and 11).
"""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.core.errors import DataError

# A sample is of at least so many groups, where there are twice as many: the others train.
_GROUPS = 10
# The largest share of all texts that may be left out: those of drawn groups that are not drawn themselves.
_LEFT_OUT = 0.75


def sample_groups(groups: Ints, size: int, seed: int, units: Ints | None = None) -> Ints:
    """Return the rows of about `size` texts in random groups, ascending; all rows if there are no more texts.

    groups, units: codes (n,), at least 0; units are not cut, and by default every text is one. The sample exceeds
    `size` by at most its largest part of a group: a tenth of it, or more where there are fewer than 20 groups or where
    parts of ten would leave out more than three quarters of the texts. Raises DataError if there are fewer than four
    groups, if one holds more than half of the texts, if `size` is below 4, or if no group is left to train.
    """
    counts = np.bincount(groups)
    if size >= len(groups):
        return np.arange(len(groups))
    present = np.flatnonzero(counts)
    at_least = min(_GROUPS, len(present) // 2, size // 2)
    if at_least < 2 or 2 * counts.max() > len(groups):
        raise DataError(
            f"a sample of {size:,} of {len(groups):,} texts in {len(present):,} groups, the largest of "
            f"{counts.max():,} texts",
            "four groups or more, none with more than half of the texts, of which some are tested and the others train",
            "use smaller groups, or a sample of all texts",
        )
    rng = np.random.default_rng([seed, 11])
    # How many texts of each group the sample should have on average, and how many it has of a group that is drawn.
    wanted: Floats = size / len(groups) * counts[present].astype(np.float64)
    parts = _sizes_of_parts(counts[present], wanted, at_least)
    drawn = _drawn(wanted / parts, parts, rng)
    room = np.zeros(len(counts))
    room[present[drawn]] = np.floor(parts[drawn] + rng.random(len(drawn)))
    sample = _parts(groups, units, room, rng)
    if len(np.unique(groups[sample])) == len(present):
        raise DataError(
            f"a sample of {size:,} of {len(groups):,} texts that leaves none of {len(present):,} groups to train",
            "a group or more without tested texts",
            "use a smaller sample, or one of all texts",
        )
    return sample


def _sizes_of_parts(counts: Ints, wanted: Floats, at_least: int) -> Floats:
    """Return how many texts of each group are in the sample if it is drawn.

    The parts are as small as `at_least` drawn groups need, or larger, so that fewer groups are drawn and less is left
    out.
    """
    for groups in range(at_least, 1, -1):
        parts = np.maximum(np.minimum(counts, _most(wanted, groups)), wanted)
        if (wanted / parts * (counts - parts)).sum() <= _LEFT_OUT * counts.sum():
            break
    return parts


def _most(wanted: Floats, groups: int) -> float:
    """Return the most texts of a group, unless more are wanted of it, with which at least so many groups are drawn."""
    most = float(wanted.sum()) / groups
    while True:
        certain = wanted > most
        others = float(wanted[~certain].sum()) / max(1, groups - int(certain.sum()))
        if others >= most:
            return max(1.0, float(most // 1))
        most = others


def _drawn(chances: Floats, parts: Floats, rng: np.random.Generator) -> Ints:
    """Return the groups drawn: a systematic draw in the order of the parts, so that their sum varies little."""
    order = rng.permutation(len(parts))
    order = order[np.argsort(parts[order], kind="stable")]
    passed = np.floor(np.cumsum(chances[order]) + rng.random())
    drawn: Ints = order[np.diff(passed, prepend=0) > 0]
    return drawn


def _parts(groups: Ints, units: Ints | None, room: Floats, rng: np.random.Generator) -> Ints:
    """Return random rows of the groups (n,), as many of each as it has room, without cutting units."""
    rows = np.flatnonzero(room[groups] > 0)
    own = rows if units is None else units[rows]
    codes = np.unique(np.stack([groups[rows], own]), axis=1, return_inverse=True)[1].reshape(-1)
    keys = rng.random(int(codes.max(initial=-1)) + 1)[codes]
    order = np.lexsort((codes, keys, groups[rows]))
    rows, codes = rows[order], codes[order]
    begins = np.flatnonzero(np.diff(codes, prepend=-1))
    sizes = np.diff(begins, append=len(codes))
    starts = np.flatnonzero(np.diff(groups[rows], prepend=-1))
    first = begins - starts[np.searchsorted(starts, begins, side="right") - 1]
    # The unit at the end of a part is kept as often as it lies within, so that parts have their size on average.
    kept = first + rng.random(len(sizes)) * sizes < room[groups[rows[begins]]]
    return np.sort(rows[np.repeat(kept, sizes)])
