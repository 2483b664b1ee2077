"""The project's own word lists, read from package data."""

from __future__ import annotations

import csv
from importlib.resources import files


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of `data/shipped_files/<name>.csv`, in file order."""
    text = (files("layeratlas.data") / "shipped_files" / f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
