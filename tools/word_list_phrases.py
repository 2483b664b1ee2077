"""What persons do, from the examples in WordNet's glosses of verbs ("unzip the bag"). For `word_lists.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from word_list_forms import Forms
from word_list_nouns import TABOO, frequency
from wordnet import USAGE, Synset, WordNet

PREPOSITIONS = frozenset(
    re.findall(
        r"\w+",
        "about above across after against along among around at away back before behind below beneath beside between "
        "by down during for from in inside into near of off on onto out over past through to toward towards under up "
        "with without",
    )
)
ARTICLES = {"the", "a", "an"}
PERSON, STATIVE = 18, 42
# The least Zipf frequency of a verb in the past, and of any other word.
VERB, WORD = 2.3, 2.8
# Glosses and examples about killing, injury or the body are left out, as those of taboo nouns are.
UNSUITABLE = re.compile(
    r"\b(kill|dead|death|die|drown|suffocat|strangl|mutilat|dismember|corpse|lynch|slave|terroris|rape|pornograph|shoot|"
    r"whore|boys|drugs?|abortion|chemotherapy|uterus|kidney|eviscerat|bra\b|breast|feces|vomit|circumcis)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A verb with a certain past, in its base form, the words after it, and the lexicographer file of its sense."""

    verb: str
    rest: tuple[str, ...]
    file: int

    @property
    def content(self) -> set[str]:
        """The words after the verb but articles and prepositions."""
        return set(self.rest) - PREPOSITIONS - ARTICLES

    @property
    def object(self) -> str:
        """The object, if it is an article and a noun; otherwise ""."""
        ends = len(self.rest) == 2 or (len(self.rest) > 2 and self.rest[2] in PREPOSITIONS)
        return self.rest[1] if self.rest[0] in ARTICLES and ends else ""


def phrases(net: WordNet, forms: Forms) -> Iterator[Phrase]:
    """Yield the phrases in the examples of verbs, each with a verb of the synset.

    An example begins with the verb and an article ("unzip the bag"), or with "he", "she", "I" or a person and the verb
    ("He excelled in math"). What follows are nouns, with at most one word before them, articles and prepositions,
    and perhaps an adverb at the end. Stative verbs, those that link their subject to a noun or adjective, and glosses
    with a usage label are left out.
    """
    for key, synset in net.synsets.items():
        if key[0] == "v" and synset.file != STATIVE and not synset.to(USAGE) and not _unsuitable(synset):
            for example in re.findall('"([^"]*)"', synset.gloss):
                words = re.sub("[.!]$", "", example).split()
                found = [_phrase(net, forms, synset, verb, words) for verb in synset.words]
                yield from [phrase for phrase in found if phrase][:1]


def _unsuitable(synset: Synset) -> bool:
    return bool(TABOO.search(synset.gloss) or UNSUITABLE.search(synset.gloss))


def _phrase(net: WordNet, forms: Forms, synset: Synset, lemma: str, words: list[str]) -> Phrase | None:
    """Return the phrase of an example whose verb is `lemma`; None if it is not of the right form."""
    verb, *particles = lemma.split("_")
    past = usual_past(net, forms, verb)
    if not past or len(words) < 3:
        return None
    start = _start(net, [words[0].lower(), *words[1:]], {past, forms.third(verb)}, verb)
    rest = tuple(words[start:])
    if not start or not set(particles) <= set(rest) or not _plain(net, rest):
        return None
    return Phrase(verb, rest, synset.file)


def usual_past(net: WordNet, forms: Forms, verb: str) -> str:
    """Return the past of a verb, if it is certain, in use, and cannot be mistaken for another word; otherwise ""."""
    past = forms.past(verb) if re.fullmatch("[a-z]{3,}", verb) else ""
    shorter = verb.endswith("e") and (verb[:-1], "v") in net.senses  # "dinged" is the past of "ding"
    another = shorter or (past, "v") in net.senses or (past, "n") in net.senses  # "found", "stove"
    return "" if another or frequency(past) < VERB else past


def _start(net: WordNet, words: list[str], finite: set[str], verb: str) -> int:
    """Return the number of words up to the verb; 0 if the verb is not there or its subject may not be a person."""
    if words[0] == verb and words[1] in ARTICLES:
        return 1
    if words[0] in {"he", "she", "i"} and words[1] in finite:
        return 2
    person = net.first(words[1], "n") if words[0] in ARTICLES else None
    return 3 if person and person.file == PERSON and words[2] in finite else 0


def _plain(net: WordNet, rest: tuple[str, ...]) -> bool:
    """Tell whether the words after a verb are of the forms that `phrases` names, and in use."""
    if len(rest) < 2 or any(not re.fullmatch("[a-z]+", word) or frequency(word) < WORD for word in rest):
        return False
    if any(pair[0] == "to" and (pair[1], "v") in net.senses for pair in pairwise(rest)):
        return False
    parts: list[list[str]] = [[]]
    for word in rest:
        if word in PREPOSITIONS:
            parts.append([])
        else:
            parts[-1].append(word)
    return bool(parts[-1]) and all(_is_noun_phrase(net, part) for part in parts if part)


def _is_noun_phrase(net: WordNet, words: list[str]) -> bool:
    if len(words) > 1 and words[-1].endswith("ly") and (words[-1], "r") in net.senses:
        words = words[:-1]
    one, words = words[0] in {"a", "an"}, words[words[0] in ARTICLES :]
    if not 1 <= len(words) <= 2 or any(len(word) < 3 for word in words):
        return False
    if one and (words[-1], "n") not in net.senses:
        return False
    before_noun = len(words) == 1 or (words[0], "a") in net.senses or is_noun(net, words[0])
    return before_noun and not set(words) & ARTICLES and is_noun(net, words[-1])


def is_noun(net: WordNet, word: str) -> bool:
    """Tell whether a word is a noun, or the regular plural of one, of three letters or more in lower case."""
    endings = (("", ""), ("s", ""), ("es", ""), ("ies", "y"))
    bases = [word.removesuffix(old) + new for old, new in endings if word.endswith(old)]
    senses = [(base, sense) for base in bases if len(base) > 2 for sense in net.senses.get((base, "n"), [])]
    return any(base in sense.synset.words for base, sense in senses)
