"""Word problems: GSM8K with worked solutions, MGSM and SVAMP with bare numbers."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

from layeratlas.core.errors import DataError
from layeratlas.data.choices import arrange, positions
from layeratlas.data.questions import Question
from layeratlas.data.readers.formats import gsm8k_reasoning
from layeratlas.data.readers.formats.format import WRONG, Format, Parse, columns, is_number, make, named, near, plain
from layeratlas.data.readers.row import Row, brief

_NEAR = f"{WRONG} numbers near the true one"
_RESULTS = f"{WRONG} solutions with a result near the true one"
_CALCULATION = re.compile(r"<<[^<>]*?=?([^<>=]*)>>")
_ANY_NUMBER = re.compile(r"-?\d+(?:,\d+)*(?:\.\d+)?|-?\.\d+")


def gsm8k(rows: Sequence[Row]) -> Parse:
    """Parse problem and worked solution; wrong solutions have another result of the last calculation."""
    place = positions(WRONG + 1, "gsm8k")

    def parse(row: Row) -> Question:
        solution, mark, final = row.text("answer").rpartition("####")
        if not mark or not solution.strip() or not is_number(final):
            raise DataError(f"{row.where} has no worked answer that ends in '#### number'", "one", "fix it")
        before, result, after = _last_result(solution.strip(), final.strip(), row)
        wrong = []
        for other in near(result, row, f"{row.text('question')}-{result}"):
            # The result is repeated as the answer.
            wrong.append(_clean(before) + other + _exact(result).sub(other, _clean(after)))
        right = _clean(before) + result + _clean(after)
        choices, answers = arrange(right, wrong, next(place))
        return replace(make(row, row.text("question"), choices, answers), final=plain(final))

    return parse


def _last_result(solution: str, final: str, row: Row) -> tuple[str, str, str]:
    """Split a solution at the result of its last calculation, or else at its last mention of the answer."""
    calculations = list(_CALCULATION.finditer(solution))
    if calculations:
        number = _ANY_NUMBER.search(solution, calculations[-1].end())
        if number and number.start() - calculations[-1].end() <= 2:
            return solution[: number.start()], number[0], solution[number.end() :]
    # 118000 may be written 118,000 or 118 000.
    digits = "[, ]?".join(re.escape(character) for character in final.replace(",", ""))
    mentions = list(re.finditer(rf"(?<![\d.,]){digits}(?!\d|[.,]\d)", solution))
    if not mentions:
        raise DataError(f"{row.where} never says its answer, {final}", "a worked answer that ends in it", "fix it")
    last = mentions[-1]
    return solution[: last.start()], last[0], solution[last.end() :]


def _exact(number: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\d.,]){re.escape(number)}(?!\d|[.,]\d)")


def _clean(solution: str) -> str:
    return " ".join(re.sub(r"<<[^<>]*>>", "", solution).split("\n"))


def mgsm(rows: Sequence[Row]) -> Parse:
    """Parse problem and number; in every language a problem is one group, with the same choices in the same order.

    A problem is identified by its `id`, or else by its row in the file, counted from 0.
    """
    counter = count()

    def parse(row: Row) -> Question:
        number = next(counter)
        problem = named(row, "id") or str(number)
        answer = str(row.fields["answer_number"]) if "answer_number" in row.fields else row.text("answer")
        choices, answers = _numbers(row, answer, f"mgsm-{problem}", _mgsm_place(problem))
        return make(row, row.text("question"), choices, answers, group=f"mgsm {problem}")

    return parse


def numbers(rows: Sequence[Row]) -> Parse:
    """Parse problem and number of a file of your own, of which nothing says that other files have its translations."""
    place = positions(WRONG + 1, "numbers")

    def parse(row: Row) -> Question:
        text, answer = row.text("question"), row.text("answer")
        choices, answers = _numbers(row, answer, f"numbers-{text}", next(place))
        return make(row, text, choices, answers)

    return parse


def _numbers(row: Row, answer: str, seed: str, place: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return a number among its near misses as choices, and the answers."""
    if not is_number(answer):
        raise DataError(f"{row.where} has the answer '{answer}'", "a number", "fix it")
    return arrange(answer, near(answer, row, f"{seed}-{plain(answer)}"), place)


def _mgsm_place(problem: str) -> int:
    """Return the index of a problem's true choice, equal in all languages; each block of four uses each index once."""
    if not (problem.isascii() and problem.isdecimal() and len(problem) < 20):
        return random.Random(f"mgsm-{problem}").randrange(WRONG + 1)
    turn, within = divmod(int(problem), WRONG + 1)
    return random.Random(f"mgsm-{turn}").sample(range(WRONG + 1), WRONG + 1)[within]


def svamp(rows: Sequence[Row]) -> Parse:
    """Parse `Body`, `Question`, `Answer`; the strata are the operations (`Type`)."""
    place = positions(WRONG + 1, "svamp")

    def parse(row: Row) -> Question:
        answer = row.fields["Answer"]
        if isinstance(answer, bool) or not isinstance(answer, int | float | str):
            raise DataError(f"{row.where} has the answer {brief(answer)}", "a number", "fix it")
        answer = str(answer).strip().removesuffix(".0")
        text = f"{row.text('Body').rstrip(' .')}. {row.text('Question')}"
        choices, answers = _numbers(row, answer, f"svamp-{text}", next(place))
        return make(row, text, choices, answers, named(row, "Type"))

    return parse


def _bare_number(row: Row) -> bool:
    return is_number(row.fields["answer"])


def _with_steps(rows: list[Row], file: Path | None) -> list[Row]:
    """Keep the rows whose solutions have enough steps to change; raises DataError if there are none."""
    kept = [row for row in rows if _can_turn(row)]
    if not kept:
        raise DataError(
            f"{rows[0].where} and the rest have no solution with {WRONG} ways to reason wrongly",
            "solutions with steps such as <<2+3=5>>",
            "name the file without '#reasoning'",
        )
    return kept


def _can_turn(row: Row) -> bool:
    return len(gsm8k_reasoning.wrong_paths(row.text("question"), row.text("answer"))) == WRONG


_mgsm = partial(Format, name="mgsm", level="cross-lingual", parser=mgsm, made=_NEAR)
FORMATS = (
    Format(name="svamp", level="calculation", columns=columns("Body Question Answer"), parser=svamp, made=_NEAR),
    _mgsm(columns=columns("question answer_number"), language="lang"),
    _mgsm(columns=columns("lang question answer"), part_column="lang", language="lang"),
    _mgsm(columns=columns("question answer"), fits=_bare_number, language_in_name=True, in_name="mgsm"),
    Format(
        level="calculation",
        columns=columns("question answer"),
        parser=numbers,
        fits=_bare_number,
        language_in_name=True,
        made=_NEAR,
    ),
    Format(
        name="gsm8k",
        level="reasoning",
        columns=columns("question answer"),
        parser=gsm8k_reasoning.gsm8k,
        prepare=_with_steps,
        part_name="reasoning",
        made=f"{WRONG} solutions with other operations",
    ),
    # Their choices are worked solutions whose calculations can be checked without the question.
    Format(
        name="gsm8k", level="calculation", columns=columns("question answer"), parser=gsm8k, evident=True, made=_RESULTS
    ),
)
