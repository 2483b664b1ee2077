"""Questions with choices, and sets of them; shapes and contents are checked once, at construction."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from layeratlas.core.errors import DataError
from layeratlas.data.bad_rows import Dropped
from layeratlas.data.names import check_name


@dataclass(frozen=True, slots=True)
class Question:
    """One question, its choices and which of them are true.

    `text` contains neither the instruction nor the options; `answers` are the 0-based positions of the true choices.
    Questions of one `group` (a question in several languages, an integer problem and its float twin) are resampled
    together. `stratum` names a subset that is also reported separately (`all`: none). `where` is the file and line from
    which the question was read. `chain` is the reasoning that leads to the answer, if known. `final` is the answer
    itself, a number, of questions whose choices are worked solutions.

    With an `ending`, the choices are read and not scored: the ending follows each of them, and it alone is scored, as
    for the sentences of WinoGrande (Trinh and Le 2018, arXiv 1806.02847).
    """

    text: str
    choices: tuple[str, ...]
    answers: tuple[int, ...]
    group: str
    stratum: str = "all"
    where: str = ""
    chain: str = ""
    final: str = ""
    ending: str = ""

    @property
    def truth(self) -> str:
        """The first true choice."""
        return self.choices[self.answers[0]]

    def identity(self) -> list[Any]:
        """Return what determines a run's numbers; a chain that is part of the choices is left out."""
        chain = [f"chain: {self.chain}"] if self.chain and not self.final else []
        ending = [f"ending: {self.ending}"] if self.ending else []
        return [self.text, self.choices, self.answers, self.group, self.stratum, *chain, *ending]

    @property
    def worked(self) -> tuple[str, str]:
        """The reasoning that leads to the answer (empty if it is not known), and the answer."""
        return self.chain or (self.truth if self.final else ""), self.final or self.truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Prompts that another tool wrote: a question's `text` is the whole prompt, and a choice follows after `delimiter`.

    `by` is the tool with its version; each prompt contains `shots` worked examples.
    """

    by: str
    delimiter: str
    shots: int


@dataclass(frozen=True)
class QuestionSet:
    """The questions of one task: `name` within a `level` (the ability it asks for), in one language.

    `shots` are worked examples; a prompt uses the first few, and they are never scored. Sets are `evident` if choices
    can be judged without the question ("29 * 3 = 97" is wrong by itself); the score of choices without their question
    then measures part of the ability and is no control. `confounded` states what else separates the true choice from
    the false ones; such sets are plotted, but excluded from the tests. `made` says what the wrong
    choices are where the file has true answers alone. `dropped` are rows of the file that were left out. `written` is
    given if the questions are whole prompts; then there is no instruction, and there are no shots.

    Raises DataError, naming file and line, for questions that cannot be scored: an empty question or choice, one
    choice, duplicate choices, an answer outside the choices, no false choice, a shot that is also an item, a duplicate,
    a false choice that is true of the same question elsewhere in the set, no items.
    """

    name: str
    level: str
    items: tuple[Question, ...]
    shots: tuple[Question, ...] = ()
    instruction: str = ""
    language: str = "en"
    source: str = ""
    evident: bool = False
    confounded: str = ""
    made: str = ""
    dropped: tuple[Dropped, ...] = ()
    written: Written | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        place = self.source or f"task '{self.name}'"
        if not self.items:
            raise DataError(f"{place} has no questions", "at least one", "check the file or the task")
        for kind, questions in (("item", self.items), ("shot", self.shots)):
            for number, question in enumerate(questions, 1):
                check_question(question, question.where or f"{place}, {kind} {number}")
        for _, error in conflicts(self.items, self.shots, place):
            raise error

    def __len__(self) -> int:
        return len(self.items)

    def identity(self) -> Any:
        """Return everything that determines a run's numbers, as JSON."""
        questions = [[question.identity() for question in group] for group in (self.items, self.shots)]
        written = [self.written.delimiter] if self.written else []
        return [self.name, self.instruction, self.language, self.evident, questions, *written]

    def without(self, rows: Collection[int], dropped: Sequence[Dropped]) -> Self:
        """Return the set without the items with these 0-based numbers, which are recorded in `dropped`."""
        kept = tuple(question for number, question in enumerate(self.items) if number not in rows)
        return replace(self, items=kept, dropped=(*self.dropped, *dropped))

    @property
    def chance(self) -> float:
        """Chance accuracy: the mean share of true choices."""
        return sum(len(q.answers) / len(q.choices) for q in self.items) / len(self.items)


