"""Measures of generated text: variety of words, sentences, and similarity of neighbouring sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from layeratlas.core.arrays import Floats

_NAN = float("nan")


def words(text: str) -> list[str]:
    """Return a text's words in lower case."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def sentences(text: str) -> list[str]:
    """Return a text's sentences with at least one word; split after `.`, `!`, `?` and at blank lines."""
    pieces = re.split(r"(?<=[.!?])[\"'”’)]*\s+|(?<=[。！？])|\n\s*\n", text)
    return [piece for piece in pieces if words(piece)]


def distinct(text: str, n: int) -> float:
    """Return the share of distinct word n-grams among all n-grams (Li et al., arXiv 1510.03055), 0 to 1.

    NaN for a text of fewer than n words.
    """
    tokens = words(text)
    grams = list(zip(*(tokens[i:] for i in range(n)), strict=False))
    return len(set(grams)) / len(grams) if grams else _NAN


def sentence_length(text: str) -> float:
    """Return the mean number of words per sentence; NaN for a text without sentences."""
    lengths = [len(words(sentence)) for sentence in sentences(text)]
    return float(np.mean(lengths)) if lengths else _NAN


def adjacent_cosine(text: str) -> float:
    """Return the mean cosine between the bags of words of neighbouring sentences, 0 to 1.

    It measures shared words, not shared meaning. NaN for a text of fewer than two sentences.
    """
    bags = [Counter(words(sentence)) for sentence in sentences(text)]
    return float(np.mean([_cosine(a, b) for a, b in pairwise(bags)])) if len(bags) > 1 else _NAN


def _cosine(a: Counter[str], b: Counter[str]) -> float:
    dot = sum(count * b[word] for word, count in a.items())
    return dot / float(np.sqrt(sum(c * c for c in a.values()) * sum(c * c for c in b.values())))


DISTINCT_2, SENTENCE_LENGTH, ADJACENT_COSINE = "distinct-2", "words per sentence", "adjacent bag-of-words cosine"
MEASURES: Mapping[str, Callable[[str], float]] = {
    "distinct-1": lambda text: distinct(text, 1),
    DISTINCT_2: lambda text: distinct(text, 2),
    "sentences": lambda text: float(len(sentences(text))),
    SENTENCE_LENGTH: sentence_length,
    ADJACENT_COSINE: adjacent_cosine,
}


def measured(texts: Sequence[str], measure: str) -> Floats:
    """Return a measure of each text, (n,); NaN for texts without one."""
    return np.array([MEASURES[measure](text) for text in texts])
