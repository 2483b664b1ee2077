"""Probe your own labelled texts."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Unpack

import polars as pl

from layeratlas.api.folders import folder_path
from layeratlas.api.options import Model, Options, explicit
from layeratlas.api.results import Run
from layeratlas.api.running import run_spec
from layeratlas.api.specs import make_spec
from layeratlas.core.errors import SpecError
from layeratlas.core.progress import Progress, checked_progress
from layeratlas.core.spec import DEFAULT_MODEL, Size
from layeratlas.runs.tables import write_parquet

Column = Sequence[str] | Sequence[float]
Labels = Column | Mapping[str, Column]


@explicit(Options)
def probe(
    texts: Sequence[str],
    labels: Labels,
    *,
    model: Model = DEFAULT_MODEL,
    groups: Sequence[str] | Sequence[int] | None = None,
    size: Size = "standard",
    out: str | Path | None = None,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> Run:
    """Probe your own labelled texts at every layer and component of a model, and return the finished run.

    `labels` has one label per text: classes, or numbers to predict (more than 10 distinct values). It can also be a
    dict of such columns by name, which share one capture. Groups are never split across train and test; without
    `groups`, each text is a separate group. The run's `curves` have estimate, interval, chance and control at every
    layer, and `plot(name)` draws a column (`"label"` if there is only one). The run's folder is `out`, or a new
    temporary one; the texts are written next to it in `OUT-texts`. Options are those of `run`. Raises DataError,
    SpecError.
    """
    progress = checked_progress(progress)
    folder = folder_path(out) if out else Path(tempfile.mkdtemp(prefix="layeratlas-")) / "probe"
    beside = folder.with_name(f"{folder.name}-texts")
    columns = labels if isinstance(labels, Mapping) else {"label": labels}
    if not columns:
        raise SpecError("there are no labels", "one column of labels or more")
    tables = {name: _table(name, texts, column, groups) for name, column in columns.items()}
    files = [str(beside / f"{name}.parquet") for name in tables]
    if options.get("data"):
        raise SpecError("'data' is an option of runs of files", "texts and labels here", "call layeratlas.run()")
    spec = make_spec("hierarchy", model, size, {**options, "data": files})
    for path, table in zip(files, tables.values(), strict=True):
        write_parquet(Path(path), table)
    return run_spec(spec, folder, progress)


def _table(name: object, texts: object, labels: object, groups: object) -> pl.DataFrame:
    """Return one column of labels with its texts and groups; raises SpecError if lengths or types do not match."""
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
        raise SpecError(f"a label column is named '{name}'", "letters, digits, '.', '_' and '-'", "rename it")
    given = {"text": texts, "label": labels} | ({"group": groups} if groups is not None else {})
    table = {column: _column(f"'{name}': {column}s", values) for column, values in given.items()}
    lengths = {column: len(values) for column, values in table.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{count} {column}s" for column, count in lengths.items())
        raise SpecError(f"'{name}' has {counts}", "one label (and group) per text", "check the lengths")
    return pl.DataFrame(table)


def _column(what: str, values: Any) -> list[Any]:
    """Return a column of one type: text, numbers or truth values."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise SpecError(f"{what} are {values!r}", "a list")
    column = [value.item() if hasattr(value, "item") else value for value in values]
    kinds = list(dict.fromkeys(map(_kind, column)))
    if len(kinds) > 1 or not {*kinds} <= {"text", "numbers", "truth values"}:
        raise SpecError(f"{what} are {' and '.join(kinds)}", "text alone or numbers alone", "convert them")
    if what.endswith("texts") and kinds not in ([], ["text"]):
        raise SpecError(f"{what} are {kinds[0]}", "text", "convert them")
    if (
        kinds == ["text"]
        and (broken := next((n for n, text in enumerate(column) if not _is_whole(text)), None)) is not None
    ):
        raise SpecError(f"{what} have half of a surrogate pair (number {broken})", "whole characters", "fix it")
    whole = all(isinstance(value, int) for value in column)
    return column if whole or kinds != ["numbers"] else [float(value) for value in column]


def _is_whole(text: str) -> bool:
    """Tell whether a text can be written to a file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: object) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool):
        return "truth values"
    return "numbers" if isinstance(value, Real) else type(value).__name__
