"""List the measured numbers of the documentation that have no command near them that could print them.

    python tools/doc_numbers.py [FILE ...]

A number counts as measured if it has a unit (%, s, min, MB, GB, nats, GFLOP/s, ...), if it is a count of trials
(383 of 400) or an interval ([0.11, 0.19]). Levels and bounds (95 %, at most 5 %, 93 to 97 %) do not count. A command is
a call of layeratlas, python, pytest or make, or a script; near is the same paragraph, item or table, or one of the two
before and the two after. Without FILE all pages are read. A line that is listed is not wrong: it is for a person to
look at, and `tests/unit/test_doc_numbers.py` has the number of those that have been looked at. The last line is the
number of lines listed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Pages that tools write from finished runs and notebooks: their numbers are the output of the code on the page.
WRITTEN = ("gallery", "notebook-")
WRITTEN_BY_HAND = [page for page in sorted((ROOT / "docs").glob("*.md")) if not page.name.startswith(WRITTEN)]
PAGES = [ROOT / "README.md", *WRITTEN_BY_HAND, ROOT / "benchmarks/README.md"]
UNITS = r"(?:%|s|ms|min|hours?|minutes|seconds|[KMG]B|nats|GFLOP/s)"
MEASURED = re.compile(rf"\d[\d,.]* {UNITS}(?![\w-])|\b\d[\d,]* of (?:the )?\d[\d,]*|\[[+-]?\d[\d.]*, [+-]?\d[\d.]*\]")
# Levels of intervals and tests, and bounds, which are set and not measured.
BOUNDS = r"\b(?:at most|at least|below|above|within|up to|less than|more than|over) \d[\d,.]* "
SET = re.compile(rf"\b(?:9[05]|100|5) %|93 to 97 %|\d+ % (?:shared )?noise|{BOUNDS}{UNITS}")
COMMAND = re.compile(r"`(?:layeratlas|pytest|python|make|la\.)|^(?:layeratlas|python|pytest|make) |\w\.py\b", re.M)


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number of the first line and the text of every heading, paragraph, item, table and fenced block."""
    start, lines, fenced = 1, list[str](), False
    for number, line in enumerate(text.splitlines(), 1):
        begins = line.startswith(("#", "- ", "```"))
        if not fenced and (begins or not line) and lines:
            yield start, "\n".join(lines)
            lines = []
        if line or fenced:
            start = start if lines else number
            lines.append(line)
        fenced ^= line.startswith("```")
    yield start, "\n".join(lines)


def unnamed(text: str) -> list[tuple[int, str]]:
    """Return the lines with a measured number, numbered, of blocks without a command in them or near them."""
    found, all_blocks = [], list(blocks(text))
    for place, (start, block) in enumerate(all_blocks):
        near = "\n".join(other for _, other in all_blocks[max(place - 2, 0) : place + 3])
        if not COMMAND.search(near):
            lines = enumerate(block.splitlines(), start)
            found += [(number, line) for number, line in lines if MEASURED.search(SET.sub("", line))]
    return found


def main() -> None:
    """Print the lines of every page, and how many they are last."""
    listed = 0
    for page in [Path(name) for name in sys.argv[1:]] or PAGES:
        for number, line in unnamed(page.read_text(encoding="utf-8")):
            print(f"{page.relative_to(ROOT) if page.is_relative_to(ROOT) else page}:{number}: {line.strip()}")
            listed += 1
    print(f"lines with measured numbers and no command near them: {listed}")


if __name__ == "__main__":
    main()
