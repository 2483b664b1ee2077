"""Surface features, which need no model (words, character n-grams or tokenizer pieces, lengths), and their probe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats, Ints
from layeratlas.probes._large import LargeSet
from layeratlas.probes._shards import probe_shards
from layeratlas.probes._sweep import Design, probe_layer
from layeratlas.stats.measures import measures_for

# The most numbers in a feature matrix (256 MB), and the most n-grams.
_MOST_NUMBERS = 2**25
_MOST_NGRAMS = 4000
_FEWEST_COLUMNS = 100
_NGRAM = (1, 3)
# Ridge predicts classes and numbers.
_BASELINE_PROBE = "ridge"
# Of texts that do not fit into memory: the most words or n-grams, and the texts whose features are computed at once.
MOST_SUMMED, _STEP = 2000, 4096


def surface_features(
    texts: Sequence[str], tokens: Sequence[int], pieces: Sequence[Sequence[str]] | None = None
) -> Iterator[Floats]:
    """Yield feature matrices of the texts, each (n, features); if there are too many features, the most frequent ones.

    The matrices are: counts of lower-cased words; counts of the tokenizer's pieces if given (one list per text), else
    of character n-grams of length 1 to 3, which also work for scripts without spaces; and the numbers of characters,
    words and tokens (`tokens`, one count per text).
    """
    most = max(_FEWEST_COLUMNS, _MOST_NUMBERS // max(len(texts), 1))
    yield _counts(_word_counter(most), texts)
    if pieces is None:
        yield _counts(_ngram_counter(min(most, _MOST_NGRAMS)), texts)
    else:
        yield _counts(_counter(most, analyzer=list), pieces)
    yield _lengths(texts, tokens)


def _words(text: str) -> list[str]:
    return text.lower().split()


def _word_counter(most: int) -> Any:
    return _counter(most, analyzer=_words)


def _ngram_counter(most: int) -> Any:
    return _counter(most, analyzer="char", ngram_range=_NGRAM)


def _counter(most: int, analyzer: str | Callable[[Any], list[Any]], **more: Any) -> Any:
    """Return what counts the `most` frequent features of the texts that it is fitted on."""
    from sklearn.feature_extraction.text import CountVectorizer

    return CountVectorizer(analyzer=analyzer, max_features=most, dtype=np.float64, **more)


def _counts(counter: Any, documents: Sequence[Any]) -> Floats:
    counts: Floats = counter.fit_transform(documents).toarray()
    return counts


def _lengths(texts: Sequence[str], tokens: Sequence[int]) -> Floats:
    return np.array([[len(t), len(t.split()), n] for t, n in zip(texts, tokens, strict=True)], float)


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
    bare = _without_controls(design)
    features = surface_features(design.data.texts, tokens)
    return _best(design, (probe_layer(x, bare, [_BASELINE_PROBE])[0].scores for x in features))


def large_surface_baseline(
    design: Design, texts: LargeSet, strings: Sequence[str], tokens: Sequence[int]
) -> SurfaceBaseline:
    """Return the baseline of a sample where the probe is trained on all n texts, like ridge on the vectors.

    `strings` and `tokens` are those of all n texts. Counted are the most frequent words and n-grams of the sample.
    """
    bare, most = _without_controls(design), MOST_SUMMED

    def lengths(rows: slice) -> Floats:
        return _lengths(strings[rows], tokens[rows])

    def counted(counter: Any) -> Callable[[slice], Floats]:
        counter.fit(design.data.texts)
        return lambda rows: counter.transform(strings[rows]).toarray()

    kinds = (counted(_word_counter(most)), counted(_ngram_counter(most)), lengths)
    return _best(
        design,
        (probe_shards(_steps(kind, len(strings)), texts, bare, [_BASELINE_PROBE])[0].scores for kind in kinds),
    )


def _steps(features: Callable[[slice], Floats], n: int) -> Iterator[tuple[Ints, FloatArray]]:
    for start in range(0, n, _STEP):
        rows = slice(start, min(start + _STEP, n))
        yield np.arange(rows.start, rows.stop), features(rows).astype(np.float32)


def _without_controls(design: Design) -> Design:
    return replace(design, shuffled=design.shuffled[:1], control_tasks=design.control_tasks[:0])


def _best(design: Design, of_kinds: Iterable[Floats]) -> SurfaceBaseline:
    """Return the best value per measure over kinds of features, from the scores (repeats, n, k) of each."""
    everyone = np.ones((1, len(design.y)))
    best: dict[str, float] = {}
    kept = np.zeros((design.repeats, len(design.y), 1))
    measures = measures_for(design.data.kind, design.classes)
    for scores in of_kinds:
        values = {name: float(measure(scores, design.y, everyone).mean()) for name, measure in measures.items()}
        main = next(iter(measures))
        if values[main] > best.get(main, -np.inf):
            kept = scores
        best = {name: max(value, best.get(name, -np.inf)) for name, value in values.items()}
    return SurfaceBaseline(values=best, scores=kept)
