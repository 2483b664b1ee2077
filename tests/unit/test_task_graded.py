"""Graded labels: in range, spread over it, and not told by a surface, a category or a word met in training."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from layeratlas.core import registry
from layeratlas.data.lists import read_list

NAMES = ("size", "relatedness")


def build(size="full", task="graded"):
    return {d.name: d for d in registry.get("tasks", task).build(size)}


def phrases(text):
    first, second = text.split(" ", 1)[1].split(" and ")
    return first, second


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_nested_and_texts_stand_once(name):
    quick, standard, full = (build(size)[name] for size in ("quick", "standard", "full"))
    assert set(quick.texts) < set(standard.texts)
    assert standard == full == build("full")[name]
    assert len(set(full.texts)) == len(full.texts)
    assert len(quick.texts) == 120
    label = dict(zip(full.texts, full.y, strict=True))
    assert all(label[item.text] == item.label for item in quick.items)


def test_kinds_levels_and_labels_are_what_a_regression_needs():
    data = build()
    assert {n: (d.kind, d.level) for n, d in data.items()} == {
        "size": ("number", "graded item"),
        "relatedness": ("number", "graded relation"),
    }
    assert all(isinstance(item.label, float) for d in data.values() for item in d.items)
    assert -1 <= data["size"].y.min() < data["size"].y.max() <= 4
    assert 0 <= data["relatedness"].y.min() < data["relatedness"].y.max() <= 10


def test_size_spreads_at_least_25_nouns_over_every_decade_and_24_in_quick():
    for size, least in (("quick", 24), ("full", 70)):
        decades = Counter(min(math.floor(y), 3) for y in build(size)["size"].y)
        assert decades.keys() == {-1, 0, 1, 2, 3}
        assert min(decades.values()) >= least
    assert len(build()["size"].items) >= 300


def test_size_is_its_centimetres_and_the_group_its_noun():
    truth = {f"{row['article']} {row['noun']}": row for row in read_list("sizes")}
    assert len(truth) == len(read_list("sizes"))
    for item in build()["size"].items:
        assert item.label == pytest.approx(math.log10(float(truth[item.text]["cm"])), abs=1e-3)
        assert item.group == truth[item.text]["noun"]


def test_size_is_not_the_category():
    """Every decade holds at least six categories, and the category explains less than half of the label."""
    inside, decades = defaultdict(list), defaultdict(set)
    for row in read_list("sizes"):
        value = math.log10(float(row["cm"]))
        inside[row["category"]].append(value)
        decades[min(math.floor(value), 3)].add(row["category"])
    assert min(len(found) for found in decades.values()) >= 6
    total = np.var(np.concatenate([*map(np.array, inside.values())]))
    n = sum(map(len, inside.values()))
    assert sum(len(v) * np.var(v) for v in inside.values()) / n > 0.5 * total


@pytest.mark.parametrize("name", NAMES)
def test_length_and_frequency_hardly_tell_the_label(name):
    data = build()[name]
    keys = [phrases(t)[0] if name == "relatedness" else t.split(" ", 1)[1] for t in data.texts]
    assert abs(np.corrcoef([len(k) for k in keys], data.y)[0, 1]) < 0.2
    wordfreq = pytest.importorskip("wordfreq")
    assert abs(np.corrcoef([wordfreq.zipf_frequency(k, "en") for k in keys], data.y)[0, 1]) < 0.2


def test_relatedness_spreads_over_the_range():
    y = build()["relatedness"].y
    assert len(y) >= 400
    parts = np.histogram(y, bins=[0, 1, 2.5, 5, 7, 10.01])[0]
    assert parts.min() >= 20, parts


def test_a_pair_stands_in_a_group_of_four_with_one_second_word():
    groups = defaultdict(list)
    for item in build()["relatedness"].items:
        groups[item.group].append(item)
    for name, items in groups.items():
        assert len(items) == 4
        assert {phrases(i.text)[1] for i in items} == {name}
        assert max(i.label for i in items) - min(i.label for i in items) >= 3, name


def test_no_word_of_a_pair_stands_in_two_groups():
    homes = defaultdict(set)
    firsts = Counter()
    for item in build()["relatedness"].items:
        firsts[phrases(item.text)[0]] += 1
        for phrase in phrases(item.text):
            for word in phrase.lower().split():
                homes[word].add(item.group)
    assert {w: g for w, g in homes.items() if len(g) > 1 and w != "of"} == {}
    assert set(firsts.values()) == {1}


def test_no_pair_is_also_one_of_the_relations():
    relations = {t for d in build("full", "relations").values() for t in d.texts}
    assert not relations & set(build()["relatedness"].texts)


SOUNDS = {"ukulele": "A", "eucalyptus": "A", "herb": "A"}


def test_articles_follow_the_sound():
    for data in build().values():
        for text in data.texts:
            article, word = text.split(" ")[:2]
            assert article == SOUNDS.get(word, "An" if word[0].lower() in "aeiou" else "A"), text
