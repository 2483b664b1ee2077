"""Word problems from templates: numbers and calculations here, the wording in `data/lists/word_problems.csv`."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, product

from layeratlas.data.choices import arrange, near_misses
from layeratlas.data.lists import read_list
from layeratlas.data.questions import Question

# The same people in every language, in the same order.
_NAMES = {
    "en": ("Anna", "David", "Maria", "Daniel", "Laura", "Simon", "Sara", "Leo"),
    "zh": ("安娜", "大卫", "玛丽亚", "丹尼尔", "劳拉", "西蒙", "萨拉", "利奥"),
    "es": ("Ana", "David", "María", "Daniel", "Laura", "Simón", "Sara", "Leo"),
    "fr": ("Anna", "David", "Maria", "Daniel", "Laura", "Simon", "Sara", "Léo"),
    "de": ("Anna", "David", "Maria", "Daniel", "Laura", "Simon", "Sara", "Leo"),
    "th": ("แอนนา", "เดวิด", "มาเรีย", "แดเนียล", "ลอร่า", "ไซมอน", "ซาร่า", "ลีโอ"),
}
LANGUAGES = tuple(_NAMES)
_WRONG = 3
_TRIES = 20_000
_ERRORS = 60
_STEP = re.compile(r"(\w)=(\w)([-+*/])(\w)")
_RANGE = re.compile(r"(\w)=(\d+)-(\d+)")


@dataclass(frozen=True, slots=True)
class Line:
    """One calculation of a solution: the variable it sets, `left operator right`, and the stated result."""

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
    """A problem in numbers: its template, the given numbers, a person, and its right and wrong solutions.

    `miscalculated`: the right operations with one wrong result, carried forward. `misled`: at least one operation is
    wrong, and all results are right. There are three of each, with different final results, all wrong, and with as
    many characters as the right solution.
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

    def in_words(self, solution: Solution, language: str) -> str:
        """Return a solution in words."""
        lines = {line.variable: line.text for line in solution}
        steps = _wording()[self.template, language][1:]
        return ("" if language == "zh" else " ").join(self._fill(step, language, lines) for step in steps)

    def _fill(self, text: str, language: str, lines: Mapping[str, str]) -> str:
        return text.format(name=_NAMES[language][self.person], **self.given, **lines)


def templates(language: str) -> list[str]:
    """Return the templates of a language, in file order."""
    return [template for template, code in _wording() if code == language]


def draw(
    names: Sequence[str], seed: str, count: int, examples: Sequence[str]
) -> tuple[list[tuple[str, Problem]], list[Problem]]:
    """Return `count` problems from the named templates in turn, each with its group, and one problem per example.

    The first problem of a template is its worked example and never among the others.
    """
    each = -(-count // len(names))
    problems = []
    for number in range(count):
        turn, template = divmod(number, len(names))
        name = names[template]
        problems.append((f"{name}-{turn:03d}", _first_problems(name, seed, each + 1)[1 + turn]))
    return problems, [_first_problems(name, seed, each + 1)[0] for name in examples]


@cache
def _first_problems(template: str, seed: str, count: int) -> tuple[Problem, ...]:
    return tuple(islice(problems(template, seed), count))


def problems(template: str, seed: str) -> Iterator[Problem]:
    """Yield different problems of a template in a fixed random order, as long as its ranges allow."""
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
    for row in read_list("word_problem_plans"):
        ranges = {name: (int(low), int(high)) for name, low, high in _RANGE.findall(row["ranges"])}
        steps = tuple((new, left, operator, right) for new, left, operator, right in _STEP.findall(row["steps"]))
        plans[row["template"]] = (ranges, steps)
    return plans


@cache
def _wording() -> dict[tuple[str, str], list[str]]:
    columns = ("question", "step1", "step2", "step3")
    return {(r["template"], r["language"]): [r[c] for c in columns if r[c]] for r in read_list("word_problems")}


def _solve(steps: Steps, given: Mapping[str, int], error: tuple[int, int] | None = None) -> Solution | None:
    """Return the worked lines, with result `error[1]` in line `error[0]`; None unless all are integers above 1."""
    values = dict(given)
    lines = []
    for number, (variable, left, operator, right) in enumerate(steps):
        result = _apply(values[left], operator, values[right])
        if error and error[0] == number:
            result = error[1]
        if result is None or result < 2:
            return None
        lines.append(Line(variable, values[left], operator, values[right], result))
        values[variable] = result
    return tuple(lines)


def _apply(left: int, operator: str, right: int) -> int | None:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            return left // right if left % right == 0 else None


def _misled(steps: Steps, given: Mapping[str, int], right: Solution, rng: random.Random) -> tuple[Solution, ...]:
    """Return three solutions with other operations, in random order; none if there are fewer."""
    paths = []
    for operators in product("+-*/", repeat=len(steps)):
        changed = tuple((new, left, sign, right) for (new, left, _, right), sign in zip(steps, operators, strict=True))
        if changed != steps:
            paths.append(_solve(changed, given))
    rng.shuffle(paths)
    return _first(paths, right)


def _miscalculated(steps: Steps, given: Mapping[str, int], right: Solution, rng: random.Random) -> tuple[Solution, ...]:
    """Return three solutions with one wrong result each, in a random line; none if too few fit."""
    candidates = []
    for _ in range(_ERRORS):
        line = rng.randrange(len(steps))
        (wrong,) = near_misses(str(right[line].result), 1, rng)
        candidates.append(_solve(steps, given, (line, int(wrong))))
    return _first(candidates, right)


def _first(solutions: Sequence[Solution | None], right: Solution) -> tuple[Solution, ...]:
    """Return the first three with the right solution's length and different final results, all wrong."""
    by_result: dict[int, Solution] = {}
    for solution in solutions:
        if solution and _length(solution) == _length(right) and solution[-1].result != right[-1].result:
            by_result.setdefault(solution[-1].result, solution)
    return tuple(by_result.values())[:_WRONG] if len(by_result) >= _WRONG else ()


def _length(solution: Solution) -> int:
    return sum(len(line.text) for line in solution)


def posed(problem: Problem, wrong: Sequence[Solution], language: str, position: int, group: str) -> Question:
    """Return a problem as a question whose choices are solutions in words, the right one at a position."""
    solutions = [problem.in_words(solution, language) for solution in wrong]
    choices, answers = arrange(problem.in_words(problem.right, language), solutions, position)
    return Question(
        text=problem.question(language),
        choices=choices,
        answers=answers,
        group=group,
        stratum=problem.template,
        final=str(problem.right[-1].result),
    )
