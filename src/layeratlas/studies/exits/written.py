"""What exits write after one question, exit by exit: decoded answers or chains, to be read and not only counted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.runs.mistakes import brief
from layeratlas.runs.study import Exhibit
from layeratlas.runs.tables import read_table
from layeratlas.studies.exits.names import free_file, items_file

# The most letters shown of a decoded text.
_LETTERS = 240


def exhibits(folder: Path, run: Mapping[str, Any]) -> list[Exhibit]:
    """Return a table of what each exit wrote after the first question of the first set.

    Empty if nothing was decoded, for the user's own questions, which reports do not show, and for a shared run.
    """
    names = [data["name"] for data in run.get("datasets", [])] if not run["spec"].get("data") else []
    name = next((each for each in names if all((folder / file).is_file() for file in _files(each))), None)
    if name is None:
        return []
    items, written = (read_table(folder / file) for file in _files(name))
    asked = items.row(0, named=True)
    truth = asked["choices"][asked["answers"][0]]
    rows = written.filter(question=0).sort("layer").iter_rows(named=True)
    table = pl.DataFrame(
        [
            {
                "Exit": row["layer"],
                "Writes": brief(row["text"].strip().replace("\n", " \u23ce "), _LETTERS),
                "Answer": brief(row["answer"]) or "none",
                "Right": "yes" if row["right"] else "no",
            }
            for row in rows
        ]
    )
    text = (
        f"The first question of {name} is: {asked['text']} The true choice is: {truth} A line break is written \u23ce. "
        f"What every exit wrote after every question is in {free_file(name)}."
    )
    return [Exhibit(name="written", title="What exits write", text=text, table=table)]


def _files(name: str) -> tuple[str, str]:
    return items_file(name), free_file(name)
