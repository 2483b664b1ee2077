"""Grammar, number and tense: balanced inside every group, the same end on every text, few words met twice."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import combinations

import pytest

from grammar_words import FUNCTION, MARKERS
from layeratlas.core import registry
from layeratlas.data.lists import read_list

SIZES = ("quick", "standard", "full")
NAMES = ("grammaticality", "number", "tense")
COUNTS = {
    "grammaticality": {"quick": 416, "standard": 832, "full": 1872},
    "grammaticality_wordnet": {"quick": 416, "standard": 832, "full": 832},
    "number": {"quick": 80, "standard": 240, "full": 960},
    "tense": {"quick": 80, "standard": 240, "full": 960},
}
LISTS = ("", "_wordnet")


def build(size="full", words=""):
    """Return the data sets of a size in the first word list, or in the second ("_wordnet")."""
    data = registry.get("tasks", "grammar").build(size)
    return {d.name: d.other_words if words else d for d in data}


def words(text):
    return re.findall(r"[a-z']+", text.lower())


# One right and one wrong text of each phenomenon.
RIGHT_AND_WRONG = {
    "agreement": ("The gardeners water the roses before breakfast.", "The gardener water the roses before breakfast."),
    "agreement-phrase": ("The label on the bottles was hard to read.", "The label on the bottles were hard to read."),
    "agreement-relative": (
        "The poets who the critic praised were born in Vienna.",
        "The poets who the critic praised was born in Vienna.",
    ),
    "determiner": ("The pilot avoided those clouds by a mile.", "The pilot avoided that clouds by a mile."),
    "reflexive": ("The queen blamed herself for the long war.", "The king blamed herself for the long war."),
    "auxiliary": (
        "The toddler is eating the biscuit in the garden.",
        "The toddler has eating the biscuit in the garden.",
    ),
    "pronoun": ("The coach thinks they run too fast.", "The coach thinks them run too fast."),
    "quantity": ("The cook did not need much flour for the cake.", "The cook did not need many flour for the cake."),
    "tense": ("Yesterday the pilot flew over the volcano again.", "Tomorrow the pilot flew over the volcano again."),
    "polarity": ("The cook did not laugh, and neither did the maid.", "The cook laughed, and neither did the maid."),
    "inversion": ("Never would the knight betray his oath.", "Never the knight would betray his oath."),
    "complement": (
        "The widow hoped to visit the island with friends.",
        "The widow hoped visiting the island with friends.",
    ),
    "adjective": (
        "The child noticed something tiny under the leaf.",
        "The child noticed tiny something under the leaf.",
    ),
}


def by_group(data):
    groups = defaultdict(list)
    for item in data.items:
        groups[item.group].append(item)
    return groups


@pytest.mark.parametrize("words", LISTS)
@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_nested_as_large_as_promised_and_without_a_text_twice(name, words):
    found = [{(i.text, i.label, i.group, i.stratum) for i in build(size, words)[name].items} for size in SIZES]
    assert found[0] < found[1] <= found[2]
    for size, items in zip(SIZES, found, strict=True):
        texts = build(size, words)[name].texts
        expected = COUNTS.get(name + words, COUNTS[name])[size]
        assert len(texts) == len(set(texts)) == len(items) == expected
        assert build(size)[name] == build(size)[name]


def test_levels_and_classes():
    data = build("quick")
    assert {name: d.level for name, d in data.items()} == dict(
        zip(NAMES, ("grammar", "morphology", "morphology"), strict=True)
    )
    assert data["grammaticality"].classes == ["grammatical", "ungrammatical"]
    assert data["number"].classes == ["plural", "singular"]
    assert data["tense"].classes == ["past", "present"]


@pytest.mark.parametrize("size", SIZES)
def test_phenomena_are_represented_equally(size):
    for words, most in zip(LISTS, (36, 16), strict=True):
        counts = Counter(build(size, words)["grammaticality"].strata)
        assert len(counts) == 13
        assert set(counts.values()) == {4 * min({"quick": 8, "standard": 16, "full": 36}[size], most)}


def test_labels_say_what_english_says():
    data = build()
    label = {(i.stratum, i.text): i.label for i in data["grammaticality"].items}
    assert RIGHT_AND_WRONG.keys() == set(data["grammaticality"].strata)
    for phenomenon, (right, wrong) in RIGHT_AND_WRONG.items():
        assert label[phenomenon, right] == "grammatical"
        assert label[phenomenon, wrong] == "ungrammatical"
    label = {i.text: i.label for name in ("number", "tense") for i in data[name].items}
    assert label["The geese hissed at the mail carrier."] == "plural"
    assert label["The goose might hiss at the mail carrier."] == "singular"
    assert label["The lions roared across the savanna."] == "past"
    assert label["The lion often roars across the savanna."] == "present"


@pytest.mark.parametrize("chosen", LISTS)
def test_in_each_group_every_word_stands_equally_often_in_both_classes(chosen):
    for group, items in by_group(build(words=chosen)["grammaticality"]).items():
        bags = {
            label: Counter(w for i in items if i.label == label for w in words(i.text))
            for label in ("grammatical", "ungrammatical")
        }
        assert [i.label for i in items].count("grammatical") == 2, group
        assert bags["grammatical"] == bags["ungrammatical"], group


@pytest.mark.parametrize("chosen", LISTS)
def test_three_words_together_do_tell(chosen):
    """Control: if three words in order were balanced too, there would be nothing to read."""
    for group, items in by_group(build(words=chosen)["grammaticality"]).items():
        triples = {
            label: Counter(t for i in items if i.label == label for t in combinations(words(i.text), 3))
            for label in ("grammatical", "ungrammatical")
        }
        assert triples["grammatical"] != triples["ungrammatical"], group


@pytest.mark.parametrize("chosen", LISTS)
@pytest.mark.parametrize("name", NAMES)
def test_texts_of_a_group_end_in_the_same_two_words_and_a_full_stop(name, chosen):
    for group, items in by_group(build(words=chosen)[name]).items():
        assert len({tuple(i.text.split()[-2:]) for i in items}) == 1, group
        for item in items:
            assert re.fullmatch(r"[A-Z][A-Za-z' ,-]*[a-zA-Z]\.", item.text), item.text
            assert "  " not in item.text


@pytest.mark.parametrize("chosen", LISTS)
def test_no_choice_stands_in_the_last_two_words(chosen):
    for row in read_list(f"grammar_pairs{chosen}"):
        tail = re.split(r"[>\]]", row["frame"])[-1]
        assert len(tail.rstrip(".").split()) >= 2, row["frame"]


@pytest.mark.parametrize("chosen", LISTS)
def test_within_a_phenomenon_no_content_word_stands_in_two_groups(chosen):
    homes = defaultdict(set)
    for item in build(words=chosen)["grammaticality"].items:
        for word in set(words(item.text)) - FUNCTION - MARKERS.get(item.stratum, set()):
            homes[item.stratum, word].add(item.group)
    assert {word: found for word, found in homes.items() if len(found) > 1} == {}


@pytest.mark.parametrize("chosen", LISTS)
@pytest.mark.parametrize("name", ["number", "tense"])
def test_no_content_word_of_number_and_tense_stands_in_two_groups(name, chosen):
    homes = defaultdict(set)
    for item in build(words=chosen)[name].items:
        for word in set(words(item.text)) - FUNCTION:
            homes[word].add(item.group)
    assert {word: found for word, found in homes.items() if len(found) > 1} == {}


@pytest.mark.parametrize("chosen", LISTS)
def test_no_noun_recurs_in_many_groups_over_all_phenomena(chosen):
    homes = defaultdict(set)
    markers = set().union(*MARKERS.values())
    for item in build(words=chosen)["grammaticality"].items:
        for word in set(words(item.text)) - FUNCTION - markers:
            homes[word].add(item.group)
    assert max(len(found) for found in homes.values()) <= 8  # of 468


@pytest.mark.parametrize("chosen", LISTS)
def test_only_the_noun_marks_number(chosen):
    """The two texts of a form differ in the noun alone, so the verb gives nothing away."""
    for row in read_list(f"grammar_number{chosen}"):
        assert row["singular"] != row["plural"]
        assert not row["past"].endswith("s") or row["past"] == row["base"]
    items = build(words=chosen)["number"].items
    for one, two in zip(items[::2], items[1::2], strict=True):
        differ = [(a, b) for a, b in zip(words(one.text), words(two.text), strict=True) if a != b]
        assert (one.label, two.label, len(differ)) == ("singular", "plural", 1)


@pytest.mark.parametrize("chosen", LISTS)
def test_number_of_the_subject_does_not_tell_the_tense(chosen):
    singular = {row["singular"] for row in read_list(f"grammar_tense{chosen}")}
    for size in SIZES:
        counts = Counter()
        for item in build(size, chosen)["tense"].items:
            subject = re.sub("^The ", "", item.text)
            counts[item.label, any(subject.startswith(f"{noun} ") for noun in singular)] += 1
        assert len(counts) == 4
        assert len(set(counts.values())) == 1


@pytest.mark.parametrize("chosen", LISTS)
def test_the_forms_of_a_verb_differ_so_that_each_text_has_one_tense(chosen):
    for row in read_list(f"grammar_tense{chosen}"):
        assert len({row["past"], row["third"], row["base"]}) == 3, row
        assert row["third"].endswith("s")


@pytest.mark.parametrize("chosen", LISTS)
def test_verbs_that_agree_are_not_also_pasts(chosen):
    """ "The lawyer read it" would be grammatical: a verb whose past is its base form cannot mark agreement."""
    same = {"read", "cut", "put", "let", "set", "hit", "cost", "shut", "hurt", "cast", "beat", "quit", "fit", "spread"}
    for row in read_list(f"grammar_pairs{chosen}"):
        if row["phenomenon"].startswith("agreement"):
            assert not same & set(words(row["frame"].split("[")[1].split("]")[0])), row["frame"]


@pytest.mark.parametrize("wrong", ["mans", "thiefs", "wolfs", "wifes", "knifes", "childs", "fixs", "washs", "crosss"])
def test_forms_are_spelt_as_in_english(wrong):
    text = " ".join(i.text for words in LISTS for d in build(words=words).values() for i in d.items)
    assert not re.search(rf"\b(?!shamans)\w*{wrong}\b", text)
