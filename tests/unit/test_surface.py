"""What can be read without the model: the same content gives the same baseline in every script."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import _surface as surface
from layeratlas.probes import make_design, surface_baseline

RNG = np.random.default_rng(0)
SPEC = ProbeSpec(repeats=1, shuffles=20)


def sentences(separator: str, characters: str, count: int = 60) -> Dataset:
    """Random characters, one of which tells the class."""
    items = []
    rng = np.random.default_rng(1)
    for i in range(count):
        text = [characters[k] for k in rng.integers(2, len(characters), 6)]
        text.insert(int(rng.integers(6)), characters[i % 2])
        items.append(Item(separator.join(text), ("bad", "good")[i % 2], f"{i}"))
    return Dataset("data", "data", tuple(items))


@pytest.mark.parametrize("separator", ["", " "])
@pytest.mark.parametrize("characters", ["坏好桥地人草路日纸船书", "ไมดกรทนสวลป", "悪良駅川山花水木空海魚"])
def test_a_word_that_tells_the_class_is_seen_with_and_without_spaces(separator, characters):
    data = sentences(separator, characters)
    assert surface_baseline(make_design(data, SPEC, 0), [1] * len(data.items)).values["accuracy"] > 0.95


def test_texts_without_information_stay_at_chance():
    texts = ["".join("桥地人草路日纸船书"[k] for k in RNG.integers(0, 9, 12)) for _ in range(200)]
    data = Dataset("data", "data", tuple(Item(t, ("bad", "good")[i % 2], str(i)) for i, t in enumerate(texts)))
    assert 0.35 < surface_baseline(make_design(data, SPEC, 0), [1] * 200).values["accuracy"] < 0.62


def test_words_are_counted_as_written_but_for_their_case():
    words, _, numbers = surface.surface_features(["A rose is a rose", "Is it"], [5, 2])
    assert words.tolist() == [[2, 1, 0, 2], [0, 1, 1, 0]]  # a, is, it, rose
    assert numbers.tolist() == [[16, 5, 5], [5, 2, 2]]


def test_pieces_take_the_place_of_characters_where_they_are_given():
    _, pieces, _ = surface.surface_features(["ab", "b"], [2, 1], pieces=[["a", "b"], ["b"]])
    assert pieces.tolist() == [[1, 1], [0, 1]]


def test_the_most_frequent_features_are_kept_where_there_are_too_many(monkeypatch):
    monkeypatch.setattr(surface, "_FEWEST_COLUMNS", 1)
    monkeypatch.setattr(surface, "_MOST_NUMBERS", 4)
    words, grams, _ = surface.surface_features(["x y y", "y z z z"], [3, 4])
    assert words.tolist() == [[2, 0], [1, 3]]
    assert grams.shape == (2, 2)


def test_the_baseline_of_many_texts_takes_memory_in_proportion_to_their_number(monkeypatch):
    monkeypatch.setattr(surface, "_MOST_NUMBERS", 2**18)
    data = sentences(" ", "abcdefghijklmnopqrstuvwxyz", 3000)
    design = make_design(data, SPEC, 0)
    tracemalloc.start()
    baseline = surface_baseline(design, [9] * 3000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert baseline.values["balanced_accuracy"] > 0.9
    # The products of the test with the training rows alone would take 600 x 2400 x 8 bytes = 11.5 MB.
    assert peak < 7 * 8 * 2**18
