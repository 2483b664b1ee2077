"""Documents: one ending for all, balanced in every group, and no sentence both trained and tested on."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from layeratlas.core import registry
from layeratlas.data.lists import read_list
from layeratlas.data.tasks.documents import CLOSING

SIZES = ("quick", "standard", "full")
NAMES = ("topic", "sentiment")


def build(size="standard"):
    return {data.name: data for data in registry.get("tasks", "documents").build(size)}


def words(text):
    return re.findall(r"[a-z']+", text.lower())


def pool(name):
    """Return every written sentence with the block it belongs to."""
    if name == "topic":
        return {row["sentence"]: f"block-{int(row['block']):02d}" for row in read_list("documents_topic")}
    table = read_list("documents_sentiment")
    return {row[label]: f"{row['kind']}-{row['block']}" for row in table for label in ("positive", "negative")}


def sentences(data, item):
    return [sentence for sentence in pool(data.name) if sentence in item.text]


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_nested_distinct_and_the_same_every_time(name):
    quick, standard, full = ([(i.text, i.label, i.group) for i in build(size)[name].items] for size in SIZES)
    assert [(i.text, i.label, i.group) for i in build("standard")[name].items] == standard
    assert set(quick) < set(standard) < set(full)
    assert len({text for text, *_ in full}) == len(full)


@pytest.mark.parametrize(("size", "texts"), [("quick", 60), ("standard", 180), ("full", 960)])
def test_each_size_holds_as_many_documents_and_groups_as_promised(size, texts):
    groups = {"quick": 10, "standard": 20, "full": 20}[size]
    for data in build(size).values():
        assert data.level == "document"
        assert len(data.items) == texts
        assert len({item.group for item in data.items}) >= groups


@pytest.mark.parametrize("name", NAMES)
def test_a_document_has_about_100_words_in_sentences_of_12_to_20(name):
    assert {len(sentence.split()) for sentence in pool(name)} <= set(range(12, 21))
    assert {len(text.split()) for text in build("full")[name].texts} <= set(range(90, 116))


def test_all_documents_end_in_one_sentence_that_stands_nowhere_else():
    for data in build("full").values():
        for text in data.texts:
            assert text.endswith(f". {CLOSING}")
            assert text.count(CLOSING) == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_every_group_holds_every_class_equally_often(name, size):
    data = build(size)[name]
    counts = defaultdict(Counter)
    for item in data.items:
        counts[item.group][item.label] += 1
    for found in counts.values():
        assert sorted(found) == data.classes
        assert len(set(found.values())) == 1


@pytest.mark.parametrize("name", NAMES)
def test_no_sentence_stands_in_two_groups(name):
    written = pool(name)
    data = build("standard")[name]
    for item in data.items:
        found = sentences(data, item)
        assert len(found) == 5
        assert {written[sentence] for sentence in found} == {item.group}
        assert len(" ".join([*found, CLOSING])) == len(item.text)


def test_no_sentence_is_written_twice():
    every = [row["sentence"] for row in read_list("documents_topic")]
    every += [row[label] for row in read_list("documents_sentiment") for label in ("positive", "negative")]
    assert len(set(every)) == len(every)


def test_both_classes_of_a_review_judge_the_same_aspects_in_the_same_order():
    aspect = {
        row[label]: row["aspect"] for row in read_list("documents_sentiment") for label in ("positive", "negative")
    }
    data = build("standard")["sentiment"]
    kinds = defaultdict(Counter)
    for good, bad in zip(data.items[::2], data.items[1::2], strict=True):
        assert (good.label, bad.label) == ("positive", "negative")
        assert good.group == bad.group
        orders = [sorted(sentences(data, item), key=item.text.index) for item in (good, bad)]
        assert [aspect[s] for s in orders[0]] == [aspect[s] for s in orders[1]]
        for item in (good, bad):
            kinds[item.group.split("-")[0]][item.label] += 1
    assert len(kinds) == 6
    assert all(found["positive"] == found["negative"] for found in kinds.values())


def test_the_two_judgements_of_an_aspect_share_their_words():
    shares = []
    for row in read_list("documents_sentiment"):
        good, bad = ({word for word in words(row[label]) if len(word) > 3} for label in ("positive", "negative"))
        assert good & bad
        shares.append(len(good & bad) / min(len(good), len(bad)))
    assert np.mean(shares) > 0.4


def test_no_single_word_decides_the_sentiment():
    """The best word, chosen with the labels known, tells far less than every document."""
    data = build("quick")["sentiment"]  # each written sentence once
    present = [set(words(text)) for text in data.texts]
    areas = [roc_auc_score(data.y, [word in found for found in present]) for word in set.union(*present)]
    assert max(abs(area - 0.5) for area in areas) < 0.25


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_words_does_not_tell_the_class(name):
    data = build("full")[name]
    lengths = [len(text.split()) for text in data.texts]
    for label in data.classes:
        assert abs(roc_auc_score([item.label == label for item in data.items], lengths) - 0.5) < 0.1
