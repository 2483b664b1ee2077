"""How a row of each format becomes a question; each parser raises DataError, naming the row, for what it cannot use."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from layeratlas.core.errors import DataError
from layeratlas.data.choices import arrange, near_misses, positions
from layeratlas.data.questions import Question
from layeratlas.data.readers.rows import Row

Parse = Callable[[Row], Question]
WRONG = 3
# TruthfulQA's own table, and the hub's.
_TRUTHFUL = {
    "Question": "question", "Best Answer": "best", "Correct Answers": "correct", "Incorrect Answers": "incorrect",
    "best_answer": "best", "correct_answers": "correct", "incorrect_answers": "incorrect",
}  # fmt: skip
_NUMBER = re.compile(r"-?\d+(?:,\d+)*(?:\.\d+)?|-?\.\d+")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# BIG-Bench Hard asks these without listing them.
_CLOSED = (("True", "False"), ("Yes", "No"), ("yes", "no"), ("valid", "invalid"))
_CALCULATION = re.compile(r"<<[^<>]*?=?([^<>=]*)>>")


def is_number(text: Any) -> bool:
    """Return whether a text is one number."""
    return isinstance(text, str) and _NUMBER.fullmatch(text.strip()) is not None


def own(rows: Sequence[Row]) -> Parse:
    """Parse `question, choices, answer`, the answer of the same kind as in the first row."""
    kind = _kind(rows[0].fields["answer"])

    def parse(row: Row) -> Question:
        answer, choices = row.fields["answer"], row.texts("choices")
        if _kind(answer) != kind:
            raise DataError(
                f"{row.where} has the answer {answer!r}, {_kind(answer)}", f"{kind} as in the first row", "mend it"
            )
        if kind == "a text":
            answer = [_place(str(answer).strip(), choices, row)]
        elif kind == "a place":
            answer = [answer]
        elif kind != "a list of places":
            raise DataError(f"{row.where} has the answer {answer!r}", "a place, places or a text", "mend it")
        return make(row, row.text("question"), choices, answer)

    return parse


def _kind(answer: Any) -> str:
    if isinstance(answer, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in answer):
        return "a list of places"
    if isinstance(answer, int) and not isinstance(answer, bool):
        return "a place"
    return "a text" if isinstance(answer, str) else type(answer).__name__


def _place(answer: str, choices: Sequence[str], row: Row) -> int:
    if answer not in choices:
        raise DataError(f"{row.where} has the answer '{answer}'", f"one of {', '.join(choices)}", "mend it")
    return choices.index(answer)


def lettered(row: Row) -> Question:
    """Parse `question, A, B, ..., answer`; the last choices may be empty."""
    letters = [letter for letter in _LETTERS if row.fields.get(letter) is not None]
    while letters and not row.text(letters[-1]):
        letters.pop()
    answer = _place(row.text("answer"), letters, row)
    parts = [row.text(name) for name in ("digits", "op") if name in row.fields]
    return make(row, row.text("question"), [row.text(letter) for letter in letters], [answer], " ".join(parts))


def truthful(row: Row) -> Row:
    """Return a row of TruthfulQA with common names, and answers that stand between semicolons as lists."""
    fields = {_TRUTHFUL.get(name, name): value for name, value in row.fields.items()}
    for name in ("correct", "incorrect"):
        if isinstance(fields.get(name), str):
            fields[name] = [part.strip() for part in fields[name].split(";") if part.strip()]
    return Row(fields, row.where)


def truthfulqa(row: Row) -> Question:
    """Parse the best, the correct and the incorrect answers.

    An answer repeated on one side counts once; one that stands on both sides (two of the published questions have
    one) is left out, unless it is the best.
    """
    best, correct, incorrect = row.text("best"), row.texts("correct"), row.texts("incorrect")
    true = dict.fromkeys([best, *(one for one in correct if one not in incorrect)])
    false = dict.fromkeys(one for one in incorrect if one not in {best, *correct})
    return _mixed(row, list(true), list(false))


def solutions(row: Row) -> Question:
    """Parse right and wrong worked solutions, written on one line as those who published them ask them."""

    def said(name: str) -> list[str]:
        texts = [" ".join(text.replace("####", "The answer is").split("\n")) for text in row.texts(name)]
        return list(dict.fromkeys(texts))

    true = said("truth_answer")
    return _mixed(row, true, [text for text in said("error") if text not in true])


def targets(row: Row) -> Question:
    """Parse `mc2_targets`, with the true answer of `mc1_targets` as the first."""
    first = [choice for choice, true in _labelled(row, "mc1_targets") if true]
    second = _labelled(row, "mc2_targets")
    true = list(dict.fromkeys([*first, *(choice for choice, label in second if label)]))
    return _mixed(row, true, [choice for choice, label in second if not label])


def _labelled(row: Row, name: str) -> list[tuple[str, bool]]:
    """A mapping of choices to 0 or 1, or lists `choices` and `labels`."""
    value = row.fields[name]
    if isinstance(value, dict) and set(value) == {"choices", "labels"}:
        pairs = list(zip(value["choices"], value["labels"], strict=False))
    elif isinstance(value, dict):
        pairs = list(value.items())
    else:
        pairs = []
    if not pairs or any(label not in (0, 1) for _, label in pairs):
        raise DataError(f"{row.where}: '{name}' is no mapping of answers to 0 or 1", "one", "mend it")
    return [(str(choice).strip(), bool(label)) for choice, label in pairs]


def _mixed(row: Row, true: list[str], false: list[str]) -> Question:
    """Shuffle the choices, since the place would tell a reader of letters; the first answer stays the best."""
    question = row.text("question")
    choices = [*true, *false]
    random.Random(f"truthfulqa-{question}").shuffle(choices)
    return make(row, question, choices, [choices.index(one) for one in true])


def gsm8k(rows: Sequence[Row]) -> Parse:
    """Parse problem and worked solution; the wrong ones have another result of the last calculation."""
    standing = positions(WRONG + 1, "gsm8k")

    def parse(row: Row) -> Question:
        solution, mark, final = row.text("answer").rpartition("####")
        if not mark or not solution.strip() or not is_number(final):
            raise DataError(f"{row.where} has no worked answer that ends in '#### number'", "one", "mend it")
        before, result, after = _last_result(solution.strip(), final.strip(), row)
        wrong = []
        for other in _near(result, row, f"{row.text('question')}-{result}"):
            # The result is said again as the answer.
            wrong.append(_clean(before) + other + _exact(result).sub(other, _clean(after)))
        right = _clean(before) + result + _clean(after)
        choices, answers = arrange(right, wrong, next(standing))
        return make(row, row.text("question"), choices, answers)

    return parse


def _last_result(solution: str, final: str, row: Row) -> tuple[str, str, str]:
    """Part a solution at the number that its last calculation, or else its last mention of the answer, gives."""
    calculations = list(_CALCULATION.finditer(solution))
    if calculations:
        number = _NUMBER.search(solution, calculations[-1].end())
        if number and number.start() - calculations[-1].end() <= 2:
            return solution[: number.start()], number[0], solution[number.end() :]
    # 118000 may be written 118,000 or 118 000.
    digits = "[, ]?".join(re.escape(character) for character in final.replace(",", ""))
    mentions = list(re.finditer(rf"(?<![\d.,]){digits}(?!\d|[.,]\d)", solution))
    if not mentions:
        raise DataError(f"{row.where} never says its answer, {final}", "a worked answer that ends in it", "mend it")
    last = mentions[-1]
    return solution[: last.start()], last[0], solution[last.end() :]


def _exact(number: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\d.,]){re.escape(number)}(?!\d|[.,]\d)")


def _clean(solution: str) -> str:
    return " ".join(re.sub(r"<<[^<>]*>>", "", solution).split("\n"))


def mgsm(rows: Sequence[Row]) -> Parse:
    """Parse problem and number; in every language a problem is one group, with the same choices in the same order.

    What is one problem tells its `id`, or else its row in the file, counted from 0.
    """
    counted = count()

    def parse(row: Row) -> Question:
        number, given = next(counted), row.fields.get("id")
        problem = str(number if given in (None, "") else given)
        answer = str(row.fields["answer_number"]) if "answer_number" in row.fields else row.text("answer")
        if not is_number(answer):
            raise DataError(f"{row.where} has the answer '{answer}'", "a number", "mend it")
        wrong = _near(answer, row, f"mgsm-{problem}-{_plain(answer)}")
        choices, answers = arrange(answer, wrong, _standing(problem))
        return make(row, row.text("question"), choices, answers, group=f"mgsm {problem}")

    return parse


def _standing(problem: str) -> int:
    """Where a problem's truth stands in every language; each place once in four problems numbered one by one."""
    if not problem.isdecimal():
        return random.Random(f"mgsm-{problem}").randrange(WRONG + 1)
    turn, within = divmod(int(problem), WRONG + 1)
    return random.Random(f"mgsm-{turn}").sample(range(WRONG + 1), WRONG + 1)[within]


