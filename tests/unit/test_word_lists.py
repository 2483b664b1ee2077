"""The second word lists: nothing in common with the first, balanced alike, and taken from WordNet by rules."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from layeratlas.core import registry
from layeratlas.data.items import Dataset
from layeratlas.data.lists import read_list
from scripts import script

wordfreq = pytest.importorskip("wordfreq")
script("tools/match_items.py")
wordnet = script("tools/wordnet.py")
nouns = script("tools/word_list_nouns.py")
pairs_of = script("tools/word_list_analogies.py")
lists = script("tools/word_lists.py")

# Synsets of a small dictionary: part of speech, offset, lexicographer file, words, pointers, gloss; and how often
# words were tagged with each of their senses.
SYNSETS = [
    ("n", 10, 6, ["structure"], [], "a thing that is built"),
    ("n", 11, 6, ["bridge"], [("@", "n", 10)], "a way over water"),
    ("n", 12, 6, ["tower"], [("@", "n", 10)], "a tall building"),
    ("n", 13, 4, ["bridge"], [], "a game of cards"),
    ("n", 14, 6, ["window"], [("#p", "n", 12)], "an opening"),
    ("n", 15, 5, ["turkey"], [], "a bird"),
    ("n", 16, 15, ["Turkey"], [], "a country"),
    ("n", 17, 5, ["rabbit"], [], "an animal"),
    ("n", 18, 18, ["idiot"], [], "an insulting word for a person"),
    ("n", 19, 6, ["luggage"], [], "cases; it has no plural in use"),
]
COUNTS = {"bridge": [1, 1], "tower": [5]}
PARTS = {"n": ("noun", 1), "v": ("verb", 2), "a": ("adj", 3), "r": ("adv", 4)}


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    """Return a folder with the synsets in WordNet's format, with a licence of two lines."""
    header = "  1 All rights reserved.  \n  2   \n"
    sense_lines = []
    for part, (name, number) in PARTS.items():
        own = [synset for synset in SYNSETS if synset[0] == part]
        data, senses = [], {}
        for _, offset, file, words, pointers, gloss in own:
            listed = " ".join(f"{word} 0" for word in words)
            links = "".join(f" {kind} {to:08d} {other} 0000" for kind, other, to in pointers)
            data.append(
                f"{offset:08d} {file:02d} {part} {len(words):02x} {listed} {len(pointers):03d}{links} | {gloss}  "
            )
            for word in words:
                senses.setdefault(word.lower(), []).append(f"{offset:08d}")
        index = [f"{word} {part} {len(o)} 0 {len(o)} 0 {' '.join(o)}  " for word, o in senses.items()]
        for word, offsets in senses.items():
            counts = COUNTS.get(word, [0] * len(offsets))
            sense_lines += [f"{word}%{number}:06:00:: {o} {n} {counts[n - 1]}" for n, o in enumerate(offsets, 1)]
        (tmp_path / f"data.{name}").write_text(header + "".join(f"{line}\n" for line in data))
        (tmp_path / f"index.{name}").write_text(header + "".join(f"{line}\n" for line in index))
    (tmp_path / "index.sense").write_text("\n".join(sense_lines) + "\n")
    return tmp_path


def second(task: str, size: str = "standard") -> list[Dataset]:
    built = registry.get("tasks", task).build(size)
    return [data.other_words for data in built if data.other_words is not None]


def test_a_dictionary_is_read_as_wordnet_describes_it(dictionary):
    net = wordnet.WordNet(dictionary)
    assert [sense.synset.gloss for sense in net.senses["bridge", "n"]] == ["a way over water", "a game of cards"]
    assert net.senses["tower", "n"][0].count == 5
    assert net.below(net.synsets["n00000010"]) == {"n00000011", "n00000012"}
    assert net.first("Turkey", "n") is None  # the first sense is the bird
    assert lists.licence(dictionary) == "All rights reserved.\n\n"


