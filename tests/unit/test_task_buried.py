"""Buried targets: one ending for all, fillers that say nothing of the label, targets as in their own tasks."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import cache

import pytest

from layeratlas.core import registry
from layeratlas.data.lists import read_list

SIZES = ("quick", "standard", "full")
COUNTS = {"quick": (60,), "standard": (160, 160, 160)}
STOP = frozenset(
    ("a", "an", "and", "are", "as", "at", "be", "by", "for", "if", "in", "is", "it", "its", "no", "not", "of", "on",
     "one", "or", "so", "that", "the", "to", "was", "were")
)  # fmt: skip


@cache
def build(size="standard"):
    return {data.name: data for data in registry.get("tasks", "buried").build(size)}


def main(size="standard"):
    return [data for name, data in build(size).items() if not name.endswith("_by_filler")]


def by_filler(size="standard"):
    return [data for name, data in build(size).items() if name.endswith("_by_filler")]


@cache
def fillers():
    return {row["text"]: row["filler"] for row in read_list("fillers")}


def target(item):
    return item.text[slice(*item.spans["target"])]


def filler(item):
    return fillers()[item.text[len(target(item)) + 2 :]]


@cache
def sources():
    found = {}
    one_order = [registry.get("tasks", "relations").of(10_000), registry.get("tasks", "analogies").of(22)]
    for data in [*registry.get("tasks", "items").build("full"), *one_order]:
        found[f"buried_{data.name}"] = data
    return found


def test_six_fillers_have_100_words_each_and_one_last_sentence():
    texts = list(fillers())
    assert len(texts) == len(set(fillers().values())) == 6
    assert {len(text.split()) for text in texts} == {100}
    assert len({text.rstrip(".").rsplit(". ", 1)[1] for text in texts}) == 1


def test_the_data_sets_of_each_size():
    both = ["buried_relations", "buried_analogies"]
    assert [data.name for data in main("quick")] == ["buried_animal"]
    assert [data.name for data in main("standard")] == ["buried_animal", *both]
    assert [data.name for data in main("full")] == [
        *(f"buried_{p}" for p in ("edible", "animal", "manmade", "large")),
        *both,
    ]
    assert by_filler("quick") == []
    for size in ("standard", "full"):
        assert [data.name for data in by_filler(size)] == [f"{data.name}_by_filler" for data in main(size)]
    for size, counts in COUNTS.items():
        assert tuple(len(data.items) for data in main(size)) == counts


def test_sizes_are_nested_and_the_same_every_time():
    def flat(size):
        return {
            (name, data.level, item.text, item.label, item.group, item.stratum)
            for name, data in build(size).items()
            for item in data.items
        }

    standard = flat("standard")
    build.cache_clear()
    assert flat("standard") == standard
    assert flat("quick") < standard < flat("full")


@pytest.mark.parametrize("size", SIZES)
def test_a_text_is_a_target_of_its_own_task_with_its_label_then_a_filler(size):
    for name, data in build(size).items():
        source = {item.text: (item.label, item.stratum) for item in sources()[name.removesuffix("_by_filler")].items}
        for item in data.items:
            assert source[target(item)] == (item.label, item.stratum)
            assert item.text[len(target(item)) :][:2] == ". "
            assert item.text[len(target(item)) + 2 :] in fillers()


@pytest.mark.parametrize("size", SIZES)
def test_every_group_holds_both_classes_equally_often_under_every_filler_it_has(size):
    """So a filler cannot tell the label, in any fold that keeps groups whole."""
    for data in build(size).values():
        counts = defaultdict(Counter)
        for item in data.items:
            counts[item.group, filler(item)][item.label] += 1
        assert all(sorted(found) == data.classes for found in counts.values())
        assert all(len(set(found.values())) == 1 for found in counts.values())


def test_a_target_group_has_one_filler_and_each_filler_about_as_many_groups():
    for size in ("quick", "standard"):
        for data in main(size):
            homes = defaultdict(set)
            for item in data.items:
                homes[item.group].add(filler(item))
            assert all(len(found) == 1 for found in homes.values())
            counts = Counter(min(found) for found in homes.values())
            assert len(counts) == 6
            assert max(counts.values()) - min(counts.values()) <= 4


def test_the_full_size_crosses_every_target_with_every_filler():
    for data in main("full"):
        pairs = Counter((target(item), filler(item)) for item in data.items)
        targets = {item.text for item in sources()[data.name].items}
        assert set(pairs) == {(one, name) for one in targets for name in fillers().values()}
        assert set(pairs.values()) == {1}


@pytest.mark.parametrize("size", SIZES)
def test_a_target_group_is_whole_and_no_target_word_stands_in_two_groups(size):
    for data in main(size):
        source = sources()[data.name]
        home = {item.text: item.group for item in source.items}
        members, texts = defaultdict(set), defaultdict(set)
        for item in source.items:
            texts[item.group].add(item.text)
        for item in data.items:
            members[item.group].add(target(item))
        for found in members.values():
            assert found == set().union(*(texts[home[text]] for text in found))
        assert len(set().union(*members.values())) == sum(map(len, members.values()))


@pytest.mark.parametrize("size", ["standard", "full"])
def test_by_filler_has_texts_of_the_main_data_set_and_holds_out_targets_and_filler(size):
    for data in by_filler(size):
        parent = build(size)[data.name.removesuffix("_by_filler")]
        assert {(i.text, i.label) for i in data.items} <= {(i.text, i.label) for i in parent.items}
        assert data.level == f"{parent.level} by filler"
        assert {item.group for item in data.items} == set(fillers().values())
        homes = defaultdict(set)
        for item in data.items:
            assert item.group == filler(item)
            for word in content(target(item)):
                homes[word].add(item.group)
        crossed = {word for word, found in homes.items() if len(found) > 1}
        assert crossed == set()


def content(text):
    return {word for word in re.findall(r"[a-z]+", text.lower()) if word not in STOP}


def forms(word):
    """Return the word and what it may be a form of."""
    found = {word}
    for ending in ("s", "es", "ed", "d", "ing", "ly", "er", "est"):
        stem = word.removesuffix(ending)
        found |= {stem, f"{stem}e"} if stem != word and len(stem) > 2 else set()
    return found | {f"{word[:-3]}y"} if word.endswith("ies") else found


def test_fillers_share_no_content_word_with_any_target_in_any_form():
    targets = set().union(*(content(item.text) for data in sources().values() for item in data.items))
    targets |= {row["noun"] for row in read_list("items")}
    assert len(targets) > 1500
    shared = {word for text in fillers() for word in content(text) if forms(word) & targets}
    assert shared == set()
