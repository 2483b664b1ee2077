"""Probe your own labelled texts."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
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
from layeratlas.core.files import read_object, write_atomic
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
    temporary one, which is removed after an error; the texts are written next to it in `OUT-texts`. Options are those
    of `run`. Raises DataError, SpecError.
    """
    progress = checked_progress(progress)
    columns = labels if isinstance(labels, Mapping) else {"label": labels}
    if not columns:
        raise SpecError("there are no labels", "one column of labels or more")
    tables = {name: _table(name, texts, column, groups) for name, column in columns.items()}
    if options.get("data"):
        raise SpecError("'data' is an option of runs of files", "texts and labels here", "call layeratlas.run()")
    with _folder(out) as folder:
        beside = folder.with_name(f"{folder.name}-texts")
        files = {beside / f"{name}.parquet": table for name, table in tables.items()}
        spec = make_spec("hierarchy", model, size, {**options, "data": list(map(str, files))})
        with _written(files, folder):
            return run_spec(spec, folder, progress)


@contextlib.contextmanager
def _folder(out: str | Path | None) -> Iterator[Path]:
    """Yield a run's folder: `out`, or one in a new temporary folder. That one is removed after an error.

    No later call could resume it, since each makes another.
    """
    if out:
        yield folder_path(out)
        return
    parent = Path(tempfile.mkdtemp(prefix="layeratlas-"))
    try:
        yield parent / "probe"
    except BaseException:
        shutil.rmtree(parent, ignore_errors=True)
        raise


@contextlib.contextmanager
def _written(files: Mapping[Path, pl.DataFrame], run: Path) -> Iterator[None]:
    """Write texts beside a run; if it is refused or cannot begin, what was there before is put back.

    The folder may hold a finished run of other texts, which would be left without its own.
    """
    before = {path: _bytes(path) for path in files}
    key = read_object(run / "run.json").get("key")
    try:
        for path, table in files.items():
            write_parquet(path, table)
        yield
    except BaseException:
        if read_object(run / "run.json").get("key") == key:
            for path, data in before.items():
                _put_back(path, data)
        raise


def _bytes(path: Path) -> bytes | None:
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return None


def _put_back(path: Path, data: bytes | None) -> None:
    """Give a file its earlier content; one that was not there is removed, with its folder if that is empty."""
    if data is not None:
        write_atomic(path, data)
        return
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()


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
