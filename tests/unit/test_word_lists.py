"""The second word lists: nothing in common with the first, balanced alike, and taken from WordNet by rules."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from grammar_words import FUNCTION, MARKERS
from layeratlas.core import registry
from layeratlas.data.items import Dataset
from layeratlas.data.lists import read_list
from scripts import script

wordfreq = pytest.importorskip("wordfreq")
script("tools/match_items.py")
wordnet = script("tools/wordnet.py")
nouns = script("tools/word_list_nouns.py")
forms_of = script("tools/word_list_forms.py")
phrases_of = script("tools/word_list_phrases.py")
script("tools/word_list_words.py")
script("tools/word_list_grammar.py")
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
    ("n", 20, 18, ["dancer"], [], "a person who dances"),
    ("v", 30, 35, ["paint"], [], 'put paint on; "paint the tower"; "He painted a bridge in the window"; "paint it"'),
    ("v", 31, 35, ["stop"], [], 'halt; "The dancer stopped the rabbit"; "The tower stopped the rabbit"; "she stops"'),
    ("v", 32, 35, ["eat"], [], 'take in; "eat the rabbit"'),
    ("v", 33, 42, ["remain"], [], 'be; "remain a dancer"'),
    ("v", 34, 35, ["hunt"], [], 'chase until dead; "hunt the rabbit"'),
    (
        "v",
        35,
        35,
        ["lift"],
        [],
        'raise; "lift his tower"; "lift a towers"; "lift the Turkey"; "lift the turkey to hunt"',
    ),
]
EXCEPTIONS = {
    "noun": "children child\n",
    "verb": "ate eat\neaten eat\nfed feed\nstopped stop\nstopping stop\npanicked panic\ndyeing dye\ntravelled travel\n",
}
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
    for part, text in EXCEPTIONS.items():
        (tmp_path / f"{part}.exc").write_text(text)
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
    assert plain == {"structure", "tower", "window", "rabbit", "dancer"}
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


def test_forms_are_certain_or_none(dictionary):
    """Controls: irregular pasts, of which one looks regular, and forms that nobody uses."""
    forms = forms_of.Forms(dictionary)
    pasts = {"stop": "stopped", "panic": "panicked", "carry": "carried", "bake": "baked", "play": "played"}
    assert {verb: forms.past(verb) for verb in pasts} == pasts
    assert [forms.past(verb) for verb in ("eat", "feed", "cut", "put", "spread")] == [""] * 5
    assert [forms.progressive(verb) for verb in ("stop", "bake", "dye", "tie")] == [
        "stopping",
        "baking",
        "dyeing",
        "tying",
    ]
    assert [forms.third(verb) for verb in ("fix", "echo", "carry", "play", "go")] == [
        "fixes",
        "echoes",
        "carries",
        "plays",
        "goes",
    ]
    assert [forms.plural(noun) for noun in ("bus", "lady", "child", "wolf")] == ["buses", "ladies", "", ""]


def test_phrases_are_what_a_person_does_to_a_thing(dictionary):
    """Controls: no person, no noun after the verb, an irregular or stative verb, a death, "his", "a towers", a name."""
    net, forms = wordnet.WordNet(dictionary), forms_of.Forms(dictionary)
    found = {(phrase.verb, " ".join(phrase.rest), phrase.object) for phrase in phrases_of.phrases(net, forms)}
    assert found == {
        ("paint", "the tower", "tower"),
        ("paint", "a bridge in the window", "bridge"),
        ("stop", "the rabbit", "rabbit"),
    }


def words_of(text: str) -> set[str]:
    return set(re.findall("[a-z]+", text.lower()))


# Words of the language, or that mark a phenomenon, which the second lists of grammar share with the first.
SHARED = FUNCTION | set().union(*MARKERS.values()) | {"saturday", "sunday", "monday", "season"}
PRONOUN_MARKERS = {"believes", "suspects", "brags", "worries", "assumes", "concludes", "fears", "admits"}
PRONOUN_MARKERS |= {"declares", "regrets"}


def test_grammar_shares_no_content_word_with_the_first_list():
    for names in (["grammar_pairs"], ["grammar_number", "grammar_tense"]):
        first, second = (
            set().union(*(words_of(" ".join(row.values())) for name in names for row in read_list(f"{name}{ending}")))
            for ending in ("", "_wordnet")
        )
        kinds = set().union(*(words_of(row.get("phenomenon", "")) for row in read_list(names[0])))
        assert (first & second) - SHARED - PRONOUN_MARKERS - kinds == set()
        assert len(second - first) > 400


def test_frames_of_grammar_mark_a_phenomenon_as_frames_of_the_first_list_do():
    """The choices that mark a phenomenon are of words of the first list; in the others, all but pronouns are new."""
    sites = []
    for name in ("grammar_pairs", "grammar_pairs_wordnet"):
        found = defaultdict(set)
        for row in read_list(name):
            found[row["phenomenon"]].update(re.findall(r"<[^>]*>", row["frame"]))
            found[f"{row['phenomenon']} pronoun"].update(
                re.findall(r"\[(?:it|him|me|I|us|we|them|they|so)\w*\|.*?\]", row["frame"])
            )
        sites.append(found)
    first, second = sites
    marked = ("auxiliary", "complement", "determiner", "inversion", "polarity", "pronoun", "quantity", "tense")
    for phenomenon in (*marked, "pronoun pronoun", "reflexive pronoun", "polarity pronoun"):
        assert second[phenomenon] <= first[phenomenon], phenomenon
        assert second[phenomenon]


def out_of_fold(data: Dataset, analyzer: str, sizes: tuple[int, int]) -> np.ndarray:
    """Tell which texts n-grams predict, trained on other groups."""
    model = make_pipeline(CountVectorizer(analyzer=analyzer, ngram_range=sizes), LogisticRegression(max_iter=2000))
    return cross_val_predict(model, data.texts, data.y, groups=data.groups, cv=GroupKFold(5)) == data.y


def test_grammar_can_be_predicted_from_its_surface_as_the_notes_say():
    first = {data.name: data for data in registry.get("tasks", "grammar").build("standard")}
    means = {}
    for name, data in first.items():
        for words in (data, data.other_words):
            kind = ("word", (2, 2)) if name == "grammaticality" else ("char_wb", (2, 4))
            means.setdefault(name, []).append((out_of_fold(words, *kind), np.array(words.strata)))
    assert [right.mean() for right, _ in means["number"]] == pytest.approx([0.96, 0.98], abs=0.005)
    assert [right.mean() for right, _ in means["tense"]] == pytest.approx([0.93, 0.97], abs=0.006)
    for stratum in first["grammaticality"].strata:
        one, other = (right[strata == stratum].mean() for right, strata in means["grammaticality"])
        if stratum == "adjective":
            assert [one, other] == pytest.approx([0.53, 0.72], abs=0.005)
        else:
            assert one == pytest.approx(other, abs=0.04)


def test_sentences_of_the_second_list_are_shorter_and_more_regular_as_the_notes_say():
    def length(data: Dataset) -> float:
        return float(np.mean([len(text.split()) for text in data.texts]))

    sets = {data.name: data for data in registry.get("tasks", "grammar").build("standard")}
    one, *others = ((length(data), length(data.other_words)) for data in sets.values())
    assert one == pytest.approx((8.6, 8.1), abs=0.05)
    assert np.mean(others, axis=0) == pytest.approx((6.8, 5.7), abs=0.05)
    irregular = {
        name: sum(not row["past"].endswith("ed") for row in read_list(name))
        for kind in ("number", "tense")
        for name in (f"grammar_{kind}", f"grammar_{kind}_wordnet")
    }
    assert list(irregular.values()) == [10, 4, 16, 8]


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
