"""Surface features, which need no model: words, character n-grams or tokenizer pieces, and lengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from layeratlas.core.arrays import Floats

# The most numbers in a feature matrix (256 MB), and the most n-grams.
_MOST_NUMBERS = 2**25
_MOST_NGRAMS = 4000
_FEWEST_COLUMNS = 100
_NGRAM = (1, 3)


def surface_features(
    texts: Sequence[str], tokens: Sequence[int], pieces: Sequence[Sequence[str]] | None = None
) -> Iterator[Floats]:
    """Yield feature matrices of the texts, each (n, features); if there are too many features, the most frequent ones.

    The matrices are: counts of lower-cased words; counts of the tokenizer's pieces if given (one list per text), else
    of character n-grams of length 1 to 3, which also work for scripts without spaces; and the numbers of characters,
    words and tokens (`tokens`, one count per text).
    """
    most = max(_FEWEST_COLUMNS, _MOST_NUMBERS // max(len(texts), 1))
    yield _counts(texts, most, analyzer=_words)
    if pieces is None:
        yield _counts(texts, min(most, _MOST_NGRAMS), analyzer="char", ngram_range=_NGRAM)
    else:
        yield _counts(pieces, most, analyzer=list)
    yield np.array([[len(t), len(t.split()), n] for t, n in zip(texts, tokens, strict=True)], float)


def _words(text: str) -> list[str]:
    return text.lower().split()


def _counts(documents: Sequence[Any], most: int, analyzer: str | Callable[[Any], list[Any]], **more: Any) -> Floats:
    """Return the counts of the `most` frequent features in each document."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(analyzer=analyzer, max_features=most, dtype=np.float64, **more)
    counts: Floats = vectorizer.fit_transform(documents).toarray()
    return counts
