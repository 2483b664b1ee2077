"""Reads rows from Parquet bytes, so that a file's name is never interpreted as a glob pattern."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from layeratlas.core.errors import DataError
from layeratlas.data.readers.files import MOST_BYTES, shown
from layeratlas.data.readers.row import Row, RowFile

_MOST_ROWS = 20_000_000


def parquet_rows(raw: bytes, path: Path) -> RowFile:
    """Return the rows of a Parquet file; raises DataError if it cannot be read or is too large."""
    arrow, parquet = (importlib.import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
    try:
        file = parquet.ParquetFile(arrow.BufferReader(raw))
        _check_size(file.metadata, path)
        rows: list[dict[str, Any]] = file.read().to_pylist()
    except DataError:
        raise
    except (arrow.ArrowException, ValueError, OverflowError, OSError, MemoryError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise DataError(f"{shown(path)} cannot be read ({reason})", "well-formed parquet", "fix it") from error
    return RowFile([Row(row, f"{shown(path)}, row {number}") for number, row in enumerate(rows, 1)])


def _check_size(metadata: Any, path: Path) -> None:
    size = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    if size > MOST_BYTES or metadata.num_rows > _MOST_ROWS:
        problem = f"{shown(path)} has {metadata.num_rows:,} rows and {size / 1e9:.1f} GB"
        raise DataError(problem, f"at most {_MOST_ROWS:,} rows and {MOST_BYTES / 1e9:.1f} GB", "split the file")
