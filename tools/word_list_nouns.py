"""Which nouns of WordNet are plain: common, countable, of one clear sense. For `word_lists.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from wordfreq import zipf_frequency
from wordnet import INSTANCE_OF, USAGE, Synset, WordNet

# The lexicographer files of concrete things, by number.
CONCRETE = {5: "animal", 6: "artifact", 8: "body", 13: "food", 17: "object", 20: "plant", 27: "substance"}
FOOD, PLANT = 13, 20
# A plural that is rarer than its singular by more than this (tenfold is 1) marks a noun without a usual plural.
PLURAL = 1.5
# The least share of a word's tagged uses that are in the lexicographer file of its first sense.
SHARE = 0.75
# A word that is so much more frequent in one of these languages (tenfold) is taken for a word of it.
FOREIGN, OTHERS = 1.0, ("de", "es", "fr", "it", "nl", "pt")
TABOO = re.compile(
    r"\b(sex|penis|vagina|genital|prostitut|brothel|excre|urin|buttock|breasts|narcotic|cannabis|marijuana|"
    r"drug of abuse|insult|offensive|derog|disparag|contempt|obscen|vulgar|slur)",
    re.I,
)
# Nouns whose article is not told by their first letter.
UNCLEAR = re.compile("u|eu|ew|one|hour|heir|hon|herb")


class Nouns:
    """The plain nouns of WordNet. Glosses about sex, excretion, drugs or insults make a noun taboo."""

    def __init__(self, net: WordNet) -> None:
        self.net = net

    def plain(self, least: float) -> Iterator[tuple[str, Synset]]:
        """Yield the plain nouns with a Zipf frequency of at least `least`, each with its first sense."""
        yield from ((word, first) for word, first in self.usable(least) if self._clear(word, first))

    def uncountable(self, least: float) -> Iterator[tuple[str, Synset]]:
        """Yield nouns, with their first sense, whose plural is in hardly any use, and all of whose senses are alike."""
        for word, part in self.net.senses:
            rare = frequency(plural(word)) < frequency(word) - PLURAL
            first = self.net.first(word, "n") if part == "n" and rare and self._english(word, least) else None
            clear = first and {sense.synset.file for sense in self.net.of_word(word)} == {first.file}
            if first and clear and word == max(first.words, key=frequency) and not self._labelled(word, first):
                yield word, first

    def usable(self, least: float) -> Iterator[tuple[str, Synset]]:
        """Yield nouns that need not be of one clear sense, because a second noun makes theirs clear."""
        for word, part in self.net.senses:
            first = self.net.first(word, "n") if part == "n" and self._usual(word, least) else None
            if first and word == max(first.words, key=frequency) and not self._labelled(word, first):
                yield word, first

    def _usual(self, word: str, least: float) -> bool:
        """Tell whether a word is in use, and its plural."""
        return self._english(word, least) and frequency(plural(word)) >= frequency(word) - PLURAL

    @staticmethod
    def _english(word: str, least: float) -> bool:
        """Tell whether a word of at least four lower-case letters is in use, and English."""
        if not re.fullmatch("[a-z]{4,}", word) or UNCLEAR.match(word) or frequency(word) < least:
            return False
        return max(zipf_frequency(word, language) for language in OTHERS) <= frequency(word) + FOREIGN

    def _clear(self, word: str, first: Synset) -> bool:
        """Tell whether a word is nearly always used in the lexicographer file of its first sense.

        That is so for 75 % of the uses that WordNet's texts tag, in all parts of speech, or, if none is tagged, for all
        senses. A food may also be the plant that bears it.
        """
        senses = self.net.of_word(word)
        files = {FOOD, PLANT} if first.file == FOOD else {first.file}
        total = sum(sense.count for sense in senses)
        own = sum(sense.count for sense in senses if sense.synset.file in files)
        if total < 1 and any(sense.synset.file not in files for sense in senses):
            return False
        return own >= SHARE * total

    def _labelled(self, word: str, first: Synset) -> bool:
        """Tell whether a word is a name in some sense, has a usage label ("slang") or is taboo."""
        senses = [sense.synset for sense in self.net.of_word(word)]
        name = any(other.lower() == word != other for sense in senses for other in sense.words)
        labels = any(sense.to(USAGE) for sense in senses)
        return name or labels or bool(first.to(INSTANCE_OF)) or any(TABOO.search(sense.gloss) for sense in senses)


@cache
def frequency(word: str) -> float:
    """Return the Zipf frequency of a word; 0 for words of several parts."""
    return float(zipf_frequency(word, "en")) if word.isalpha() else 0.0


def plural(noun: str) -> str:
    """Return the regular plural."""
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if re.search("[^aeiou]y$", noun) else f"{noun}s"
