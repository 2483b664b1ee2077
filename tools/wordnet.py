"""Read the dictionary files of WordNet 3.1 (`data.*`, `index.*`, `index.sense`; their format is wndb(5WN))."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_FILES = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
# The first number of a sense key; satellites (5) are adjectives.
_PARTS = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}
KIND_OF, INSTANCE_OF, PART, PART_OF = "@", "@i", "%p", "#p"
ANTONYM, DERIVED, PERTAINS, USAGE = "!", "+", "\\", ";u"


@dataclass(frozen=True, slots=True)
class Pointer:
    """A relation to the synset `to`, of all words (0) or between one word of each (numbered from 1)."""

    kind: str
    to: str
    own: int
    other: int


@dataclass(frozen=True, slots=True)
class Synset:
    """A sense: its words as written, the number of its lexicographer file, its pointers and its gloss."""

    key: str
    file: int
    words: tuple[str, ...]
    pointers: tuple[Pointer, ...]
    gloss: str

    def to(self, kind: str) -> list[str]:
        """Return the synsets that pointers of a kind lead to."""
        return [pointer.to for pointer in self.pointers if pointer.kind == kind]


@dataclass(frozen=True, slots=True)
class Sense:
    """A synset of a word and how often the word was tagged with it in WordNet's texts."""

    synset: Synset
    count: int


class WordNet:
    """The synsets by key, and the senses of every word by part of speech, the most frequent first.

    Raises FileNotFoundError if `folder` is not WordNet's folder `dict`.
    """

    def __init__(self, folder: Path) -> None:
        self.synsets: dict[str, Synset] = {}
        self.senses: dict[tuple[str, str], list[Sense]] = {}
        counts = _counts(folder)
        for name, part in _FILES.items():
            for line in _lines(folder / f"data.{name}"):
                synset = _synset(line, part)
                self.synsets[synset.key] = synset
            for line in _lines(folder / f"index.{name}"):
                word, *fields = line.split()
                keys = [part + offset for offset in fields[5 + int(fields[2]) :]]
                found = [Sense(self.synsets[key], counts[word, part, n]) for n, key in enumerate(keys, 1)]
                self.senses[word, part] = found

    def first(self, word: str, part: str) -> Synset | None:
        """Return the first sense of a word, given as it is written; None if it is written otherwise there."""
        found = self.senses.get((word.lower(), part), [])
        return found[0].synset if found and word in found[0].synset.words else None

    def of_word(self, word: str) -> list[Sense]:
        """Return the senses of a word in all parts of speech."""
        return [sense for part in _FILES.values() for sense in self.senses.get((word, part), [])]

    @cached_property
    def kinds(self) -> dict[str, list[Synset]]:
        """The direct hyponyms of each synset, in file order; instances are none."""
        found: dict[str, list[Synset]] = defaultdict(list)
        for synset in self.synsets.values():
            for above in synset.to(KIND_OF):
                found[above].append(synset)
        return found

    def below(self, synset: Synset) -> set[str]:
        """Return the keys of all hyponyms of a synset."""
        found: set[str] = set()
        waiting = [synset]
        while waiting:
            new = [kind for kind in self.kinds.get(waiting.pop().key, []) if kind.key not in found]
            found.update(kind.key for kind in new)
            waiting += new
        return found


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file without the licence, whose lines begin with two spaces."""
    with path.open(encoding="utf-8") as file:
        yield from (line for line in file if not line.startswith("  "))


def _synset(line: str, part: str) -> Synset:
    facts, _, gloss = line.partition(" | ")
    offset, file, _, count, *fields = facts.split()
    words = tuple(fields[2 * i].split("(")[0] for i in range(int(count, 16)))
    rest = fields[2 * len(words) :]
    pointers = tuple(_pointer(*rest[1 + 4 * i : 5 + 4 * i]) for i in range(int(rest[0])))
    return Synset(part + offset, int(file), words, pointers, gloss.strip())


def _pointer(kind: str, offset: str, part: str, places: str) -> Pointer:
    return Pointer(kind, part.replace("s", "a") + offset, int(places[:2], 16), int(places[2:], 16))


def _counts(folder: Path) -> dict[tuple[str, str, int], int]:
    """Return how often each sense of a word was tagged, by word, part of speech and number of the sense."""
    found = {}
    for line in _lines(folder / "index.sense"):
        key, _, number, count = line.split()
        word, _, rest = key.partition("%")
        found[word, _PARTS[rest[0]], int(number)] = int(count)
    return found
