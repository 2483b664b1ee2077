"""What generated text is like, and whether a perturbation changes it: paired over prompts, corrected for many tests."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.core.errors import DataError
from layeratlas.runs.finding import Finding
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Verdict

_NAN = float("nan")


def words(text: str) -> list[str]:
    """Return a text's words in lower case."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def sentences(text: str) -> list[str]:
    """Return a text's sentences that hold a word: cut after `.`, `!`, `?` and at blank lines."""
    parts = re.split(r"(?<=[.!?])[\"'”’)]*\s+|(?<=[。！？])|\n\s*\n", text)
    return [part for part in parts if words(part)]


def distinct(text: str, n: int) -> float:
    """Return the share of different n-grams of words among all (Li et al., arXiv 1510.03055), 0 to 1.

    Not a number where there are fewer than n words.
    """
    own = words(text)
    grams = list(zip(*(own[i:] for i in range(n)), strict=False))
    return len(set(grams)) / len(grams) if grams else _NAN


def sentence_length(text: str) -> float:
    """Return the mean number of words of a sentence; not a number where there is none."""
    found = sentences(text)
    return float(np.mean([len(words(one)) for one in found])) if found else _NAN


def adjacent_cosine(text: str) -> float:
    """Return the mean cosine between the bags of words of neighbouring sentences, 0 to 1.

    It tells shared words, not shared meaning. Not a number where there are fewer than two sentences.
    """
    bags = [Counter(words(one)) for one in sentences(text)]
    return float(np.mean([_cosine(a, b) for a, b in pairwise(bags)])) if len(bags) > 1 else _NAN


def _cosine(a: Counter[str], b: Counter[str]) -> float:
    dot = sum(count * b[word] for word, count in a.items())
    return dot / float(np.sqrt(sum(c * c for c in a.values()) * sum(c * c for c in b.values())))


MEASURES: Mapping[str, Callable[[str], float]] = {
    "distinct-1": lambda text: distinct(text, 1),
    "distinct-2": lambda text: distinct(text, 2),
    "sentences": lambda text: float(len(sentences(text))),
    "words a sentence": sentence_length,
    "adjacent bag-of-words cosine": adjacent_cosine,
}


@dataclass(frozen=True)
class Comparison:
    """One measure of edited texts against clean ones, paired over prompts.

    `clean`, `edited` are means over the n pairs in which both have a value; `effect` the rank-biserial correlation of
    the differences, -1 (all fall) to 1 (all rise), with a 95 % bootstrap interval over prompts; `p` of the Wilcoxon
    signed-rank test, corrected (Holm) over everything compared in one call.
    """

    edit: str
    measure: str
    clean: float
    edited: float
    effect: float
    lo: float
    hi: float
    p: float
    n: int


def compare_texts(
    clean: Sequence[str], edited: Mapping[str, Sequence[str]], bootstrap: int = 1000, seed: int = 0
) -> list[Comparison]:
    """Return every measure of every edit's texts against the clean ones, which stand in the same order of prompts.

    Raises DataError where they are not as many, or fewer than six, of which no test could tell anything.
    """
    if len(clean) < 6 or any(len(texts) != len(clean) for texts in edited.values()):
        counts = ", ".join(str(len(texts)) for texts in edited.values())
        raise DataError(f"{len(clean)} clean texts and {counts} edited ones", "as many of each, six or more")
    rows: list[tuple[str, str, Floats, Floats]] = []
    for name, texts in edited.items():
        for measure, function in MEASURES.items():
            pairs = np.array([[function(a), function(b)] for a, b in zip(clean, texts, strict=True)])
            pairs = pairs[np.isfinite(pairs).all(1)]
            rows.append((name, measure, pairs[:, 0], pairs[:, 1]))
    ps = holm([signed_rank(after - before) for *_, before, after in rows])
    return [_compared(row, p, bootstrap, seed) for row, p in zip(rows, ps, strict=True)]


def _compared(row: tuple[str, str, Floats, Floats], p: float, bootstrap: int, seed: int) -> Comparison:
    edit, measure, before, after = row
    n = len(before)
    if n == 0:
        return Comparison(edit, measure, _NAN, _NAN, _NAN, _NAN, _NAN, 1.0, 0)
    gaps = after - before
    draws = np.random.default_rng([seed, 29]).integers(0, n, (bootstrap, n))
    lo, hi = np.percentile(rank_biserial(gaps[draws]), [2.5, 97.5])
    means = float(before.mean()), float(after.mean())
    return Comparison(edit, measure, *means, float(rank_biserial(gaps)), float(lo), float(hi), p, n)


def signed_rank(gaps: Floats) -> float:
    """Return p of the Wilcoxon signed-rank test of differences (n,), those of 0 left out; 1 where all are 0."""
    gaps = gaps[gaps != 0]
    if not len(gaps):
        return 1.0
    with warnings.catch_warnings():  # that the sample is small is why texts are counted
        warnings.simplefilter("ignore")
        return float(scipy.stats.wilcoxon(gaps).pvalue)


def rank_biserial(gaps: Floats) -> Floats:
    """Return the matched-pairs rank-biserial correlation (Kerby 2014): favourable less unfavourable share of ranks.

    From differences (..., n), one number for each row of them. Pairs without a difference are left out; 0 where none
    has one.
    """
    # Pairs without a difference have the lowest ranks, so that the others' are theirs less so many.
    none = (gaps == 0).sum(-1, keepdims=True)
    ranks = np.where(gaps == 0, 0.0, scipy.stats.rankdata(np.abs(gaps), axis=-1) - none)
    total = ranks.sum(-1)
    found: Floats = (np.sign(gaps) * ranks).sum(-1) / np.where(total > 0, total, 1.0)
    return found


def generated_findings(comparisons: Sequence[Comparison]) -> list[Finding]:
    """Return a finding a comparison: does the perturbation change this property of generated text?"""
    out = []
    for c in comparisons:
        verdict: Verdict = "supported" if c.p <= 0.05 else "inconclusive"
        # The smallest p that n pairs can give, after the correction.
        reach = len(comparisons) * 2.0 ** (1 - c.n) <= 0.05
        none = "has no clear effect on" if reach else f"cannot be judged on so few prompts ({c.n}) by"
        how = ("raises" if c.effect > 0 else "lowers") if c.p <= 0.05 else none
        text = (
            f"{c.edit[:1].upper()}{c.edit[1:]} {how} {c.measure} of generated text: {c.clean:.2f} without, "
            f"{c.edited:.2f} with it, rank-biserial {c.effect:+.2f} [{c.lo:+.2f}, {c.hi:+.2f}] over {c.n} prompts."
        )
        null = f"no change, Wilcoxon signed-rank, Holm over {len(comparisons)}"
        numbers = (c.effect, c.lo, c.hi, c.p, null, verdict, c.n)
        out.append(Finding("generated text", c.edit, "resid", c.measure, text, *numbers))
    return out
