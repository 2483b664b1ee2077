"""The built-in texts: as many as promised, balanced so that no surface gives the label away."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from layeratlas.core import registry
from layeratlas.core.spec import hash_of
from layeratlas.data.lists import read_list

TASKS = ("items", "relations", "analogies")
PROPERTIES = ("edible", "animal", "manmade", "large")


def build(task, size="standard"):
    return registry.get("tasks", task).build(size)


def flat(task, size):
    return [(d.name, d.level, i.text, i.label, i.group, i.stratum) for d in build(task, size) for i in d.items]


def split(task, text):
    """Return the words (or phrases) that a text is made of."""
    if task == "relations":
        first, second = text.split(" ", 1)[1].split(" and ")
        return first, second
    one, two = text.split(" as ")
    return (*one.split(" is to "), *two.split(" is to "))


@pytest.mark.parametrize("task", TASKS)
def test_sizes_are_nested_and_the_same_every_time(task):
    quick, standard, full = (flat(task, size) for size in ("quick", "standard", "full"))
    assert flat(task, "standard") == standard
    assert len(set(standard)) == len(standard)
    assert set(quick) < set(standard) <= set(full)


def test_texts_do_not_depend_on_the_process():
    code = (
        "from layeratlas.core import registry; from layeratlas.core.spec import hash_of\n"
        f"print(hash_of([[i.text, i.label, i.group] for t in {TASKS}\n"
        "  for d in registry.get('tasks', t).build('standard') for i in d.items]))"
    )
    here = hash_of([[i.text, i.label, i.group] for t in TASKS for d in build(t) for i in d.items])
    for seed in ("1", "2"):
        run = [sys.executable, "-c", code]
        done = subprocess.run(
            run,
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.stdout.strip() == here


@pytest.mark.parametrize("size", ["quick", "standard"])
def test_every_class_is_half_of_its_data_set(size):
    for task in TASKS:
        for data in build(task, size):
            counts = Counter(item.label for item in data.items)
            assert len(counts) == 2
            assert len(set(counts.values())) == 1


def test_items_promise_300_nouns_with_four_properties_each():
    nouns = read_list("items")
    assert len({row["noun"] for row in nouns}) == len(nouns) >= 300
    assert all(row[name] in "01" for row in nouns for name in PROPERTIES)
    data = {d.name: d for d in build("items")}
    assert set(data) == set(PROPERTIES)
    assert len({item.group for d in data.values() for item in d.items}) >= 300
    for d in data.values():
        assert min(Counter(item.label for item in d.items).values()) >= 80


def test_an_item_carries_the_label_of_its_noun_and_stands_once_in_a_property():
    truth = {row["noun"]: row for row in read_list("items")}
    for data in build("items"):
        assert max(Counter(item.group for item in data.items).values()) == 1
        for item in data.items:
            assert (item.label == data.name) == (truth[item.group][data.name] == "1")
            assert item.text.split(" ", 1)[1] == item.group


def zipf(text):
    wordfreq = pytest.importorskip("wordfreq")
    return wordfreq.zipf_frequency(text, "en")


SURFACES = {"frequency": zipf, "characters": len, "words": lambda text: len(text.split())}


@pytest.mark.parametrize("name", PROPERTIES)
def test_frequency_length_and_word_count_do_not_give_a_property_away(name):
    data = next(d for d in build("items") if d.name == name)
    y = data.y
    for surface in SURFACES.values():
        values = np.array([surface(item.group) for item in data.items])
        assert abs(roc_auc_score(y, values) - 0.5) < 0.06
    frequency = np.array([zipf(item.group) for item in data.items])
    assert abs(frequency[y == 1].mean() - frequency[y == 0].mean()) < 0.1


def test_nouns_that_are_not_matched_would_give_a_property_away():
    """Control: over all nouns, frequency or length tells at least one property."""
    nouns = read_list("items")
    areas = [
        roc_auc_score([row[name] == "1" for row in nouns], [surface(row["noun"]) for row in nouns])
        for name in PROPERTIES
        for surface in SURFACES.values()
    ]
    assert max(abs(area - 0.5) for area in areas) > 0.06


# Where the article does not follow the first letter.
SOUNDS = {"hour": "An", "hourglass": "An", "heir": "An", "heiress": "An", "heirloom": "An", "honor": "An"}
SOUNDS |= {"ukulele": "A", "eucalyptus": "A", "university": "A", "euro": "A", "unicorn": "A", "uniform": "A"}
SOUNDS |= {"union": "A", "unicycle": "A", "utensil": "A", "ewe": "A", "universe": "A", "unit": "A", "urinal": "A"}


@pytest.mark.parametrize("task", ["items", "relations"])
def test_articles_follow_the_sound(task):
    for text in {i.text for d in build(task) for i in d.items}:
        article, word = text.split(" ")[:2]
        assert article == SOUNDS.get(word, "An" if word[0] in "aeiou" else "A"), text


def test_relations_promise_300_related_pairs_over_four_types():
    (data,) = build("relations")
    pairs = {(item.stratum, *split("relations", item.text)) for item in data.items if item.label == "related"}
    assert len(pairs) >= 300
    assert Counter(kind for kind, *_ in pairs).keys() == {"place", "part", "kind", "use"}
    assert pairs <= {(row["relation"], row["x"], row["y"]) for row in read_list("relations")}


@pytest.mark.parametrize("task", ["relations", "analogies"])
def test_the_full_size_turns_every_text_round_in_its_own_group(task):
    """Twice the texts of one order; a turned text has the label and the group of the text that it turns."""
    one, both = registry.get("tasks", task).of(10_000 if task == "relations" else 22), build(task, "full")[0]
    assert len(both.items) > 1750
    assert {(i.text, i.label, i.group) for i in one.items} < {(i.text, i.label, i.group) for i in both.items}
    before, after = (Counter((i.group, i.label) for i in data.items) for data in (one, both))
    # But for the few groups of which a turned text is a graded pair.
    assert sum(after[key] == 2 * count for key, count in before.items()) > 0.95 * len(before)
    assert all(after[key] in (count, 2 * count) for key, count in before.items())


def test_analogies_promise_400_valid_ones_over_ten_relations():
    (data,) = build("analogies")
    home = {(row["first"], row["second"]): row["relation"] for row in read_list("analogies")}
    valid = 0
    used = set()
    for item in data.items:
        a, b, c, d = split("analogies", item.text)
        # Both classes hold two genuinely related pairs.
        one, two = home[a, b], home[c, d]
        assert (one == two) == (item.label == "valid")
        used |= {one, two}
        valid += one == two
    assert valid >= 400
    assert len(used) >= 10


@pytest.mark.parametrize("size", ["quick", "standard"])
@pytest.mark.parametrize("task", ["relations", "analogies"])
def test_in_each_group_every_word_stands_equally_often_in_both_classes_at_each_place(task, size):
    (data,) = build(task, size)
    counts = defaultdict(Counter)
    for item in data.items:
        for place, word in enumerate(split(task, item.text)):
            counts[item.group, place, word][item.label] += 1
    assert {len(found) for found in counts.values()} == {2}
    assert all(len(set(found.values())) == 1 for found in counts.values())


@pytest.mark.parametrize("task", ["relations", "analogies"])
def test_no_word_stands_in_two_groups_so_no_tested_word_was_seen_in_training(task):
    (data,) = build(task)
    homes = defaultdict(set)
    for item in data.items:
        for word in split(task, item.text):
            homes[word.lower()].add(item.group)
    assert {word: found for word, found in homes.items() if len(found) > 1} == {}


def test_unrelated_pairs_cross_two_themes_of_one_type():
    (data,) = build("relations")
    theme = {row["x"]: row["theme"] for row in read_list("relations")} | {
        row["y"]: row["theme"] for row in read_list("relations")
    }
    kind = {row["x"]: row["relation"] for row in read_list("relations")}
    for item in data.items:
        x, y = split("relations", item.text)
        assert kind[x] == item.stratum
        assert (theme[x] == theme[y]) == (item.label == "related")


def test_relations_meet_each_other_in_analogies_about_equally_often():
    """A relation that met one other only would let the pair of relations give validity away."""
    (data,) = build("analogies")
    home = {row["first"]: row["relation"] for row in read_list("analogies")}
    meets = defaultdict(set)
    for item in data.items:
        a, _, c, _ = split("analogies", item.text)
        if item.label == "invalid":
            meets[home[a]].add(home[c])
    assert min(len(others) for others in meets.values()) >= 9
