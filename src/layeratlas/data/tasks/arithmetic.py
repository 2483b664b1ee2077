"""Arithmetic: "What is 47 + 82?" with four numbers of the same length, by digits, operator and integer or decimal."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from itertools import islice, product

from layeratlas.core.spec import Size
from layeratlas.data.choices import arrange, near_misses, positions
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.data.task import Task

_PER_CELL = {"quick": 2, "standard": 8, "full": 200}
_DIGITS = {"1-2": (1, 2), "3-4": (3, 4), "5-6": (5, 6)}
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_KINDS = ("integer", "float")
# The first problem of each of these cells is a worked example; items begin with the second.
_SHOTS = (
    ("1-2", "add", "integer"),
    ("1-2", "sub", "float"),
    ("1-2", "mul", "float"),
    ("1-2", "div", "integer"),
    ("3-4", "sub", "integer"),
    ("3-4", "add", "float"),
)
Pair = tuple[int, int]


class Arithmetic(Task):
    """Sums of two numbers of 1-2, 3-4 or 5-6 digits, over four operators, as integers and as decimals.

    A decimal problem has the digits of an integer problem, one to three of them after the point; the two share a
    group. No operand ends in 0, differences may be negative, quotients have no remainder, and neither divisor nor
    quotient is 1. The dividend of a decimal division has at least as many decimals as the divisor, so that no quotient
    has trailing zeros. Answers are exact. The four choices have the same length, sign and number of decimals (Chen et
    al., arXiv 2312.04333, publish neither their wrong choices nor their numbers).
    """

    summary = "what is 47 + 82? digits, operator, integer or decimal; four numbers of the same length"

    def build(self, size: Size) -> list[QuestionSet]:
        """Return one set, `arithmetic`; its strata are `DIGITS OPERATOR KIND`, as in `1-2 add float`."""
        count = _PER_CELL[size] + 1
        cells = [_cell(*cell, count) for cell in product(_DIGITS, _SIGNS, _KINDS)]
        items = tuple(cell[number] for number in range(1, count) for cell in cells)
        shots = tuple(_cell(*cell, count)[0] for cell in _SHOTS)
        return [QuestionSet(name="arithmetic", level="arithmetic", items=items, shots=shots, instruction="Calculate.")]


@cache
def _cell(digits: str, operator: str, kind: str, count: int) -> tuple[Question, ...]:
    """Return the first `count` problems of a cell."""
    position = positions(4, f"arithmetic-places-{digits}-{operator}-{kind}")
    questions = []
    for number, (left, right) in enumerate(islice(_pairs(digits, operator), count)):
        rng = random.Random(f"arithmetic-{digits}-{operator}-{left}-{right}-{kind}")
        first, second = Decimal(left), Decimal(right)
        if kind == "float":
            first, second = _decimals(left, right, operator, rng)
        truth = _plain(_result(first, operator, second))
        choices, answers = arrange(truth, near_misses(truth, 3, rng), next(position))
        text = f"What is {_plain(first)} {_SIGNS[operator]} {_plain(second)}?"
        group = f"{digits} {operator} {number:03d}"
        stratum = f"{digits} {operator} {kind}"
        questions.append(Question(text=text, choices=choices, answers=answers, group=group, stratum=stratum))
    return tuple(questions)


def _pairs(digits: str, operator: str) -> Iterator[Pair]:
    """Yield different operand pairs in a fixed random order; both lengths are equally likely in both operands."""
    rng = random.Random(f"arithmetic-{digits}-{operator}")
    seen: set[Pair] = set()
    while True:
        right = _number(_DIGITS[digits], rng)
        left = _number(_DIGITS[digits], rng) if operator != "div" else _multiple(right, _DIGITS[digits], rng)
        if left % 10 and right % 10 and (left, right) not in seen and not (operator == "sub" and left == right):
            seen.add((left, right))
            yield left, right


def _number(lengths: tuple[int, int], rng: random.Random) -> int:
    length = rng.choice(lengths)
    return rng.randint(10 ** (length - 1), 10**length - 1)


def _multiple(divisor: int, lengths: tuple[int, int], rng: random.Random) -> int:
    """Return a multiple of the divisor (at least twice it) with a number of digits in `lengths`; 0 if there is none."""
    low, high = max(2, -(-(10 ** (lengths[0] - 1)) // divisor)), (10 ** lengths[1] - 1) // divisor
    return divisor * rng.randint(low, high) if divisor > 1 and low <= high else 0


def _decimals(left: int, right: int, operator: str, rng: random.Random) -> tuple[Decimal, Decimal]:
    """Set a decimal point in both operands, with no more decimals than digits."""
    most_left, most_right = (min(3, len(str(number))) for number in (left, right))
    in_left, in_right = rng.randint(1, most_left), rng.randint(1, most_right)
    if operator == "div":
        in_right = rng.randint(1, min(in_left, most_right))
    return Decimal(left).scaleb(-in_left), Decimal(right).scaleb(-in_right)


def _result(left: Decimal, operator: str, right: Decimal) -> Decimal:
    match operator:
        case "add":
            return left + right
        case "sub":
            return left - right
        case "mul":
            return left * right
        case _:
            return left / right


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")


PLUGIN = Arithmetic()
