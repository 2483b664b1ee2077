"""Where the true choice stands, and wrong numbers that look like the right one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

# The level of the published cross-lingual sets, and what else tells their true choices.
MIXED = "cross-lingual, mixed"
TRANSLATED = "the true solution alone is translated, all else is English, so that language and length tell it"


def places(choices: int, seed: str) -> Iterator[int]:
    """Yield places 0..choices-1 for ever, each once a round and every round in an order of its own."""
    rng = random.Random(seed)
    while True:
        yield from rng.sample(range(choices), choices)


def placed(truth: str, wrong: Sequence[str], place: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the choices with the truth at `place` among the wrong ones, and the answers."""
    return (*wrong[:place], truth, *wrong[place:]), (place,)


def near_misses(truth: str, count: int, rng: random.Random) -> list[str]:
    """Return `count` different wrong numbers with the truth's sign, decimals and length in characters.

    Each is made from another number by a changed digit, by two neighbouring digits swapped, or by adding or taking
    1-20 units of the last place. All come either from the truth or from the first wrong number, so that the truth is
    no more often than any other choice the one that the others resemble. They are in the shortest form where the truth
    is (no leading or closing zeros), and 0 is never one of them. Raises ValueError where there are not so many.
    """
    made: list[str] = []
    hub = truth if rng.randrange(count + 1) == 0 else ""
    for _ in range(400):
        if len(made) == count:
            return made
        new = _edited(hub or (made[0] if made else truth), rng)
        if new not in (truth, *made) and _like(truth, new):
            made.append(new)
    raise ValueError(f"{truth} has fewer than {count} near misses")


def _edited(number: str, rng: random.Random) -> str:
    digits = [place for place, character in enumerate(number) if character.isdigit()]
    first = next((i for i, place in enumerate(digits) if number[place] != "0"), 0)
    known = digits[first:]
    kind = rng.choice(("digit", "swap", "shift"))
    characters = list(number)
    if kind == "shift":
        return _shifted(number, rng.choice((-1, 1)) * rng.randint(1, 20))
    if kind == "swap" and len(known) > 1:
        place = rng.randrange(len(known) - 1)
        one, two = known[place], known[place + 1]
        characters[one], characters[two] = characters[two], characters[one]
    else:
        place = rng.choice(known)
        characters[place] = rng.choice("123456789" if place == known[0] else "0123456789")
    return "".join(characters)


def _shifted(number: str, by: int) -> str:
    """Add so many units of the last place; the sign stays what it is."""
    sign, body = ("-", number[1:]) if number.startswith("-") else ("", number)
    decimals = len(body.partition(".")[2])
    units = str(max(int(body.replace(".", "")) + by, 0)).rjust(decimals + 1, "0")
    return sign + (f"{units[:-decimals]}.{units[-decimals:]}" if decimals else units)


def _like(truth: str, number: str) -> bool:
    """Has it the truth's length, sign and decimals, and is it written as a truth would be?"""
    same_decimals = len(number.partition(".")[2]) == len(truth.partition(".")[2])
    signed = number.startswith("-") == truth.startswith("-")
    written = _shortest(number) or not _shortest(truth)
    return len(number) == len(truth) and same_decimals and signed and written and number.strip("-0.") != ""


def _shortest(number: str) -> bool:
    whole, point, decimals = number.removeprefix("-").partition(".")
    return (whole == "0" or not whole.startswith("0")) and not (point and decimals.endswith("0"))
