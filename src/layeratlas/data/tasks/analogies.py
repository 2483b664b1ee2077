"""Four-item analogies: "France is to Paris as Japan is to Tokyo" against "... as bee is to honey"."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace

from layeratlas.core.spec import Size
from layeratlas.data.items import Dataset, Item
from layeratlas.data.lists import read_list
from layeratlas.data.task import Task

_ROUNDS = {"quick": 8, "standard": 18, "full": 22}
# Crossing two such relations gives a text that some readers would call an analogy.
_TOO_CLOSE = {
    frozenset(("capital", "nationality")),
    frozenset(("comparative", "superlative")),
    frozenset(("workplace", "product")),
    frozenset(("adjective", "nationality")),
    frozenset(("negation", "opposite")),
}
Pair = tuple[str, str]


class Analogies(Task):
    """Valid and invalid analogies over twelve relations; both classes hold two genuinely related pairs.

    A group holds two pairs each of two relations R and S and eight texts: the four valid orders within R and
    within S, and four crossings. Each pair is first and second equally often in both classes, so no pair
    alone predicts the label, and no tested word was seen in training. Relations meet in the rounds of a
    tournament, so that each meets every other equally often. The full size also has each text with both
    pairs reversed, in the same group. The second word list, from WordNet, has ten relations.
    """

    summary = "do the two pairs share their relation? 'a is to b as c is to d'; twelve relations"
    levels = {"analogy": "four-item analogies"}

    def build(self, size: Size) -> list[Dataset]:
        """Return one data set, `analogies`."""
        first, second = (self.of(_ROUNDS[size], size == "full", words) for words in ("analogies", "analogies_wordnet"))
        return [replace(first, other_words=second)]

    def of(self, rounds: int, both_orders: bool = False, words: str = "analogies") -> Dataset:
        """Return the groups of `rounds` rounds, or of as many as a list of words has pairs for.

        With `both_orders` each text is also there with both pairs reversed.
        """
        pairs = _pairs(words)
        rounds = min(rounds, *(len(of_relation) // 2 for of_relation in pairs.values()))
        items: list[Item] = []
        for number, games in enumerate(_tournament(sorted(pairs), rounds)):
            for first, second in games:
                span = slice(2 * number, 2 * number + 2)
                (r1, r2), (s1, s2) = pairs[first][span], pairs[second][span]
                if frozenset((first, second)) in _TOO_CLOSE:
                    continue
                group = f"{first}-{second}-{number:02d}"
                valid = ((r1, r2), (r2, r1), (s1, s2), (s2, s1))
                invalid = ((r1, s1), (s1, r2), (r2, s2), (s2, r1))
                for label, quads in (("valid", valid), ("invalid", invalid)):
                    for left, right in quads:
                        items.append(_item(left, right, label, group))
                        if both_orders:
                            items.append(_item(left[::-1], right[::-1], label, group))
        return Dataset("analogies", "analogy", tuple(items))


def _item(left: Pair, right: Pair, label: str, group: str) -> Item:
    (a, b), (c, d) = left, right
    wordings = (f"{a} relates to {b} the way {c} relates to {d}", f"{a} and {b} are like {c} and {d}")
    return Item(f"{a} is to {b} as {c} is to {d}", label, group, wordings=wordings)


def _pairs(words: str) -> dict[str, list[Pair]]:
    by_relation: dict[str, list[Pair]] = defaultdict(list)
    for row in read_list(words):
        by_relation[row["relation"]].append((row["first"], row["second"]))
    return {name: random.Random(f"analogies-{name}").sample(p, len(p)) for name, p in by_relation.items()}


def _tournament(players: list[str], rounds: int) -> list[list[tuple[str, str]]]:
    """Return rounds of a round-robin tournament (circle method): in each, every player meets one other."""
    fixed, ring = players[0], players[1:]
    schedule = []
    for turn in range(rounds):
        shift = turn % len(ring)
        circle = [fixed, *ring[shift:], *ring[:shift]]
        half = len(circle) // 2
        schedule.append(list(zip(circle[:half], reversed(circle[half:]), strict=True)))
    return schedule


PLUGIN = Analogies()
