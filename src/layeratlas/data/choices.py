"""Positions of the true choice, and wrong numbers that resemble the right one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

# The level of the published cross-lingual sets, and what is confounded with their true choices.
MIXED = "cross-lingual, mixed"
TRANSLATED = "only the true solution is translated, so its language and length give it away"


def positions(choices: int, seed: str) -> Iterator[int]:
    """Yield positions 0..choices-1 endlessly, in rounds: each position once per round, in a new random order."""
    rng = random.Random(seed)
    while True:
        yield from rng.sample(range(choices), choices)


def arrange(truth: str, wrong: Sequence[str], position: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the choices, with the truth at `position` among the wrong ones, and the answers."""
    return (*wrong[:position], truth, *wrong[position:]), (position,)


def near_misses(truth: str, count: int, rng: random.Random) -> list[str]:
    """Return `count` different wrong numbers with the truth's sign, decimals and length in characters.

    Each is made from the truth or from the first wrong number, so that the choices resemble the truth no more often
    than any other choice: one digit is replaced, two neighbouring digits are swapped, or 1-20 units of the last place
    are added or subtracted. They have leading or trailing zeros only if the truth has, and are never 0. Raises
    ValueError if there are fewer than `count`.
    """
    numbers: list[str] = []
    hub = truth if rng.randrange(count + 1) == 0 else ""
    for _ in range(400):
        if len(numbers) == count:
            return numbers
        new = _edited(hub or (numbers[0] if numbers else truth), rng)
        if new not in (truth, *numbers) and _like(truth, new):
            numbers.append(new)
    raise ValueError(f"{truth} has fewer than {count} near misses")


def _edited(number: str, rng: random.Random) -> str:
    digits = [place for place, character in enumerate(number) if character.isdigit()]
    first = next((i for i, place in enumerate(digits) if number[place] != "0"), 0)
    significant = digits[first:]
    kind = rng.choice(("digit", "swap", "shift"))
    characters = list(number)
    if kind == "shift":
        return _shifted(number, rng.choice((-1, 1)) * rng.randint(1, 20))
    if kind == "swap" and len(significant) > 1:
        place = rng.randrange(len(significant) - 1)
        left, right = significant[place], significant[place + 1]
        characters[left], characters[right] = characters[right], characters[left]
    else:
        place = rng.choice(significant)
        characters[place] = rng.choice("123456789" if place == significant[0] else "0123456789")
    return "".join(characters)


def _shifted(number: str, by: int) -> str:
    """Add `by` units of the last place and keep the sign."""
    sign, body = ("-", number[1:]) if number.startswith("-") else ("", number)
    decimals = len(body.partition(".")[2])
    units = str(max(int(body.replace(".", "")) + by, 0)).rjust(decimals + 1, "0")
    return sign + (f"{units[:-decimals]}.{units[-decimals:]}" if decimals else units)


def _like(truth: str, number: str) -> bool:
    """Tell whether a number has the truth's length, sign and decimals, and superfluous zeros only if the truth has."""
    same_decimals = len(number.partition(".")[2]) == len(truth.partition(".")[2])
    signed = number.startswith("-") == truth.startswith("-")
    written = _shortest(number) or not _shortest(truth)
    return len(number) == len(truth) and same_decimals and signed and written and number.strip("-0.") != ""


def _shortest(number: str) -> bool:
    whole, point, decimals = number.removeprefix("-").partition(".")
    return (whole == "0" or not whole.startswith("0")) and not (point and decimals.endswith("0"))
