"""The pairs of words for analogies that WordNet's pointers and synsets give. For `word_lists.py`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator

from word_list_nouns import TABOO, frequency
from wordnet import ANTONYM, DERIVED, INSTANCE_OF, PART_OF, PERTAINS, USAGE, Pointer, Synset, WordNet

# The least Zipf frequency of a word, and the number of pairs of each relation.
LEAST, PAIRS = 3.0, 26
ACT, ATTRIBUTE, PLACE, PERSON = 4, 7, 15, 18
CAPITALS = {"national_capital", "state_capital"}
NEGATION = re.compile("un|in|im|il|ir|dis|non|a")
Pair = tuple[str, str]


def analogies(net: WordNet, known: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Yield relation, first and second word: the most frequent 26 pairs of each relation (by the rarer word).

    Every word is in one pair, none is in the first list. Relations with fewer pairs choose first. Words have no spaces;
    words that a pointer links are in the first sense of their part of speech. Symbols are of any frequency.
    """
    found: dict[str, set[Pair]] = defaultdict(set)
    for synset in net.synsets.values():
        for relation, pair in _pairs(net, synset):
            if _usual(pair, relation) and not set(pair) & set(known):
                found[relation].add(pair)
    used: set[str] = set()
    for relation in sorted(found, key=lambda name: (len(found[name]), name)):
        kept = 0
        for first, second in sorted(found[relation], key=lambda pair: (-min(map(frequency, pair)), pair)):
            if kept < PAIRS and not used & {first, second}:
                used |= {first, second}
                kept += 1
                yield relation, first, second


def _usual(pair: Pair, relation: str) -> bool:
    first, second = pair
    if any(TABOO.match(word) for word in pair):
        return False
    common = frequency(first) >= LEAST and (relation == "symbol" or frequency(second) >= LEAST)
    return common and pair[0].isalpha() and pair[1].isalpha() and first.lower() != second.lower()


def _pairs(net: WordNet, synset: Synset) -> Iterator[tuple[str, Pair]]:
    """Yield the relations that start in a synset."""
    yield from _symbols(synset)
    yield from _capitals(net, synset)
    for pointer in synset.pointers:
        if pointer.own and not synset.to(USAGE):
            other = net.synsets[pointer.to]
            pair = synset.words[pointer.own - 1], other.words[pointer.other - 1]
            if net.first(pair[0], synset.key[0]) is synset and net.first(pair[1], other.key[0]) is other:
                yield from linked(pointer, synset, other, pair)


def linked(pointer: Pointer, synset: Synset, other: Synset, pair: Pair) -> Iterator[tuple[str, Pair]]:
    """Yield the relation of two words that a pointer links."""
    parts = synset.key[0] + other.key[0]
    if pointer.kind == PERTAINS and parts == "ra":
        yield "adverb", pair[::-1]
    if pointer.kind == PERTAINS and parts == "an":
        if pair[0].islower() and pair[1].islower():
            yield "adjective", pair[::-1]
        elif other.file == PLACE:
            yield "nationality", pair[::-1]
    if pointer.kind == DERIVED and parts == "an" and other.file == ATTRIBUTE and len(pair[0]) < len(pair[1]):
        yield "attribute", pair
    if pointer.kind == DERIVED and parts == "vn":
        if other.file == ACT and not pair[1].endswith("ing"):
            yield "act", pair
        if other.file == PERSON and pair[1].endswith(("er", "or")):
            yield "agent", pair
    if pointer.kind == ANTONYM and parts == "aa":
        longer, shorter = sorted(pair, key=lambda word: (-len(word), word))
        negates = NEGATION.match(longer) and longer.endswith(shorter)
        yield ("negation", (shorter, longer)) if negates else ("opposite", tuple(sorted(pair)))


def _symbols(synset: Synset) -> Iterator[tuple[str, Pair]]:
    """Yield a chemical element and its symbol."""
    if any(word.startswith("atomic_number_") for word in synset.words):
        symbols = [word for word in synset.words if re.fullmatch("[A-Z][a-z]?", word)]
        if symbols:
            yield "symbol", (synset.words[0], symbols[0])


def _capitals(net: WordNet, synset: Synset) -> Iterator[tuple[str, Pair]]:
    """Yield a country or state and its capital."""
    if any(CAPITALS & set(net.synsets[key].words) for key in synset.to(INSTANCE_OF)):
        for place in synset.to(PART_OF):
            yield "capital", (net.synsets[place].words[0], synset.words[0])
