"""Rows for number, tense and grammaticality: persons, and what they do by WordNet's examples. For `word_lists.py`.

The function words of a frame are those of frames of the first list; all content words are others.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from word_list_phrases import Phrase
from word_list_words import FOOD, SUBSTANCE, Words

ROWS, FRAMES = 120, 16
BESIDE = ("near", "behind", "beside", "opposite", "next to", "in front of", "across from", "between")
# Ends of frames that would otherwise have no two words after their choices.
TAILS = ("last week", "two days ago", "last month", "a week ago", "last year", "an hour ago")
QUANTITIES = (
    "did not {verb} <much|many>",
    "{past} <a little|a few>",
    "{past} too <much|many>",
    "{past} so <much|many>",
)
BE, HAVE, MANY = {"is", "are", "was", "were"}, {"has", "have", "had"}, {"are", "were", "have", "do"}
# Lexicographer files of verbs: change, contact and motion; consumption, creation, perception and possession; and those
# that may be in progress.
MOVING, MAKING = {30, 35, 38}, {34, 36, 39, 40}
EVENTS = {30, 32, 33, 34, 35, 36, 38}
Row = tuple[str, ...]


class Writer:
    """Gives words in random order, no form of which was given since `fresh`; those never given before come first."""

    def __init__(self, words: Words, seed: str) -> None:
        self.words, self.forms = words, words.forms
        self._used: set[str] = set()
        self._left = {kind: random.Random(f"{seed}-{kind}").sample(of, len(of)) for kind, of in words.kinds.items()}

    def fresh(self) -> None:
        """Let all words be given again."""
        self._used = set()

    def take(self, kind: str, *fits: Callable[[Any], bool]) -> Any:
        """Return the next word of a kind that fits; if none is left, the next that meets the next condition.

        Raises LookupError if none is left that fits any of them.
        """
        for fit in fits or [lambda word: True]:
            for word in self._left[kind]:
                if fit(word) and not self.words.forms_of(word) & self._used:
                    self._left[kind].remove(word)
                    self._left[kind].append(word)
                    self._used |= self.words.forms_of(word)
                    return word
        raise LookupError(kind)

    def subject(self, many: bool = False) -> str:
        """Return a person's noun, or its plural."""
        noun = str(self.take("person"))
        return self.forms.plural(noun) if many else noun

    def subjects(self, kind: str = "person") -> str:
        """Return a choice of a noun and its plural."""
        noun = self.take(kind)
        return f"<{noun}|{self.forms.plural(noun)}>"

    def finite(self) -> str:
        """Return a choice of third person and base form, and what follows."""
        phrase = self.take("phrase")
        return f"[{self.forms.third(phrase.verb)}|{phrase.verb}] {' '.join(phrase.rest)}"


def number_rows(writer: Writer) -> Iterator[Row]:
    """Yield singular, plural, past, base form and rest of 120 sentences without a common content word."""
    for _ in range(ROWS):
        noun, phrase = writer.take("person"), writer.take("phrase")
        past = writer.forms.past(phrase.verb)
        yield noun, writer.forms.plural(noun), past, phrase.verb, " ".join(phrase.rest)


def tense_rows(writer: Writer) -> Iterator[Row]:
    """Yield the same with the third person before the base form."""
    for noun, plural, past, verb, rest in number_rows(writer):
        yield noun, plural, past, writer.forms.third(verb), verb, rest


def pair_rows(writer: Writer, first: Iterable[dict[str, str]]) -> Iterator[Row]:
    """Yield phenomenon and frame; at most 16 frames of each phenomenon, in the order of the first list."""
    frames: dict[str, list[str]] = {}
    for row in first:
        frames.setdefault(row["phenomenon"], []).append(row["frame"])
    for phenomenon, of_phenomenon in frames.items():
        writer.fresh()
        written = (_MAKERS[phenomenon](writer, frame, number) for number, frame in enumerate(of_phenomenon))
        found = [frame for frame in _until_none_is_left(written) if frame]
        yield from ((phenomenon, frame) for frame in found[:FRAMES])


