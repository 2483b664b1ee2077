"""Grammar: "The gardener waters the roses." against "The gardener water the roses."; also number and tense."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable

from layeratlas.core.spec import Size
from layeratlas.data.items import Dataset, Item
from layeratlas.data.lists import read_list
from layeratlas.data.task import Task

_FRAMES_PER_PHENOMENON = {"quick": 8, "standard": 16, "full": 36}
_ROWS = {"quick": 40, "standard": 120, "full": 120}
_SITE = re.compile(r"<([^<>|]*)\|([^<>|]*)>|\[([^\[\]|]*)\|([^\[\]|]*)\]")
_MODALS = ("will", "could", "might")


class Grammar(Task):
    """Grammaticality over thirteen phenomena, and the morphology of grammatical sentences (number, tense).

    `grammaticality`: a group is one frame with two choices of two, "The <gardener|gardeners> [waters|water] the
    roses.", and holds all four texts. Every word is equally frequent in both classes, so no word alone predicts the
    label: only the agreement between the two choices does. All texts of a group share at least their last two words,
    and every text ends with a full stop. Within a phenomenon no content word is in two groups, except for the few
    words that mark the phenomenon ("perhaps", "enjoyed"); across phenomena a noun may recur, equally often in both
    classes. Word bigrams are uninformative about held-out groups in nine phenomena, but nearly sufficient in
    `inversion`, `pronoun` and `complement` and weakly informative in `adjective`, whose markers are few: read the
    strata before calling a result agreement over a distance.

    `number` (is the subject singular or plural?) and `tense` (past or present?): a group is one row of subject, verb
    and remainder; no content word is in two groups, so the full size adds variants of the same 120 rows and no new
    words. For number the verb is in the past or follows a modal, so that only the noun marks the number; for tense the
    subject is singular and plural equally often in both classes.

    The second word lists, from WordNet, have the same function words and other content words; at size full,
    `grammaticality` has 16 groups of each phenomenon in them.
    """

    summary = "is the sentence grammatical (thirteen phenomena), is its subject plural, is it in the past?"
    levels = {"grammar": "grammatical errors", "morphology": "number and tense"}

    def build(self, size: Size) -> list[Dataset]:
        """Return `grammaticality` (level grammar; its strata are the phenomena), `number` and `tense` (morphology)."""
        return [
            _both("grammaticality", "grammar", lambda words: _grammaticality(words, size), "grammar_pairs"),
            _both("number", "morphology", lambda words: _number(words, size), "grammar_number"),
            _both("tense", "morphology", lambda words: _tense(words, size), "grammar_tense"),
        ]


def _both(name: str, level: str, build: Callable[[str], list[Item]], words: str) -> Dataset:
    """Return a data set in the first list and, as its other words, in the second."""
    second = Dataset(name, level, tuple(build(f"{words}_wordnet")))
    return Dataset(name, level, tuple(build(words)), other_words=second)


def _grammaticality(words: str, size: Size) -> list[Item]:
    frames: dict[str, list[str]] = defaultdict(list)
    for row in read_list(words):
        frames[row["phenomenon"]].append(row["frame"])
    items = []
    for phenomenon, of_phenomenon in frames.items():
        for number, frame in enumerate(of_phenomenon[: _FRAMES_PER_PHENOMENON[size]]):
            for first, second in ((0, 0), (1, 1), (0, 1), (1, 0)):
                label = "grammatical" if first == second else "ungrammatical"
                items.append(Item(_fill(frame, first, second), label, f"{phenomenon}-{number:02d}", stratum=phenomenon))
    return items


def _fill(frame: str, first: int, second: int) -> str:
    """Take choice `first` at every <a|b> and choice `second` at every [c|d]."""

    def choose(site: re.Match[str]) -> str:
        return str(site.groups()[first] if site[0].startswith("<") else site.groups()[2 + second])

    return _SITE.sub(choose, frame)


def _number(words: str, size: Size) -> list[Item]:
    items = []
    for number, row in enumerate(read_list(words)[: _ROWS[size]]):
        verbs = [row["past"]]
        if size == "full":
            verbs += [f"{modal} {row['base']}" for modal in _MODALS]
        for verb in verbs:
            for label in ("singular", "plural"):
                items.append(Item(f"The {row[label]} {verb} {row['rest']}.", label, f"number-{number:03d}"))
    return items


def _tense(words: str, size: Size) -> list[Item]:
    """Subjects alternate between singular and plural by row; the full size has both, with and without "often"."""
    items = []
    for number, row in enumerate(read_list(words)[: _ROWS[size]]):
        turn = ("singular", "plural")[number % 2]
        for subject in ("singular", "plural") if size == "full" else (turn,):
            present = row["third"] if subject == "singular" else row["base"]
            for adverb in ("", "often ") if size == "full" else ("",):
                for label, verb in (("past", row["past"]), ("present", present)):
                    text = f"The {row[subject]} {adverb}{verb} {row['rest']}."
                    items.append(Item(text, label, f"tense-{number:03d}"))
    return items


PLUGIN = Grammar()
