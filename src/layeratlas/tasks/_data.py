"""The project's own word lists, read from package data."""

from __future__ import annotations

import csv
from importlib.resources import files


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of `tasks/data/<name>.csv`, in file order."""
    text = (files("layeratlas.tasks") / "data" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
