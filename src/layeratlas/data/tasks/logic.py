"""Logic: ranks in an order determined by statements, and conclusions from premises with made-up words."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice, pairwise

from layeratlas.core.spec import Size
from layeratlas.data.choices import arrange, positions
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.data.task import Task

_COUNT = {"quick": 8, "standard": 60, "full": 300}
_SHOTS = 6
# All of the same length, so that length gives no information on the answer.
_NAMES = (
    *("Anna", "Carl", "Dora", "Emil", "Finn", "Hugo", "Ivan", "Jane", "Karl"),
    *("Lena", "Mary", "Nora", "Otto", "Paul", "Rosa", "Tina", "Vera", "Walt"),
)
# more, less, most, least
_SCALES = (
    ("taller", "shorter", "tallest", "shortest"),
    ("older", "younger", "oldest", "youngest"),
    ("faster", "slower", "fastest", "slowest"),
    ("stronger", "weaker", "strongest", "weakest"),
    ("richer", "poorer", "richest", "poorest"),
)
_RANKS = ("", "second ", "third ")
# Made-up nouns in the plural, all of the same length.
_NONSENSE = (
    *("blims", "dorps", "fulks", "glabs", "jomps", "krets", "lunts", "mebbs", "norps", "pluks", "quibs", "rasks"),
    *("sneps", "tolps", "vints", "wirps", "yemps", "zarks", "crubs", "drals", "frims", "gomps", "hilps", "skoms"),
)
# Per form: premises from which the conclusion follows, similar premises from which it does not, and the conclusion.
# a, e: the end terms; b: the middle term.
_FORMS = {
    "every": ("All {a} are {b}. All {b} are {e}.", "All {a} are {b}. All {e} are {b}.", "All {a} are {e}"),
    "no": ("All {a} are {b}. No {b} are {e}.", "All {b} are {a}. No {b} are {e}.", "No {a} are {e}"),
    "some": ("Some {a} are {b}. All {b} are {e}.", "Some {a} are {b}. All {e} are {b}.", "Some {a} are {e}"),
}


class Logic(Task):
    """Two sets of puzzles whose choices have the same form and length.

    `ordering`: neighbours among three to five people are compared, in random order and with either word ("taller",
    "shorter"). All ranks are asked equally often, so it is uninformative who is named first, last or least often.
    `syllogism`: two pairs of premises about made-up nouns, one with a valid conclusion and one of the same form
    without; the four choices combine either subject with either predicate.
    """

    summary = "who is the second tallest, which conclusion follows? puzzles with made-up words"

    def build(self, size: Size) -> list[QuestionSet]:
        """Return `ordering`, by number of people, and `syllogism`, by form."""
        sets = []
        for name, source in (("ordering", _orderings()), ("syllogism", _syllogisms())):
            questions = tuple(islice(source, _COUNT[size] + _SHOTS))
            items, shots = questions[_SHOTS:], questions[:_SHOTS]
            instruction = "Think it through."
            sets.append(QuestionSet(name=name, level="logic", items=items, shots=shots, instruction=instruction))
        return sets


def _orderings() -> Iterator[Question]:
    """Yield puzzles of 3, 4 and 5 people in turn; for each number of people, every rank is asked once per round."""
    rng = random.Random("logic-ordering")
    ranks = {people: positions(people, f"logic-rank-{people}") for people in (3, 4, 5)}
    position = {choices: positions(choices, f"logic-ordering-{choices}") for choices in (3, 4)}
    number = 0
    while True:
        people = 3 + number % 3
        order = rng.sample(_NAMES, people)
        scale = rng.choice(_SCALES)
        rank = next(ranks[people])
        wrong = rng.sample([name for name in order if name != order[rank]], min(people, 4) - 1)
        choices, answers = arrange(order[rank], wrong, next(position[min(people, 4)]))
        text = f"{_comparisons(order, scale, rng)} Who is the {_rank(rank, people, scale, rng)}?"
        group, stratum = f"ordering-{number:03d}", f"{people} people"
        yield Question(text=text, choices=choices, answers=answers, group=group, stratum=stratum)
        number += 1


def _comparisons(order: list[str], scale: tuple[str, str, str, str], rng: random.Random) -> str:
    """Compare neighbours of `order` (most to least), in random order and direction."""
    more, less = scale[:2]
    statements = []
    for high, low in pairwise(order):
        statements.append(f"{high} is {more} than {low}." if rng.random() < 0.5 else f"{low} is {less} than {high}.")
    rng.shuffle(statements)
    return " ".join(statements)


def _rank(rank: int, people: int, scale: tuple[str, str, str, str], rng: random.Random) -> str:
    """Name a rank from the nearer end; in the middle, from either end at random."""
    below = people - 1 - rank
    from_top = rank < below or (rank == below and rng.random() < 0.5)
    return f"{_RANKS[rank]}{scale[2]}" if from_top else f"{_RANKS[below]}{scale[3]}"


def _syllogisms() -> Iterator[Question]:
    """Yield puzzles of the three forms in turn."""
    rng = random.Random("logic-syllogism")
    position = positions(4, "logic-syllogism")
    forms = list(_FORMS)
    number = 0
    while True:
        form = forms[number % len(forms)]
        valid, invalid, conclusion = _FORMS[form]
        a, b, e, c, d, f = rng.sample(_NONSENSE, 6)
        premises = f"{valid.format(a=a, b=b, e=e)} {invalid.format(a=c, b=d, e=f)}".split(". ")
        premises = [premise.rstrip(".") + "." for premise in premises]
        rng.shuffle(premises)
        wrong = [conclusion.format(a=subject, e=predicate) for subject, predicate in ((a, f), (c, e), (c, f))]
        rng.shuffle(wrong)
        choices, answers = arrange(conclusion.format(a=a, e=e), wrong, next(position))
        text = f"{' '.join(premises)} Which conclusion follows?"
        yield Question(text=text, choices=choices, answers=answers, group=f"syllogism-{number:03d}", stratum=form)
        number += 1


PLUGIN = Logic()