def _until_none_is_left(frames: Iterator[str]) -> Iterator[str]:
    try:
        yield from frames
    except LookupError:
        return


def _agreement(writer: Writer, frame: str, number: int) -> str:
    return f"The {writer.subjects()} {writer.finite()}."


def _agreement_phrase(writer: Writer, frame: str, number: int) -> str:
    beside = BESIDE[number % len(BESIDE)]
    return f"The {writer.subjects()} {beside} the {writer.subject(many=True)} {writer.finite()}."


def _agreement_relative(writer: Writer, frame: str, number: int) -> str:
    past = writer.forms.past(writer.take("done"))
    return f"The {writer.subjects()} who the {writer.subject(many=True)} {past} {writer.finite()}."


def _determiner(writer: Writer, frame: str, number: int) -> str:
    """Choose the object, a thing that has a plural."""
    things = writer.words.is_thing
    phrase = writer.take("phrase", lambda p: things(p.object) and len(p.rest) > 3, lambda p: things(p.object))
    these = re.findall("<.*?>", frame)[0]
    objects = f"[{phrase.object}|{writer.forms.plural(phrase.object)}]"
    return f"The {writer.subject()} {writer.forms.past(phrase.verb)} {these} {objects} {_after_object(phrase, number)}."


def _reflexive(writer: Writer, frame: str, number: int) -> str:
    """Put the pronoun in the place of a thing that is moved or changed; the subjects are animals."""

    def moved(phrase: Phrase) -> bool:
        return phrase.file in MOVING and _replaceable(writer, phrase)

    phrase = writer.take("phrase", lambda phrase: moved(phrase) and len(phrase.rest) > 3, moved)
    subjects, past = writer.subjects("animal"), writer.forms.past(phrase.verb)
    return f"The {subjects} {past} [itself|themselves] {_after_object(phrase, number)}."


def _replaceable(writer: Writer, phrase: Phrase) -> bool:
    """Tell whether the object is a thing that is made, moved or changed; "of" after it would belong to it."""
    return phrase.file in MAKING | MOVING and writer.words.is_thing(phrase.object) and phrase.rest[2:3] != ("of",)


def _after_object(phrase: Phrase, number: int) -> str:
    return " ".join(phrase.rest[2:]) or TAILS[number % len(TAILS)]


def _auxiliary(writer: Writer, frame: str, number: int) -> str:
    """After "be" the verb needs an object: "is slumped onto the couch" is grammatical, "is fixed the car" is not."""
    one, other = _choices(frame, "<")
    phrase = _with_participle(writer, lambda p: _in_progress(writer, p) and (other not in BE or p.object))
    subject = writer.subject(many=bool({one, other} & MANY))
    past, progressive = writer.forms.participle(phrase.verb), writer.forms.progressive(phrase.verb)
    forms = f"{past}|{progressive}" if other in BE else f"{phrase.verb}|{past}"
    return f"The {subject} <{one}|{other}> [{forms}] {' '.join(phrase.rest)}."


def _with_participle(writer: Writer, fits: Callable[[Phrase], bool] = lambda phrase: True) -> Phrase:
    """Return a phrase that fits and whose verb has a certain participle."""
    found: Phrase = writer.take("phrase", lambda phrase: fits(phrase) and bool(writer.forms.participle(phrase.verb)))
    return found


def _in_progress(writer: Writer, phrase: Phrase) -> bool:
    return phrase.file in EVENTS and bool(writer.forms.progressive(phrase.verb))


def _pronoun(writer: Writer, frame: str, number: int) -> str:
    one, other = _choices(frame, "<")
    phrase, subject = writer.take("phrase"), writer.subject(many=not one.endswith("s"))
    pronouns = "|".join(_choices(frame, "["))
    return f"The {subject} <{one}|{other}> [{pronouns}] {phrase.verb} {' '.join(phrase.rest)}."


