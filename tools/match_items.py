"""Choose, for each item property, pairs of a noun that has it and one that has not, alike in all that is not meaning.

Writes `items_matched.csv` into the word lists. Within a pair the nouns have the same number of tokens in the
default model's tokenizer, their Zipf frequencies (wordfreq) differ by at most 0.25 and their lengths by at most two
characters. The assignment is the cheapest overall (Hungarian algorithm). No frequency is stored, only the choice.

    python tools/match_items.py
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from wordfreq import zipf_frequency

from layeratlas.core.spec import ModelSpec
from layeratlas.models import load

DATA = Path(__file__).parents[1] / "src/layeratlas/data/lists"
PROPERTIES = ("edible", "animal", "manmade", "large")
FORBIDDEN = 1e6
Traits = dict[str, tuple[float, int, int]]


def main() -> None:
    """Match every property and write the pairs in random order, so that any first part is a fair sample."""
    encode = load(ModelSpec()).encode
    with (DATA / "items.csv").open(encoding="utf-8") as file:
        nouns = list(csv.DictReader(file))
    traits = traits_of(((n["noun"], n["article"]) for n in nouns), encode)
    lines = [("property", "positive", "negative")]
    for name in PROPERTIES:
        yes = [n["noun"] for n in nouns if n[name] == "1"]
        no = [n["noun"] for n in nouns if n[name] == "0"]
        pairs = match(yes, no, traits)
        random.Random(f"items-{name}").shuffle(pairs)
        lines += [(name, *pair) for pair in pairs]
        print(name, len(pairs), "pairs")
    with (DATA / "items_matched.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


def traits_of(nouns: Iterable[tuple[str, str]], encode: Callable[[str], list[int]]) -> Traits:
    """Return the Zipf frequency of each noun, its length in characters, and in tokens with its article."""
    return {n: (zipf_frequency(n, "en"), len(n), len(encode(f"{article} {n}"))) for n, article in nouns}


def match(yes: list[str], no: list[str], traits: Traits) -> list[tuple[str, str]]:
    """Return the allowed pairs of the cheapest assignment."""
    a, b = (np.array([traits[w] for w in words]) for words in (yes, no))
    gap = np.abs(a[:, None] - b[None])
    cost = gap[..., 0] + 0.05 * gap[..., 1]
    cost[(gap[..., 0] > 0.25) | (gap[..., 1] > 2) | (gap[..., 2] > 0)] = FORBIDDEN
    return [(yes[i], no[j]) for i, j in zip(*linear_sum_assignment(cost), strict=True) if cost[i, j] < FORBIDDEN]


if __name__ == "__main__":
    main()
