"""The user's own labelled texts, from CSV, JSONL or Parquet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import polars as pl

from layeratlas.core.errors import DataError
from layeratlas.data.items import Dataset, Item

# Types are inferred from the whole file, since a label column may start with a thousand numbers and end in words.
_WHOLE: dict[str, Any] = {"infer_schema_length": None}
# A numeric column with more distinct values than this is a number to predict, not a set of class names.
_MOST_NUMERIC_CLASSES = 10
_READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": partial(pl.read_csv, **_WHOLE),
    ".jsonl": partial(pl.read_ndjson, **_WHOLE),
    ".ndjson": partial(pl.read_ndjson, **_WHOLE),
    ".parquet": pl.read_parquet,
}


def read_table(path: str | Path) -> Dataset:
    """Read columns `text`, `label` and (optional) `group` into a data set named after the file.

    Without `group`, each text is a group of its own. A numeric `label` with more than 10 distinct values is a
    number to predict; any other is a class. Raises DataError with the file, the row and what to do.
    """
    path = Path(path)
    frame = _read(path)
    if frame.is_empty():
        raise DataError(f"'{path}' is empty", "a header and at least two labelled texts", "check the file")
    missing = {"text", "label"} - set(frame.columns)
    if missing:
        found = ", ".join(frame.columns)
        raise DataError(
            f"'{path}' has the columns {found}", "'text' and 'label' (and perhaps 'group')", "rename the columns"
        )
    for column in [c for c in ("text", "label", "group") if c in frame.columns]:
        if frame[column].dtype.is_nested():
            raise DataError(
                f"'{path}': '{column}' holds {frame[column].dtype}", "one text, name or number a row", "flatten it"
            )
        empty = frame[column].is_null().arg_true()
        if len(empty):
            raise DataError(
                f"'{path}', row {empty[0] + 1}: '{column}' is empty", "a value in every row", "fill or drop it"
            )
    kind: Literal["classes", "number"] = "number" if _is_number(frame["label"]) else "classes"
    texts = frame["text"].cast(pl.String).to_list()
    groups = frame["group"].cast(pl.String).to_list() if "group" in frame.columns else texts
    labels = frame["label"].cast(pl.Float64 if kind == "number" else pl.String).to_list()
    items = tuple(Item(t, y, g) for t, y, g in zip(texts, labels, groups, strict=True))
    return Dataset(path.stem, path.stem, items, kind=kind, source=f"'{path}'")


def _read(path: Path) -> pl.DataFrame:
    if path.suffix.lower() not in _READERS:
        raise DataError(f"'{path}' ends in '{path.suffix}'", "a .csv, .jsonl or .parquet file", "convert it")
    if not path.is_file():
        raise DataError(f"'{path}' does not exist", "a file of labelled texts", "check the path")
    if path.stat().st_size == 0:
        raise DataError(f"'{path}' is empty", "a header and at least two labelled texts", "check the file")
    try:
        return _READERS[path.suffix.lower()](path)
    except (pl.exceptions.PolarsError, OSError, UnicodeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"'{path}' cannot be read ({reason})", f"well-formed {path.suffix[1:]}", "mend it") from error


def _is_number(labels: pl.Series) -> bool:
    return labels.dtype.is_numeric() and labels.n_unique() > _MOST_NUMERIC_CLASSES
