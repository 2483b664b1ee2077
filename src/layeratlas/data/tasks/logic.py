"""Logic: who stands where in an order that the statements fix, and what follows from premises of made-up words."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice, pairwise

from layeratlas.core.spec import Size
from layeratlas.data.choices import placed, places
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.data.task import Task

_COUNT = {"quick": 8, "standard": 60, "full": 300}
_SHOTS = 6
# All of one length, so that no name is told by its own.
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
# Made-up nouns in the plural, all of one length.
_NONSENSE = (
    *("blims", "dorps", "fulks", "glabs", "jomps", "krets", "lunts", "mebbs", "norps", "pluks", "quibs", "rasks"),
    *("sneps", "tolps", "vints", "wirps", "yemps", "zarks", "crubs", "drals", "frims", "gomps", "hilps", "skoms"),
)
# Of one form: what makes the conclusion follow, and what does not though it looks like it. a, e: ends; b: middle.
_FORMS = {
    "every": ("All {a} are {b}. All {b} are {e}.", "All {a} are {b}. All {e} are {b}.", "All {a} are {e}"),
    "no": ("All {a} are {b}. No {b} are {e}.", "All {b} are {a}. No {b} are {e}.", "No {a} are {e}"),
    "some": ("Some {a} are {b}. All {b} are {e}.", "Some {a} are {b}. All {e} are {b}.", "Some {a} are {e}"),
}


class Logic(Task):
    """Two sets of puzzles whose choices have one shape and one length.

    `ordering`: the neighbours of three to five people are compared, in random order and by either word ("taller",
    "shorter"); asked is a rank, any as often, so that neither who is named first, nor last, nor least often tells.
    `syllogism`: two pairs of premises about made-up things, one from which a conclusion follows and one of the same
    form from which none does; the four choices join either subject with either predicate.
    """

    summary = "who is the second tallest, which conclusion follows? puzzles with made-up words"

    def build(self, size: Size) -> list[QuestionSet]:
        """Return `ordering`, by number of people, and `syllogism`, by form."""
        made = []
        for name, source in (("ordering", _orderings()), ("syllogism", _syllogisms())):
            questions = tuple(islice(source, _COUNT[size] + _SHOTS))
            made.append(QuestionSet(name, "logic", questions[_SHOTS:], questions[:_SHOTS], "Think it through."))
        return made


def _orderings() -> Iterator[Question]:
    """Yield puzzles of 3, 4 and 5 people in turn; within a number of people, every rank is asked once a round."""
    rng = random.Random("logic-ordering")
    asked = {people: places(people, f"logic-rank-{people}") for people in (3, 4, 5)}
    standing = {choices: places(choices, f"logic-ordering-{choices}") for choices in (3, 4)}
    number = 0
    while True:
        people = 3 + number % 3
        order = rng.sample(_NAMES, people)
        scale = rng.choice(_SCALES)
        rank = next(asked[people])
        wrong = rng.sample([name for name in order if name != order[rank]], min(people, 4) - 1)
        choices, answers = placed(order[rank], wrong, next(standing[min(people, 4)]))
        text = f"{_comparisons(order, scale, rng)} Who is the {_rank(rank, people, scale, rng)}?"
        yield Question(text, choices, answers, f"ordering-{number:03d}", f"{people} people")
        number += 1


def _comparisons(order: list[str], scale: tuple[str, str, str, str], rng: random.Random) -> str:
    """Compare each with the next, in random order and direction; `order` goes from most to least."""
    more, less = scale[:2]
    said = []
    for high, low in pairwise(order):
        said.append(f"{high} is {more} than {low}." if rng.random() < 0.5 else f"{low} is {less} than {high}.")
    rng.shuffle(said)
    return " ".join(said)


def _rank(rank: int, people: int, scale: tuple[str, str, str, str], rng: random.Random) -> str:
    """Name a rank from the nearer end; from either where it is in the middle."""
    below = people - 1 - rank
    from_top = rank < below or (rank == below and rng.random() < 0.5)
    return f"{_RANKS[rank]}{scale[2]}" if from_top else f"{_RANKS[below]}{scale[3]}"


def _syllogisms() -> Iterator[Question]:
    """Yield puzzles of the three forms in turn."""
    rng = random.Random("logic-syllogism")
    standing = places(4, "logic-syllogism")
    forms = list(_FORMS)
    number = 0
    while True:
        form = forms[number % len(forms)]
        valid, invalid, conclusion = _FORMS[form]
        a, b, e, c, d, f = rng.sample(_NONSENSE, 6)
        premises = f"{valid.format(a=a, b=b, e=e)} {invalid.format(a=c, b=d, e=f)}".split(". ")
        premises = [premise.rstrip(".") + "." for premise in premises]
        rng.shuffle(premises)
        wrong = [conclusion.format(a=one, e=two) for one, two in ((a, f), (c, e), (c, f))]
        rng.shuffle(wrong)
        choices, answers = placed(conclusion.format(a=a, e=e), wrong, next(standing))
        text = f"{' '.join(premises)} Which conclusion follows?"
        yield Question(text, choices, answers, f"syllogism-{number:03d}", form)
        number += 1


PLUGIN = Logic()
