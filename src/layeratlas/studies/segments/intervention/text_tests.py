"""Whether edited texts differ from unperturbed ones: paired over prompts, corrected for many tests."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.core.errors import DataError
from layeratlas.stats.intervals import draws_interval
from layeratlas.stats.tests import holm
from layeratlas.studies.segments.intervention.text_measures import MEASURES, measured

_NAN = float("nan")
BOOTSTRAP = 1000
# The fewest prompts with which a signed-rank test can reach p = 0.05.
FEWEST_PROMPTS = 6


@dataclass(frozen=True, kw_only=True)
class TextComparison:
    """One measure of edited texts against clean ones, paired over prompts.

    `clean` and `edited` are means over the n pairs in which both have a value. `effect` is the rank-biserial
    correlation of the differences, from -1 (all fall) to 1 (all rise), with a 95 % bootstrap interval over prompts.
    `p` is that of the Wilcoxon signed-rank test, Holm-corrected over all comparisons of one call.
    """

    edit: str
    measure: str
    n: int
    clean: float = _NAN
    edited: float = _NAN
    effect: float = _NAN
    lo: float = _NAN
    hi: float = _NAN
    p: float = 1.0


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """One measure of clean and edited texts, each (n,), without missing values."""

    edit: str
    measure: str
    clean: Floats
    edited: Floats

    @property
    def gaps(self) -> Floats:
        return self.edited - self.clean


def compare_texts(
    clean: Sequence[str], edited: Mapping[str, Sequence[str]], bootstrap: int = BOOTSTRAP, seed: int = 0
) -> list[TextComparison]:
    """Compare every edit's texts with the clean ones by every measure; all texts must be in the same order of prompts.

    Raises DataError if the numbers of texts differ, or for fewer than six, with which p cannot reach 0.05.
    """
    if len(clean) < FEWEST_PROMPTS or any(len(texts) != len(clean) for texts in edited.values()):
        counts = ", ".join(str(len(texts)) for texts in edited.values())
        raise DataError(f"{len(clean)} clean texts and {counts} edited ones", "as many of each, six or more")
    pairs = [_pairs(clean, texts, edit, measure) for edit, texts in edited.items() for measure in MEASURES]
    ps = holm([signed_rank(pair.gaps) for pair in pairs])
    return [_compared(pair, p, bootstrap, seed) for pair, p in zip(pairs, ps, strict=True)]


def _pairs(clean: Sequence[str], texts: Sequence[str], edit: str, measure: str) -> _Pairs:
    before, after = measured(clean, measure), measured(texts, measure)
    known = np.isfinite(before) & np.isfinite(after)
    return _Pairs(edit=edit, measure=measure, clean=before[known], edited=after[known])


def _compared(pairs: _Pairs, p: float, bootstrap: int, seed: int) -> TextComparison:
    n = len(pairs.clean)
    if n == 0:
        return TextComparison(edit=pairs.edit, measure=pairs.measure, n=0)
    draws = np.random.default_rng([seed, 29]).integers(0, n, (bootstrap, n))
    lo, hi = draws_interval(rank_biserial(pairs.gaps[draws]), n, least=-1.0, most=1.0)
    return TextComparison(
        edit=pairs.edit,
        measure=pairs.measure,
        n=n,
        clean=float(pairs.clean.mean()),
        edited=float(pairs.edited.mean()),
        effect=float(rank_biserial(pairs.gaps)),
        lo=float(lo),
        hi=float(hi),
        p=p,
    )


def signed_rank(gaps: Floats) -> float:
    """Return p of the Wilcoxon signed-rank test of differences (n,) without zeros; 1 if all are 0."""
    gaps = gaps[gaps != 0]
    if not len(gaps):
        return 1.0
    with warnings.catch_warnings():  # a small sample is expected, and n is reported
        warnings.simplefilter("ignore")
        return float(scipy.stats.wilcoxon(gaps).pvalue)


def rank_biserial(gaps: Floats) -> Floats:
    """Return the matched-pairs rank-biserial correlation (Kerby 2014): favourable minus unfavourable share of ranks.

    Takes differences (..., n) and returns (...). Pairs without a difference are left out; 0 if no pair differs.
    """
    # Pairs without a difference have the lowest ranks; their number is subtracted from the ranks of the others.
    ties = (gaps == 0).sum(-1, keepdims=True)
    ranks = np.where(gaps == 0, 0.0, scipy.stats.rankdata(np.abs(gaps), axis=-1) - ties)
    total = ranks.sum(-1)
    correlation: Floats = (np.sign(gaps) * ranks).sum(-1) / np.where(total > 0, total, 1.0)
    return correlation
