"""Data sets of the Hugging Face hub as rows."""

from __future__ import annotations

import importlib
import re

from layeratlas.core.errors import DataError
from layeratlas.data.readers.row import Row, RowFile

PREFIX = "hub:"


def hub_rows(path: str) -> tuple[RowFile, str]:
    """Load `hub:NAME#CONFIG#SPLIT` and return its rows and its name.

    The configuration defaults to that of the data set, the split to `test`. Raises DataError if it cannot be loaded.
    """
    try:
        load_dataset = importlib.import_module("datasets").load_dataset
    except ImportError as error:
        raise DataError(f"'{path}' needs the package 'datasets'", "", "pip install 'layeratlas[hub]'") from error
    name, config, split = (*path.removeprefix(PREFIX).split("#"), "", "")[:3]
    try:
        dataset = load_dataset(name, config or None, split=split or "test")
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"'{path}' cannot be loaded ({reason})", "hub:NAME#CONFIG#SPLIT", "check the name, or the network"
        ) from error
    # Data sets with a configuration per language do not repeat it in their rows.
    code = re.fullmatch("([a-z]{2})|([A-Z]{2})_[A-Z]{2}", config)
    language = {"lang": (code[1] or code[2]).lower()} if code else {}
    rows = [Row(language | dict(fields), f"'{path}', row {number}") for number, fields in enumerate(dataset, 1)]
    if not rows:
        raise DataError(f"'{path}' has no rows", "at least one question", "check the split")
    return RowFile(rows), "-".join(filter(None, [name.split("/")[-1], config]))
