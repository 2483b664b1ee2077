"""Word lists, sentences and tables, read from package data."""

from __future__ import annotations

import csv
from importlib.resources import files


def read_list(name: str) -> list[dict[str, str]]:
    """Return the rows of `data/lists/<name>.csv`, in file order."""
    text = (files("layeratlas.data.lists") / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def with_article(noun: str) -> str:
    """Return a noun after "A" or "An", which its first letter decides."""
    return f"{'An' if noun[0] in 'aeiou' else 'A'} {noun}"


def read_lines(name: str) -> list[str]:
    """Return the lines of `data/lists/<name>.txt`."""
    return (files("layeratlas.data.lists") / f"{name}.txt").read_text(encoding="utf-8").splitlines()
