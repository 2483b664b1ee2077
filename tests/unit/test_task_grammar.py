"""Grammar, number and tense: balanced inside every group, the same end on every text, few words met twice."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import combinations

import pytest

from layeratlas.core import registry
from layeratlas.data.lists import read_list

SIZES = ("quick", "standard", "full")
NAMES = ("grammaticality", "number", "tense")
COUNTS = {
    "grammaticality": {"quick": 416, "standard": 832, "full": 1872},
    "number": {"quick": 80, "standard": 240, "full": 960},
    "tense": {"quick": 80, "standard": 240, "full": 960},
}
# Words of the language rather than of a group's content.
FUNCTION_WORDS = """
    the a an of in on at to for by from with and so neither nor but as than or into onto under over behind
    before after during through along near above below beneath beside between among against around across past
    about until off out up down like not no never without is was are were has have had be been will would can
    could cannot may might must should did does do he she it its his her him them their they we us me i my our
    himself herself itself themselves this that these those which who much many little few too very one two
    three first something someone nobody everyone each every all another other more less than last next
    yesterday tomorrow ago now week weeks month years year days hour again when whenever often
"""
FUNCTION = set(FUNCTION_WORDS.split())
# Words that carry a phenomenon, and so recur on purpose.
MARKERS = {
    "pronoun": {"make", "makes", "lets", "thinks", "helps", "says", "jokes", "claims"},
    "inversion": {"perhaps", "maybe", "certainly", "surely", "probably", "apparently", "clearly", "course"}
    | {"nowhere", "once", "way", "time", "point", "account", "circumstances"},
    "complement": {"decided", "hoped", "agreed", "wished", "managed", "promised", "hesitated", "pretended", "longed"}
    | {"vowed", "failed", "enjoyed", "avoided", "considered", "admitted", "denied", "suggested", "imagined", "kept"}
    | {"postponed", "recalled", "mentioned"},
}


def build(size="full"):
    return {d.name: d for d in registry.get("tasks", "grammar").build(size)}


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


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_nested_as_large_as_promised_and_without_a_text_twice(name):
    found = [{(i.text, i.label, i.group, i.stratum) for i in build(size)[name].items} for size in SIZES]
    assert found[0] < found[1] < found[2]
    for size, items in zip(SIZES, found, strict=True):
        texts = build(size)[name].texts
        assert len(texts) == len(set(texts)) == len(items) == COUNTS[name][size]
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
    counts = Counter(build(size)["grammaticality"].strata)
    assert len(counts) == 13
    assert set(counts.values()) == {4 * {"quick": 8, "standard": 16, "full": 36}[size]}


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


def test_in_each_group_every_word_stands_equally_often_in_both_classes():
    for group, items in by_group(build()["grammaticality"]).items():
        bags = {
            label: Counter(w for i in items if i.label == label for w in words(i.text))
            for label in ("grammatical", "ungrammatical")
        }
        assert [i.label for i in items].count("grammatical") == 2, group
        assert bags["grammatical"] == bags["ungrammatical"], group


def test_three_words_together_do_tell():
    """Control: if three words in order were balanced too, there would be nothing to read."""
    for group, items in by_group(build()["grammaticality"]).items():
        triples = {
            label: Counter(t for i in items if i.label == label for t in combinations(words(i.text), 3))
            for label in ("grammatical", "ungrammatical")
        }
        assert triples["grammatical"] != triples["ungrammatical"], group


@pytest.mark.parametrize("name", NAMES)
def test_texts_of_a_group_end_in_the_same_two_words_and_a_full_stop(name):
    for group, items in by_group(build()[name]).items():
        assert len({tuple(i.text.split()[-2:]) for i in items}) == 1, group
        for item in items:
            assert re.fullmatch(r"[A-Z][A-Za-z' ,-]*[a-zA-Z]\.", item.text), item.text
            assert "  " not in item.text


def test_no_choice_stands_in_the_last_two_words():
    for row in read_list("grammar_pairs"):
        tail = re.split(r"[>\]]", row["frame"])[-1]
        assert len(tail.rstrip(".").split()) >= 2, row["frame"]


def test_within_a_phenomenon_no_content_word_stands_in_two_groups():
    homes = defaultdict(set)
    for item in build()["grammaticality"].items:
        for word in set(words(item.text)) - FUNCTION - MARKERS.get(item.stratum, set()):
            homes[item.stratum, word].add(item.group)
    assert {word: found for word, found in homes.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", ["number", "tense"])
def test_no_content_word_of_number_and_tense_stands_in_two_groups(name):
    homes = defaultdict(set)
    for item in build()[name].items:
        for word in set(words(item.text)) - FUNCTION:
            homes[word].add(item.group)
    assert {word: found for word, found in homes.items() if len(found) > 1} == {}


def test_no_noun_recurs_in_many_groups_over_all_phenomena():
    homes = defaultdict(set)
    markers = set().union(*MARKERS.values())
    for item in build()["grammaticality"].items:
        for word in set(words(item.text)) - FUNCTION - markers:
            homes[word].add(item.group)
    assert max(len(found) for found in homes.values()) <= 8  # of 468


def test_only_the_noun_marks_number():
    """The two texts of a form differ in the noun alone, so the verb gives nothing away."""
    for row in read_list("grammar_number"):
        assert row["singular"] != row["plural"]
        assert not row["past"].endswith("s") or row["past"] == row["base"]
    items = build()["number"].items
    for one, two in zip(items[::2], items[1::2], strict=True):
        differ = [(a, b) for a, b in zip(words(one.text), words(two.text), strict=True) if a != b]
        assert (one.label, two.label, len(differ)) == ("singular", "plural", 1)


def test_number_of_the_subject_does_not_tell_the_tense():
    singular = {row["singular"] for row in read_list("grammar_tense")}
    for size in SIZES:
        counts = Counter()
        for item in build(size)["tense"].items:
            subject = re.sub("^The ", "", item.text)
            counts[item.label, any(subject.startswith(f"{noun} ") for noun in singular)] += 1
        assert len(counts) == 4
        assert len(set(counts.values())) == 1


def test_the_forms_of_a_verb_differ_so_that_each_text_has_one_tense():
    for row in read_list("grammar_tense"):
        assert len({row["past"], row["third"], row["base"]}) == 3, row
        assert row["third"].endswith("s")


def test_verbs_that_agree_are_not_also_pasts():
    """ "The lawyer read it" would be grammatical: a verb whose past is its base form cannot mark agreement."""
    same = {"read", "cut", "put", "let", "set", "hit", "cost", "shut", "hurt", "cast", "beat", "quit", "fit", "spread"}
    for row in read_list("grammar_pairs"):
        if row["phenomenon"].startswith("agreement"):
            assert not same & set(words(row["frame"].split("[")[1].split("]")[0])), row["frame"]


@pytest.mark.parametrize("wrong", ["mans", "thiefs", "wolfs", "wifes", "knifes", "childs", "fixs", "washs", "crosss"])
def test_forms_are_spelt_as_in_english(wrong):
    text = " ".join(i.text for d in build().values() for i in d.items)
    assert not re.search(rf"\w*{wrong}\b", text)