def _plain(number: str) -> str:
    return re.sub("[, ]", "", number)


def _near(number: str, row: Row, seed: str) -> list[str]:
    """Near misses, with commas and spaces where the number has them."""
    marks = [(place, character) for place, character in enumerate(number) if character in ", "]
    try:
        made = near_misses(_plain(number), WRONG, random.Random(seed))
    except ValueError as error:
        raise DataError(f"{row.where}: {error}", "a number that can be got wrong", "drop it") from error
    for place, mark in marks:
        made = [one[:place] + mark + one[place:] for one in made]
    return made


def bbh(row: Row) -> Question:
    """Parse an input with options in its text, or one that is answered by yes or no, and its target."""
    text, mark, options = row.text("input").partition("Options:")
    target = row.text("target")
    listed = re.findall(r"^[ ]*(?:\(([A-Z])\)|-)[ ]+(.*?)[ ]*$", options, re.MULTILINE)
    closed = next((list(pair) for pair in _CLOSED if target in pair), [])
    choices = [option for _, option in listed] if mark else closed
    names = [f"({letter})" if letter else option for letter, option in listed] if mark else closed
    task = str(row.fields.get("task", ""))
    if not choices:
        raise DataError(
            f"{row.where}{f' ({task})' if task else ''} has no options",
            "options in the text, as '(A) ...' after 'Options:'",
            "read the tasks that have them, as in 'FILE#TASK,TASK'",
        )
    return make(row, text.strip(), choices, [_place(target, names, row)], task)


def reclor(row: Row) -> Question:
    """Parse context, question, answers and label."""
    label = row.fields["label"]
    if not isinstance(label, int):
        raise DataError(f"{row.where} has the label {label!r}", "the place of an answer", "mend it")
    return make(row, f"{row.text('context')} {row.text('question')}", row.texts("answers"), [label])


def make(
    row: Row, text: str, choices: Sequence[str], answers: Sequence[int], stratum: str = "", group: str = ""
) -> Question:
    """Return a row's question; group and stratum are those that the row names, if it does."""
    group = str(row.fields.get("group") or group or text)
    stratum = str(row.fields.get("stratum") or stratum or "all")
    return Question(text, tuple(choices), tuple(answers), group, stratum, row.where)
