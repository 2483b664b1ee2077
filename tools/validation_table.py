"""Write the table of rates into docs/validation.md: the lines that `layeratlas validate --out DIR` prints.

    layeratlas validate --out DIR
    python tools/validation_table.py DIR [--page docs/validation.md]

Simulations that DIR lacks are made. The page's table under "One run of the table" is replaced, its sentences are not:
the lines outside their bounds are printed, to be named there.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from layeratlas.core.progress import Progress
from layeratlas.validation import Rate, validate

_HEAD = ["| planted | counted | hits | trials | required |", "|---|---|---|---|---|"]


def main() -> None:
    """Replace the table of a page by that of a folder of simulations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--page", type=Path, default=Path("docs/validation.md"))
    chosen = parser.parse_args()
    rates = validate(chosen.runs, "quick", Progress(), 0, chosen.folder)
    page = chosen.page.read_text(encoding="utf-8")
    chosen.page.write_text(replaced(page, rates), encoding="utf-8")
    tested = sum(not is_coverage(rate) for rate in rates)
    print(f"{len(rates)} lines, {tested} tested and {len(rates) - tested} coverages; outside:")
    print("\n".join(row(rate) for rate in rates if not rate.passed) or "none")


def replaced(page: str, rates: Sequence[Rate]) -> str:
    """Return a page with its table of rates replaced."""
    lines = page.splitlines()
    first = lines.index(_HEAD[0])
    last = next(number for number in range(first, len(lines) + 1) if not "".join(lines[number : number + 1]))
    return "\n".join([*lines[:first], *_HEAD, *map(row, rates), *lines[last:]]) + "\n"


def row(rate: Rate) -> str:
    """Return a line of the table, marked where its rate is outside."""
    mark = "" if rate.passed else " (outside)"
    return f"| {named(rate.planted)} | {rate.finding} | {rate.hits:,} | {rate.trials:,} | {required(rate)}{mark} |"


def named(planted: str) -> str:
    """Return the name of what was planted, as the pages write percentages."""
    return planted.replace("%", " %")


def required(rate: Rate) -> str:
    """Return the bounds of a rate in words."""
    least, most = (f"{100 * bound:g}" for bound in (rate.at_least, rate.at_most))
    if is_coverage(rate):
        return f"{least} to {most} %"
    if rate.at_least:
        return f"at least {least} %"
    return f"at most {most} %" if rate.at_most else "0"


def is_coverage(rate: Rate) -> bool:
    """Return whether a rate has two bounds, as the coverage of an interval has."""
    return rate.at_least > 0 and rate.at_most < 1


if __name__ == "__main__":
    main()
