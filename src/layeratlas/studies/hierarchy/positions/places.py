"""The places at which a data set is read: named spans, words of the template, and the ends of a chat turn."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layeratlas.core.errors import CaptureError
from layeratlas.data.items import Dataset, Item

if TYPE_CHECKING:
    from layeratlas.capture import Reading
    from layeratlas.models import LoadedModel

# The most places of one data set: words of a template, or tokens counted from the end.
_MOST_WORDS, _MOST_TOKENS = 12, 8
_WORD = re.compile(r"\S+")
LAST, MEAN = "last token", "mean of all tokens"
_TURN, _ANSWER = "end of the turn", "before the answer"
Offsets = Sequence[tuple[int, int]]
Tokens = tuple[tuple[int, ...], Offsets]


@dataclass(frozen=True, kw_only=True)
class PlaceRead:
    """One place: its name, and the tokens of every item with the positions read.

    `before`: whether text follows the place in every item. `ahead`: how many tokens of the text follow it on average.
    """

    name: str
    readings: Sequence[Reading]
    before: bool
    ahead: float


def places_of(model: LoadedModel, data: Dataset) -> list[PlaceRead]:
    """Return the places of a data set in text order, followed by the last token, the mean, and the ends of a chat.

    The order is that of the places' last tokens, on average over the texts. A named span is used if every text has it,
    and is read as the mean over its tokens. If all texts have the same number of words (at most 12), each word is a
    place and is read at its last token; otherwise the places are the last tokens, counted from the end. In a chat, the
    mean is over the user's turn.
    """
    texts = [_tokens(model, item.text) for item in data.items]
    found = {f"span '{name}'": _of_span(name) for name in _shared_spans(data)}
    found |= _of_words(data) or _from_the_end(texts)
    places = sorted(_read(found, data, texts), key=lambda place: -place.ahead)
    ends = {LAST: lambda item, offsets: _inside(offsets)[-1:], MEAN: lambda item, offsets: _all(offsets)}
    chat = [] if model.chat is None else _ends_of_chat(model, data)
    return [*places, *_read(ends, data, texts), *chat]


def _tokens(model: LoadedModel, text: str) -> Tokens:
    if model.chat is not None:
        framed = model.frame(text)
        return framed.ids, framed.offsets
    ids, offsets = model.encode_with_offsets(text)
    return tuple(ids), offsets


Find = Callable[[Item, Offsets], tuple[int, ...]]


def _read(found: Mapping[str, Find], data: Dataset, texts: Sequence[Tokens]) -> Iterator[PlaceRead]:
    """Yield the places at which every text has a token."""
    from layeratlas.capture import Reading

    last = [_inside(offsets)[-1:] for _, offsets in texts]
    for name, find in found.items():
        at = [find(item, offsets) for item, (_, offsets) in zip(data.items, texts, strict=True)]
        if not all(at):
            continue
        ahead = [end[0] - max(positions) for end, positions in zip(last, at, strict=True)]
        yield PlaceRead(
            name=name,
            readings=[Reading(ids=ids, positions=positions) for (ids, _), positions in zip(texts, at, strict=True)],
            before=min(ahead) > 0,
            ahead=sum(ahead) / len(ahead),
        )


def _inside(offsets: Offsets) -> tuple[int, ...]:
    """Return the tokens of the text itself, without BOS and chat template."""
    return tuple(i for i, (start, end) in enumerate(offsets) if end > start)


def _all(offsets: Offsets) -> tuple[int, ...]:
    """Return the tokens of the text except position 0, the attention sink."""
    inside = _inside(offsets)
    return tuple(i for i in inside if i) or inside


def _covering(offsets: Offsets, start: int, end: int) -> tuple[int, ...]:
    return tuple(i for i, (a, b) in enumerate(offsets) if a < end and b > start and b > a)


def _shared_spans(data: Dataset) -> list[str]:
    shared = set(data.items[0].spans).intersection(*(item.spans for item in data.items))
    return [name for name in data.items[0].spans if name in shared]


def _of_span(name: str) -> Find:
    return lambda item, offsets: _covering(offsets, *item.spans[name])


def _of_words(data: Dataset) -> Mapping[str, Find]:
    """Return the words of a template by number; empty if texts differ in their number of words.

    The last word is left out, because its last token is the last token of the text.
    """
    counts = {len(_WORD.findall(text)) for text in data.texts}
    if len(counts) != 1 or not 1 < (count := counts.pop()) <= _MOST_WORDS:
        return {}
    return {f"word {number + 1} of {count}": _of_word(number) for number in range(count - 1)}


def _of_word(number: int) -> Find:
    def find(item: Item, offsets: Offsets) -> tuple[int, ...]:
        word = list(_WORD.finditer(item.text))[number]
        return _covering(offsets, word.start(), word.end())[-1:]

    return find


def _from_the_end(texts: Sequence[Tokens]) -> Mapping[str, Find]:
    fewest = min(len(_inside(offsets)) for _, offsets in texts)
    return {f"token {back} before the last": _back(back) for back in range(min(fewest, _MOST_TOKENS) - 1, 0, -1)}


def _back(steps: int) -> Find:
    return lambda item, offsets: _inside(offsets)[-1 - steps :][:1]


def _ends_of_chat(model: LoadedModel, data: Dataset) -> list[PlaceRead]:
    """Return two places: the token with which the template ends the user's turn, and the last one before the answer."""
    from layeratlas.capture import Reading

    places = []
    for name, answer in ((_TURN, False), (_ANSWER, True)):
        framed = [model.frame(text, answer=answer).ids for text in data.texts]
        if any(not ids for ids in framed):
            raise CaptureError("a chat without tokens", "a template that writes the text", "run without --chat")
        readings = [Reading(ids=ids, positions=(len(ids) - 1,)) for ids in framed]
        places.append(PlaceRead(name=name, readings=readings, before=False, ahead=0.0))
    return places
