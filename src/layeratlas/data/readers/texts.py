"""The user's own labelled texts, from CSV, TSV, JSON, JSON lines or Parquet; also the tables of world-models."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from layeratlas.core.errors import DataError
from layeratlas.data.bad_rows import BadRowLog, BadRows
from layeratlas.data.items import Dataset, Item
from layeratlas.data.names import safe_name
from layeratlas.data.readers.alike import check_alike
from layeratlas.data.readers.dates import with_dates
from layeratlas.data.readers.files import is_file, kind_of, resolved, shown, stem_of
from layeratlas.data.readers.row import Row, brief, checked
from layeratlas.data.readers.rows import read_rows

Labels = Literal["auto", "classes", "numbers"]
_EXPECTED = "a header and at least two labelled texts"
_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
# A numeric column with more distinct values than this is a number to predict, not a set of class names.
_MOST_NUMERIC_CLASSES = 10
# The markers of missing values in tables.
_MISSING = frozenset(("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none"))
# A number as text. `007` is a name, because numbers are not written with leading zeros.
_NUMBER = re.compile(
    r"[-+]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?|[-+]?inf(?:inity)?", re.IGNORECASE | re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """The columns of a table with text, label and group (empty: each text is a separate group)."""

    text: str
    label: str
    group: str = ""

    @property
    def names(self) -> list[str]:
        return [name for name in (self.text, self.label, self.group) if name]


# Published tables with other column names, by their identifying columns: world-models (places, works of art,
# headlines).
_KNOWN = (
    ({"name", "latitude", "longitude"}, _Columns(text="name", label="latitude")),
    ({"name", "death_year"}, _Columns(text="name", label="death_year")),
    ({"title", "creator", "release_date"}, _Columns(text="title", label="release_date")),
    ({"headline", "pub_date"}, _Columns(text="headline", label="pub_date")),
)


def read_table(path: str | Path, labels: Labels = "auto", bad_rows: BadRows = "refuse") -> Dataset:
    """Read columns `text`, `label` and (optional) `group` into a data set named after the file.

    Texts, labels and groups are kept as written. Without `group`, each text is a separate group. `FILE#COLUMN` takes
    the label from another column. Dates in the tables of world-models become years with a fraction. `labels="auto"`
    interprets more than 10 different numbers as numbers to predict and everything else as classes; `classes` and
    `numbers` declare them. Raises DataError with the file, the row and what to do; with `bad_rows="drop"`, rows without
    text, label or group are left out and listed in `dropped`.
    """
    file, column = _split(str(path))
    if kind_of(file) not in _SUFFIXES:
        raise DataError(f"{shown(file)} ends in '{file.suffix}'", "a .csv, .jsonl or .parquet file", "convert it")
    log = BadRowLog(bad_rows)
    table = read_rows(file, _EXPECTED)
    for where, error in table.bad:
        log.add(where, error)
    if not table.rows:
        log.settle()
        raise DataError(f"{shown(file)} is empty", _EXPECTED, "check the file")
    columns = _columns(table.rows, column, shown(file))
    rows = _whole(table.rows, columns, log)
    _check_one_group(rows, columns, log)
    dropped = log.settle()
    places = {entry.where for entry in dropped}
    rows = [row for row in rows if row.where not in places]
    if columns in (known for _, known in _KNOWN) and labels != "classes":
        rows = with_dates(rows, columns.label)
    values = [row.fields[columns.label] for row in rows]
    kind = _kind(values, labels, shown(file))
    if kind == "classes":
        check_alike(_triples(rows, columns.label), "label", shown(file))
    if columns.group:
        check_alike(_triples(rows, columns.group), "group", shown(file))
    return Dataset(
        name=safe_name(f"{stem_of(file)}-{column}" if column else stem_of(file)),
        level=safe_name(stem_of(file)),
        items=tuple(_item(row, columns, kind) for row in rows),
        kind=kind,
        source=shown(path),
        dropped=dropped,
    )


def _split(path: str) -> tuple[Path, str]:
    """Split a path from the column named after its last `#`, unless a file has that name."""
    name, mark, column = path.rpartition("#")
    file = resolved(path)
    return (resolved(name), column) if mark and not is_file(file) else (file, "")


def _columns(rows: Sequence[Row], column: str, where: str) -> _Columns:
    names = set(rows[0].fields).union(*(row.fields for row in rows))
    known = next((columns for key, columns in _KNOWN if key <= names and not {"text", "label"} <= names), None)
    columns = known or _Columns(text="text", label="label", group="group" if "group" in names else "")
    if column:
        columns = _Columns(text=columns.text, label=column, group=columns.group)
    if not {columns.text, columns.label} <= names:
        problem = f"{where} has the columns {', '.join(str(name) for name in rows[0].fields)[:500]}"
        expected = f"'{columns.text}' and '{columns.label}'" + ("" if column else " (optionally 'group')")
        raise DataError(problem, expected, "rename the columns")
    return columns


def _whole(rows: Sequence[Row], columns: _Columns, log: BadRowLog) -> list[Row]:
    """Return the rows with text, label and group; the others go to the log."""
    kept = []
    for row in rows:
        try:
            for name in columns.names:
                _check(row, name, missing=_MISSING if name != columns.text else frozenset(("",)))
            kept.append(row)
        except DataError as error:
            log.add(row.where, error)
    return kept


def _check(row: Row, name: str, missing: frozenset[str]) -> None:
    """Raise DataError unless a field holds one text, name or number."""
    value = row.fields.get(name)
    if value is None or (isinstance(value, str) and value.strip().lower() in missing):
        written = (value or "").strip()
        problem = f"{row.where}: '{name}' is " + (f"'{written}'" if written else "empty")
        raise DataError(problem, "a value in every row", "fill or drop it")
    if isinstance(value, float) and math.isnan(value):
        raise DataError(f"{row.where}: '{name}' is NaN", "a value in every row", "fill or drop it")
    if not isinstance(value, str | int | float) and not _is_scalar(value):
        problem = f"{row.where}: '{name}' is {brief(value)}"
        raise DataError(problem, "one text, name or number per row", "flatten or convert it")
    checked(_written(value), row.where, name)


def _is_scalar(value: Any) -> bool:
    """Tell whether a value of a Parquet column can be a name: a date, a time, a decimal number."""
    return hasattr(value, "isoformat") or hasattr(value, "as_tuple")


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_one_group(rows: Sequence[Row], columns: _Columns, log: BadRowLog) -> None:
    """Log the rows whose text is in another group already."""
    homes: dict[str, str] = {}
    for row in rows if columns.group else ():
        group = _written(row.fields[columns.group])
        home = homes.setdefault(_written(row.fields[columns.text]), group)
        if home != group:
            problem = f"{row.where}: the text is in the groups '{home}' and '{group}'"
            expected = "each text in one group, or a probe would be trained and tested on it"
            log.add(row.where, DataError(problem, expected, "merge the groups or drop a copy"))


def _kind(values: Sequence[Any], labels: Labels, where: str) -> Literal["classes", "number"]:
    """Return the kind of labels. Numbers are typed in JSON and Parquet; in tables they are matched as text."""
    if labels == "classes":
        return "classes"
    wrong = next((value for value in values if not _is_number(value)), None)
    if labels == "numbers":
        if wrong is not None:
            raise DataError(f"{where} has the label '{wrong}'", "numbers", "fix it, or add --labels classes")
        return "number"
    many = wrong is None and len(set(map(_number, values))) > _MOST_NUMERIC_CLASSES
    return "number" if many else "classes"


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) < 400 and bool(value.strip()) and _NUMBER.fullmatch(value.strip()) is not None
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _number(value: Any) -> float:
    """Return a number; one beyond the range of floats becomes infinite and is refused later."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _triples(rows: Sequence[Row], column: str) -> list[tuple[Any, str, bool]]:
    values = (row.fields[column] for row in rows)
    return [(value, _written(value), _is_number(value)) for value in values]


def _item(row: Row, columns: _Columns, kind: str) -> Item:
    text, value = _written(row.fields[columns.text]), row.fields[columns.label]
    group = _written(row.fields[columns.group]) if columns.group else text
    label = _number(value) if kind == "number" else _written(value)
    return Item(text=text, label=label, group=group)
