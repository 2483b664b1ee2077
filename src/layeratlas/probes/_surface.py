"""Surface features, which need no model (words, character n-grams or tokenizer pieces, lengths), and their probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.probes._sweep import Design, probe_layer
from layeratlas.stats.measures import measures_for

# The most numbers in a feature matrix (256 MB), and the most n-grams.
_MOST_NUMBERS = 2**25
_MOST_NGRAMS = 4000
_FEWEST_COLUMNS = 100
_NGRAM = (1, 3)
# Ridge predicts classes and numbers.
_BASELINE_PROBE = "ridge"


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


@dataclass(frozen=True, kw_only=True)
class SurfaceBaseline:
    """The best surface features' value per measure, and their out-of-fold scores (repeats, n, k).

    The best features are those of the first measure, which findings use.
    """

    values: dict[str, float]
    scores: Floats


def surface_baseline(design: Design, tokens: Sequence[int]) -> SurfaceBaseline:
    """Return how well a probe decodes the labels from surface features, without the model.

    The features are counts of words, counts of character n-grams, or the numbers of characters, words and tokens
    (`tokens`, one count per text).
    """
    texts = design.data.texts
    everyone = np.ones((1, len(texts)))
    design = replace(design, shuffled=design.shuffled[:1], control_tasks=design.control_tasks[:0])  # no control needed
    best: dict[str, float] = {}
    kept = np.zeros((design.repeats, len(texts), 1))
    measures = measures_for(design.data.kind, design.classes)
    for x in surface_features(texts, tokens):
        scores = probe_layer(x, design, [_BASELINE_PROBE])[0].scores
        values = {name: float(measure(scores, design.y, everyone).mean()) for name, measure in measures.items()}
        main = next(iter(measures))
        if values[main] > best.get(main, -np.inf):
            kept = scores
        best = {name: max(value, best.get(name, -np.inf)) for name, value in values.items()}
    return SurfaceBaseline(values=best, scores=kept)