def test_only_plain_nouns_pass(dictionary):
    """Controls: a word of two kinds of things, one that is also a name, an insult, and one without a plural."""
    found = nouns.Nouns(wordnet.WordNet(dictionary))
    plain, usable = ({word for word, _ in words} for words in (found.plain(2.5), found.usable(2.5)))
    assert plain == {"structure", "tower", "window", "rabbit"}
    assert usable - plain == {"bridge"}


def test_items_share_no_noun_with_the_first_list():
    first = {row["noun"] for row in read_list("items")}
    rows = read_list("items_wordnet")
    assert not first & {row[side] for row in rows for side in ("positive", "negative")}
    assert Counter(row["property"] for row in rows) == {"edible": 52, "animal": 128, "manmade": 199}
    for data in second("items", "full"):
        assert max(Counter(item.text for item in data.items).values()) == 1


def test_items_are_rarer_than_those_of_the_first_list_as_the_notes_say():
    means = []
    for name in ("items_matched", "items_wordnet"):
        rows = [row for row in read_list(name) if row["property"] != "large"]
        used = {row[side] for row in rows for side in ("positive", "negative")}
        means.append(float(np.mean([wordfreq.zipf_frequency(noun, "en") for noun in used])))
    assert means == pytest.approx([3.4, 2.8], abs=0.05)


def test_relations_share_no_pair_with_the_first_list_and_few_nouns():
    first = {frozenset((row["x"], row["y"])) for row in read_list("relations")}
    rows = read_list("relations_wordnet")
    used = [row[side] for row in rows for side in "xy"]
    assert len(set(used)) == len(used) == 240
    assert not first & {frozenset((row["x"], row["y"])) for row in rows}
    assert len(set(used) & {word for pair in first for word in pair}) == 62


def test_analogies_share_no_word_with_the_first_list():
    rows = read_list("analogies_wordnet")
    used = [row[side] for row in rows for side in ("first", "second")]
    assert len(set(used)) == len(used) == 520
    assert not set(used) & {row[side] for row in read_list("analogies") for side in ("first", "second")}
    assert set(Counter(row["relation"] for row in rows).values()) == {26}


@pytest.mark.parametrize("task", ["items", "relations", "analogies"])
def test_second_lists_are_balanced_and_nested(task):
    sizes = [second(task, size) for size in ("quick", "standard", "full")]
    for small, large in pairwise(sizes):
        assert all(set(a.texts) <= set(b.texts) for a, b in zip(small, large, strict=True))
    for data in sizes[1]:
        assert len(set(Counter(item.label for item in data.items).values())) == 1
        if task != "items":  # every word is equally frequent in both classes
            counts = Counter((word, item.label) for item in data.items for word in item.text.split()[1:])
            assert all(counts[word, label] == counts[word, other] for word, label in counts for other in data.classes)


@pytest.mark.parametrize("data", second("items"), ids=lambda data: data.name)
def test_frequency_and_length_do_not_give_a_property_away(data):
    for surface in (lambda noun: wordfreq.zipf_frequency(noun, "en"), len):
        values = np.array([surface(item.group) for item in data.items])
        assert abs(roc_auc_score(data.y, values) - 0.5) < 0.07


def test_nouns_of_which_the_first_letter_does_not_tell_the_article_are_left_out():
    for task in ("items", "relations"):
        texts = [text for data in second(task, "full") for text in data.texts]
        assert not [text for text in texts if nouns.UNCLEAR.match(text.split()[1])]


@pytest.mark.parametrize(
    ("pair", "relation"),
    [(("happy", "unhappy"), "negation"), (("hot", "cold"), "opposite"), (("able", "unable"), "negation")],
)
def test_opposites_with_a_prefix_are_negations(pair, relation):
    one, other = (wordnet.Synset(f"a{n:08d}", 0, (word,), (), "") for n, word in enumerate(pair))
    (found,) = pairs_of.linked(wordnet.Pointer(wordnet.ANTONYM, other.key, 1, 1), one, other, pair)
    assert found[0] == relation
    assert set(found[1]) == set(pair)