def check_question(question: Question, where: str) -> None:
    """Raise DataError, naming `where`, unless a question can be scored."""
    if not question.text.strip() and not question.ending:
        raise DataError(f"{where} has an empty question", "a text", "fill or drop it")
    if len(question.choices) < 2:
        raise DataError(f"{where} has {len(question.choices)} choices", "two or more", "add choices or drop it")
    for choice in question.choices:
        if not choice.strip():
            raise DataError(f"{where} has an empty choice", "a text in every choice", "fill or drop it")
    if len(set(question.choices)) < len(question.choices):
        copy = next(c for c in question.choices if question.choices.count(c) > 1)
        raise DataError(f"{where} has the choice '{copy}' twice", "different choices", "drop one")
    _check_answers(question.answers, len(question.choices), where)


def conflicts(items: Sequence[Question], shots: Sequence[Question], place: str) -> Iterator[tuple[int, DataError]]:
    """Yield the 0-based numbers of items that conflict with other items, each with its error.

    These are items that are also worked examples, duplicates, and items with a false choice that is true for the same
    question in another item.
    """
    wheres = [question.where or f"{place}, item {number}" for number, question in enumerate(items, 1)]
    shown, seen = {_words(question) for question in shots}, set()
    for number, (question, where) in enumerate(zip(items, wheres, strict=True)):
        words = _words(question)
        if words in shown:
            yield number, DataError(f"{where} is also a worked example", "items that are not examples", "drop one")
        elif words in seen:
            yield number, DataError(f"{where} is duplicated", "each question once", "drop one")
        seen.add(words)
    yield from _contradictions(items, wheres)


def _contradictions(items: Sequence[Question], wheres: Sequence[str]) -> Iterator[tuple[int, DataError]]:
    """Yield the items with a false choice that is true for the same question in another item."""
    true: dict[tuple[str, str], dict[str, str]] = {}
    for question, where in zip(items, wheres, strict=True):
        known = true.setdefault((question.text.strip(), question.ending), {})
        for answer in question.answers:
            known.setdefault(question.choices[answer].strip(), where)
    for number, (question, where) in enumerate(zip(items, wheres, strict=True)):
        for position, choice in enumerate(question.choices):
            false = position not in question.answers
            other = true[question.text.strip(), question.ending].get(choice.strip()) if false else None
            if other:
                yield (
                    number,
                    DataError(
                        f"{where} has the false choice '{choice}', which is true of the same question in {other}",
                        "false choices that are false everywhere",
                        "drop or fix one",
                    ),
                )
                break


def _check_answers(answers: Sequence[int], choices: int, where: str) -> None:
    if not answers or len(set(answers)) < len(answers):
        raise DataError(f"{where} names the answers {list(answers)}", "one true choice or more, each once", "fix it")
    for answer in answers:
        if not 0 <= answer < choices:
            raise DataError(
                f"{where} has {choices} choices, and answer {answer}", f"a position from 0 to {choices - 1}", "fix it"
            )
    if len(answers) == choices:
        raise DataError(f"{where} has no false choice", "at least one false choice", "add one or drop it")


def _words(question: Question) -> tuple[str, tuple[str, ...], str]:
    return question.text, tuple(sorted(question.choices)), question.ending


def sample_groups(data: QuestionSet, count: int, seed: int) -> QuestionSet:
    """Return at most `count` questions of a set, as whole groups (at least two), in the order of the set.

    The selection depends only on the groups' names and the seed. A smaller sample is therefore a subset of a larger
    one, and sets that share groups (such as one in several languages) keep the same groups.
    """
    sizes = Counter(question.group for question in data.items)
    order = sorted(sizes, key=lambda group: hashlib.sha256(f"{seed}\n{group}".encode(errors="surrogatepass")).digest())
    kept: set[str] = set()
    taken = 0
    for group in order:
        if len(kept) > 1 and taken + sizes[group] > count:
            break
        kept.add(group)
        taken += sizes[group]
    return replace(data, items=tuple(question for question in data.items if question.group in kept))
