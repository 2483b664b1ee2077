"""Word problems made from templates: the numbers and calculations here, the wording in `data/word_problems.csv`."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, product

from layeratlas.data.choices import near_misses
from layeratlas.data.shipped import rows

# The same persons in every language, in the same order.
_NAMES = {
    "en": ("Anna", "David", "Maria", "Daniel", "Laura", "Simon", "Sara", "Leo"),
    "zh": ("安娜", "大卫", "玛丽亚", "丹尼尔", "劳拉", "西蒙", "萨拉", "利奥"),
    "es": ("Ana", "David", "María", "Daniel", "Laura", "Simón", "Sara", "Leo"),
    "fr": ("Anna", "David", "Maria", "Daniel", "Laura", "Simon", "Sara", "Léo"),
    "de": ("Anna", "David", "Maria", "Daniel", "Laura", "Simon", "Sara", "Leo"),
    "th": ("แอนนา", "เดวิด", "มาเรีย", "แดเนียล", "ลอร่า", "ไซมอน", "ซาร่า", "ลีโอ"),
}
_WRONG = 3
_TRIES = 20_000
_SLIPS = 60
_STEP = re.compile(r"(\w)=(\w)([-+*/])(\w)")
_RANGE = re.compile(r"(\w)=(\d+)-(\d+)")


@dataclass(frozen=True, slots=True)
class Line:
    """One calculation of a solution: the variable it sets, `left operator right`, and what is said to come out."""

    variable: str
    left: int
    operator: str
    right: int
    result: int

    @property
    def text(self) -> str:
        """The calculation in digits, `12 * 4 = 48`."""
        return f"{self.left} {self.operator} {self.right} = {self.result}"


Solution = tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem in numbers: its template, the given ones, a person, and its right and wrong solutions.

    `miscalculated`: the right operations, but one result is wrong, and what follows goes on with it. `misled`: one
    operation or more is another than the problem asks for, and all results are right. Three each, all with a wrong
    end, different ends, and together as many characters as the right solution.
    """

    template: str
    given: Mapping[str, int]
    person: int
    right: Solution
    miscalculated: tuple[Solution, ...]
    misled: tuple[Solution, ...]

    def question(self, language: str) -> str:
        """Return the problem in words."""
        return self._fill(_wording()[self.template, language][0], language, {})

    def solved(self, solution: Solution, language: str) -> str:
        """Return a solution in words."""
        lines = {line.variable: line.text for line in solution}
        steps = _wording()[self.template, language][1:]
        return ("" if language == "zh" else " ").join(self._fill(step, language, lines) for step in steps)

    def _fill(self, text: str, language: str, lines: Mapping[str, str]) -> str:
        return text.format(name=_NAMES[language][self.person], **self.given, **lines)


def templates(language: str) -> list[str]:
    """Return the templates that a language has, in file order."""
    return [template for template, spoken in _wording() if spoken == language]


def drawn(
    names: Sequence[str], seed: str, count: int, shown: Sequence[str]
) -> tuple[list[tuple[str, Problem]], list[Problem]]:
    """Return `count` problems, of the named templates in turn, each with its group; and one problem of each `shown`.

    The first problem of a template is kept for showing, so that it is never among the others.
    """
    each = -(-count // len(names))
    asked = []
    for number in range(count):
        turn, at = divmod(number, len(names))
        asked.append((f"{names[at]}-{turn:03d}", _made(names[at], seed, each + 1)[1 + turn]))
    return asked, [_made(name, seed, each + 1)[0] for name in shown]


@cache
def _made(template: str, seed: str, count: int) -> tuple[Problem, ...]:
    return tuple(islice(problems(template, seed), count))


def problems(template: str, seed: str) -> Iterator[Problem]:
    """Yield different problems of a template in a fixed random order, until its numbers run out."""
    ranges, steps = _plans()[template]
    rng = random.Random(f"{seed}-{template}")
    seen = set()
    for _ in range(_TRIES):
        given = {name: rng.randint(low, high) for name, (low, high) in ranges.items()}
        person = rng.randrange(len(_NAMES["en"]))
        right = _solve(steps, given)
        values = tuple(given.values())
        if right is None or values in seen:
            continue
        misled = _misled(steps, given, right, rng)
        miscalculated = _miscalculated(steps, given, right, rng)
        if misled and miscalculated:
            seen.add(values)
            yield Problem(template, given, person, right, miscalculated, misled)


Steps = tuple[tuple[str, str, str, str], ...]


@cache
def _plans() -> dict[str, tuple[dict[str, tuple[int, int]], Steps]]:
    """Return each template's ranges of given numbers and its steps (variable, left, operator, right)."""
    plans = {}
    for row in rows("word_problem_plans"):
        ranges = {name: (int(low), int(high)) for name, low, high in _RANGE.findall(row["ranges"])}
        steps = tuple((new, left, operator, right) for new, left, operator, right in _STEP.findall(row["steps"]))
        plans[row["template"]] = (ranges, steps)
    return plans


@cache
def _wording() -> dict[tuple[str, str], list[str]]:
    columns = ("question", "step1", "step2", "step3")
    return {(r["template"], r["language"]): [r[c] for c in columns if r[c]] for r in rows("word_problems")}


def _solve(steps: Steps, given: Mapping[str, int], slip: tuple[int, int] | None = None) -> Solution | None:
    """Return the worked lines, with result `slip[1]` in line `slip[0]`; None where a result is no number above 1."""
    known = dict(given)
    lines = []
    for place, (variable, left, operator, right) in enumerate(steps):
        one, two = known[left], known[right]
        result = _apply(one, operator, two)
        if slip and slip[0] == place:
            result = slip[1]
        if result is None or result < 2:
            return None
        known[variable] = result
        lines.append(Line(variable, one, operator, two, result))
    return tuple(lines)


def _apply(one: int, operator: str, two: int) -> int | None:
    match operator:
        case "+":
            return one + two
        case "-":
            return one - two
        case "*":
            return one * two
        case _:
            return one // two if one % two == 0 else None


def _misled(steps: Steps, given: Mapping[str, int], right: Solution, rng: random.Random) -> tuple[Solution, ...]:
    """Return three solutions with other operations, in random order; none where there are fewer."""
    paths = []
    for operators in product("+-*/", repeat=len(steps)):
        taken = tuple((new, left, sign, two) for (new, left, _, two), sign in zip(steps, operators, strict=True))
        if taken != steps:
            paths.append(_solve(taken, given))
    rng.shuffle(paths)
    return _first(paths, right)


def _miscalculated(steps: Steps, given: Mapping[str, int], right: Solution, rng: random.Random) -> tuple[Solution, ...]:
    """Return three solutions with one slip each, tried in every line alike; none where too few fit."""
    tried = []
    for _ in range(_SLIPS):
        place = rng.randrange(len(steps))
        (wrong,) = near_misses(str(right[place].result), 1, rng)
        tried.append(_solve(steps, given, (place, int(wrong))))
    return _first(tried, right)


def _first(solutions: Sequence[Solution | None], right: Solution) -> tuple[Solution, ...]:
    """Return the first three of the right one's length whose ends differ from its own and each other's."""
    found: dict[int, Solution] = {}
    for solution in solutions:
        if solution and _length(solution) == _length(right) and solution[-1].result != right[-1].result:
            found.setdefault(solution[-1].result, solution)
    return tuple(found.values())[:_WRONG] if len(found) >= _WRONG else ()


def _length(solution: Solution) -> int:
    return sum(len(line.text) for line in solution)