def _quantity(writer: Writer, frame: str, number: int) -> str:
    """Put foods in the place of foods and substances, or of other things."""

    def fits(phrase: Phrase) -> bool:
        return writer.words.is_of({FOOD, SUBSTANCE}, phrase.object) and phrase.rest[2:3] != ("of",)

    others = [lambda p, files=files: p.file in files and _replaceable(writer, p) for files in (MAKING, MOVING)]
    phrase = writer.take("phrase", fits, *others)
    mass, count = writer.take("mass"), writer.forms.plural(writer.take("count"))
    quantity = QUANTITIES[number % len(QUANTITIES)].format(verb=phrase.verb, past=writer.forms.past(phrase.verb))
    return f"The {writer.subject()} {quantity} [{mass}|{count}] {_after_object(phrase, number)}."


def _tense(writer: Writer, frame: str, number: int) -> str:
    phrase = writer.take("phrase")
    forms = f"{writer.forms.past(phrase.verb)}|will {phrase.verb}"
    return f"<{'|'.join(_choices(frame, '<'))}> the {writer.subject()} [{forms}] {' '.join(phrase.rest)}."


def _polarity(writer: Writer, frame: str, number: int) -> str:
    """Keep the frames of an auxiliary verb that is not a form of "be"."""
    one, other = _choices(frame, "<")
    if " " in one or one in BE or not re.match("(could|can|will|would|should|has|had)$", one):
        return ""
    phrase, subject, too = _with_participle(writer), writer.subject(), writer.subject()
    verb = writer.forms.participle(phrase.verb) if one in HAVE else phrase.verb
    return f"The {subject} <{one}|{other}> {verb} {' '.join(phrase.rest)}, and [so|neither] {one} the {too}."


def _inversion(writer: Writer, frame: str, number: int) -> str:
    inverted, straight = _choices(frame, "<")
    verb, *_ = _choices(frame, "[")[0].split()
    if verb in BE:
        return ""
    phrase, subject = _with_participle(writer), writer.subject(many=verb in MANY)
    form = writer.forms.participle(phrase.verb) if verb in HAVE else phrase.verb
    choices = f"<{inverted}|{straight}> [{verb} the {subject}|the {subject} {verb}]"
    return f"{choices} {form} {' '.join(phrase.rest)}."


def _complement(writer: Writer, frame: str, number: int) -> str:
    phrase = writer.take("phrase", lambda phrase: _in_progress(writer, phrase))
    forms = f"to {phrase.verb}|{writer.forms.progressive(phrase.verb)}"
    return f"The {writer.subject()} <{'|'.join(_choices(frame, '<'))}> [{forms}] {' '.join(phrase.rest)}."


def _adjective(writer: Writer, frame: str, number: int) -> str:
    """Put things of another kind in the place of the object."""
    phrase = writer.take("phrase", lambda phrase: _replaceable(writer, phrase))
    adjective, things = writer.take("thing")
    objects = f"[{adjective} |]<{things}|something>[| {adjective}]"
    return f"The {writer.subject()} {writer.forms.past(phrase.verb)} {objects} {_after_object(phrase, number)}."


def _choices(frame: str, bracket: str) -> list[str]:
    """Return the options of the first choice in these brackets."""
    return re.findall(rf"\{bracket}([^\]>]*)", frame)[0].split("|")


_MAKERS: dict[str, Callable[[Writer, str, int], str]] = {
    "agreement": _agreement,
    "agreement-phrase": _agreement_phrase,
    "agreement-relative": _agreement_relative,
    "determiner": _determiner,
    "reflexive": _reflexive,
    "auxiliary": _auxiliary,
    "pronoun": _pronoun,
    "quantity": _quantity,
    "tense": _tense,
    "polarity": _polarity,
    "inversion": _inversion,
    "complement": _complement,
    "adjective": _adjective,
}
