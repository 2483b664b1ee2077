"""The kinds of words that sentences are made of, from WordNet. For `word_lists.py`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from word_list_forms import Forms
from word_list_nouns import CONCRETE, TABOO, Nouns, frequency, plural
from word_list_phrases import PERSON, UNSUITABLE, Phrase, phrases, usual_past
from wordnet import DERIVED, PERTAINS, USAGE, Synset, WordNet

# The topmost synsets of persons with a trade, an office or a part.
TRADES = "worker professional expert creator entertainer leader scholar businessperson traveler contestant official"
ALL, FOOD, SUBSTANCE = 3, 13, 27
ATTRIBUTE, QUANTITY, EMOTION, SOCIAL = 7, 23, 37, 41
# The least Zipf frequency of nouns, of those without a plural, and of adjectives.
NOUN, MASS, ADJECTIVE = 2.6, 3.0, 2.8
# Persons of one faith or nation are left out, since phrases are given to persons by chance.
FAITH = re.compile("Muslim|Islam|Shiite|India|Hindu|Jew|Christian|Catholic|Anglican|English|French|Russia|[Cc]hurch")
# How glosses of things begin that can be counted.
ONE = re.compile("(an?|any|one) ")
Word = str | tuple[str, str] | Phrase


class Words:
    """Words by kind, each without those of which a form is in the first list (`known`).

    `person`, `animal`: nouns; `phrase`: what persons do; `done`: verbs of what one person does to another; `thing`: an
    adjective and the plural of things that have it; `mass`, `count`: foods without and with a plural.
    """

    def __init__(self, net: WordNet, nouns: Nouns, forms: Forms, known: Collection[str]) -> None:
        self.net, self.nouns, self.forms = net, nouns, forms
        self._forms: dict[Word, set[str]] = {}
        kinds: dict[str, Iterator[Word]] = {
            "person": self._below(PERSON, TRADES),
            "animal": self._below(ALL, "animal"),
            "phrase": phrases(net, forms),
            "done": self._done(),
            "thing": self._things(),
            "mass": self._masses(),
            "count": self._counts(),
        }
        self.kinds = {
            kind: sorted({word for word in words if not self.forms_of(word) & set(known)}, key=str)
            for kind, words in kinds.items()
        }

    def forms_of(self, word: Word) -> set[str]:
        """Return every form of the content words of a noun, verb, pair or phrase, and the words as they are."""
        if word not in self._forms:
            pair = (word,) if isinstance(word, str) else word
            parts = (word.verb, *word.content) if isinstance(word, Phrase) else pair
            self._forms[word] = set().union(*(self._all(part) for part in parts))
        return self._forms[word]

    def is_thing(self, noun: str) -> bool:
        """Tell whether a noun is a concrete thing with a usual plural."""
        return self.is_of(CONCRETE, noun) and bool(self.forms.plural(noun))

    def is_of(self, files: Collection[int], noun: str) -> bool:
        """Tell whether the first sense of a noun is in one of these lexicographer files."""
        first = self.net.first(noun, "n")
        return first is not None and first.file in files

    def _all(self, word: str) -> set[str]:
        bases = {word, *(word.removesuffix(end) for end in ("s", "es"))} | {re.sub("ies$", "y", word)}
        given = {form for base in bases for form in (plural(base), self.forms.past(base), self.forms.progressive(base))}
        return (bases | given | self.forms.verbs[word] | self.forms.nouns[word]) - {""}

    def _below(self, file: int, words: str) -> Iterator[str]:
        """Yield plain nouns below the topmost synsets that begin with one of these words."""
        tops = [s for s in self.net.synsets.values() if s.file == file and s.words[0] in words.split()]
        below = set().union(*(self.net.below(top) for top in tops))
        for noun, first in self.nouns.plain(NOUN):
            suits = not UNSUITABLE.search(first.gloss) and not FAITH.search(first.gloss)
            if first.key in below and self.forms.plural(noun) and suits:
                yield noun

    def _done(self) -> Iterator[str]:
        """Yield verbs of emotion and of society with an example that ends in a pronoun ("The news shocked her")."""
        for synset in self._usual("v"):
            for verb in synset.words if synset.file in {EMOTION, SOCIAL} else ():
                past = usual_past(self.net, self.forms, verb)
                verbs = f"{verb}|{self.forms.third(verb)}|{past}"
                if past and re.search(rf'\b({verbs}) (him|her|them|me|us)"', synset.gloss):
                    yield verb

    def _things(self) -> Iterator[tuple[str, str]]:
        """Yield adjective and plural of the examples that are just these ("faded jeans").

        The noun is a concrete thing. The adjective is one of degree: it has a noun of an attribute, none of a
        quantity, and pertains to none.
        """
        for synset in self._usual("a"):
            nouns = {self.net.synsets[key].file for key in synset.to(DERIVED)}
            if ATTRIBUTE in nouns and QUANTITY not in nouns and not synset.to(PERTAINS):
                for adjective, noun in re.findall('"([a-z]+) ([a-z]+)"', synset.gloss):
                    first = self.net.first(_singular(noun), "n")
                    known = min(frequency(adjective), frequency(noun)) >= ADJECTIVE and adjective in synset.words
                    if known and first and first.file in CONCRETE and self.forms.plural(_singular(noun)) == noun:
                        yield adjective, noun

    def _masses(self) -> Iterator[str]:
        """Yield foods without a plural, of which no gloss begins with "a"; nouns in -o and -f have two plurals."""
        for noun, first in self.nouns.uncountable(MASS):
            one = any(ONE.match(sense.synset.gloss) for sense in self.net.of_word(noun))
            regular = not self.forms.nouns[noun] and not re.search("([ofs]|ing)$", noun)
            if first.file == FOOD and regular and not one:
                yield noun

    def _counts(self) -> Iterator[str]:
        """Yield foods with a plural, whose gloss begins with "a"."""
        for noun, first in self.nouns.plain(NOUN):
            if first.file == FOOD and self.forms.plural(noun) and ONE.match(first.gloss):
                yield noun

    def _usual(self, part: str) -> Iterator[Synset]:
        """Yield synsets without a usage label whose gloss is neither taboo nor unsuitable."""
        for key, synset in self.net.synsets.items():
            usual = not synset.to(USAGE) and not TABOO.search(synset.gloss) and not UNSUITABLE.search(synset.gloss)
            if key[0] == part and usual:
                yield synset


def _singular(noun: str) -> str:
    return noun[:-1] if noun.endswith("s") else ""
