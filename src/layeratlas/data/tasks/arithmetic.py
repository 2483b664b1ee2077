"""Arithmetic: "What is 47 + 82?" with four numbers of the same length; digits, operator, integer or decimal."""

from __future__ import annotations

import random
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from itertools import islice

from layeratlas.core.spec import Size
from layeratlas.data.choices import near_misses, placed, places
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

    A decimal problem has the digits of an integer problem with one to three of them after the point; the two share a
    group. No operand ends in 0, a difference may be negative, quotients have no remainder and neither 1 as divisor nor
    as quotient. A decimal quotient's dividend has at least as many decimals as its divisor, so that no quotient ends
    in zeros that tell of the point. Truths are exact. The four choices have one length, one sign and equally many
    decimals (Chen et al., arXiv 2312.04333, give neither their wrong choices nor their numbers).
    """

    summary = "what is 47 + 82? digits, operator, integer or decimal; four numbers of one length"

    def build(self, size: Size) -> list[QuestionSet]:
        """Return one set, `arithmetic`; its strata are `DIGITS OPERATOR KIND`, as in `1-2 add float`."""
        most = _PER_CELL[size] + 1
        cells = [(d, o) for d in _DIGITS for o in _SIGNS]
        items = [q for i in range(1, most) for d, o in cells for kind in _KINDS for q in [_cell(d, o, kind, most)[i]]]
        shots = tuple(_cell(*cell, most)[0] for cell in _SHOTS)
        return [QuestionSet("arithmetic", "arithmetic", tuple(items), shots, "Calculate.")]


@cache
def _cell(digits: str, operator: str, kind: str, count: int) -> tuple[Question, ...]:
    """Return the first problems of a cell."""
    standing = places(4, f"arithmetic-places-{digits}-{operator}-{kind}")
    questions = []
    for number, (one, two) in enumerate(islice(_pairs(digits, operator), count)):
        rng = random.Random(f"arithmetic-{digits}-{operator}-{one}-{two}-{kind}")
        first, second = (Decimal(one), Decimal(two)) if kind == "integer" else _decimals(one, two, operator, rng)
        truth = _plain(_result(first, operator, second))
        choices, answers = placed(truth, near_misses(truth, 3, rng), next(standing))
        text = f"What is {_plain(first)} {_SIGNS[operator]} {_plain(second)}?"
        group = f"{digits} {operator} {number:03d}"
        questions.append(Question(text, choices, answers, group, f"{digits} {operator} {kind}"))
    return tuple(questions)


def _pairs(digits: str, operator: str) -> Iterator[Pair]:
    """Yield different operand pairs in a fixed random order; either length is as likely in both operands."""
    rng = random.Random(f"arithmetic-{digits}-{operator}")
    seen: set[Pair] = set()
    while True:
        two = _number(_DIGITS[digits], rng)
        one = _number(_DIGITS[digits], rng) if operator != "div" else _multiple(two, _DIGITS[digits], rng)
        if one % 10 and two % 10 and (one, two) not in seen and not (operator == "sub" and one == two):
            seen.add((one, two))
            yield one, two


def _number(lengths: tuple[int, int], rng: random.Random) -> int:
    length = rng.choice(lengths)
    return rng.randint(10 ** (length - 1), 10**length - 1)


def _multiple(divisor: int, lengths: tuple[int, int], rng: random.Random) -> int:
    """A multiple of the divisor within the digits, at least twice it; 0 where there is none."""
    low, high = max(2, -(-(10 ** (lengths[0] - 1)) // divisor)), (10 ** lengths[1] - 1) // divisor
    return divisor * rng.randint(low, high) if divisor > 1 and low <= high else 0


def _decimals(one: int, two: int, operator: str, rng: random.Random) -> tuple[Decimal, Decimal]:
    """Set a point in both; there are never more decimals than digits."""
    most = [min(3, len(str(number))) for number in (one, two)]
    after = [rng.randint(1, most[0]), rng.randint(1, most[1])]
    if operator == "div":
        after[1] = rng.randint(1, min(after[0], most[1]))
    return Decimal(one).scaleb(-after[0]), Decimal(two).scaleb(-after[1])


def _result(one: Decimal, operator: str, two: Decimal) -> Decimal:
    match operator:
        case "add":
            return one + two
        case "sub":
            return one - two
        case "mul":
            return one * two
        case _:
            return one / two


def _plain(number: Decimal) -> str:
    return format(number.normalize(), "f")


PLUGIN = Arithmetic()
