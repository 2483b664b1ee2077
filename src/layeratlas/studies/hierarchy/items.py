"""The files of a run's texts: every data set's items with the rows of their vectors and their token counts."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import polars as pl

from layeratlas.data.items import Dataset
from layeratlas.runs.tables import read_table, write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.hierarchy.designs import large_set

# The column of the texts that are tested, and the field of `run.json` with their number.
TESTED = "tested"


def write_items(work: Workspace, data: Dataset, rows: Sequence[int], tokens: Sequence[int]) -> str:
    """Write a data set's items with the row of their vectors and their token counts, and describe it in `run.json`.

    Those of a large data set also say which of its texts are tested.
    """
    columns = {
        "task": data.name,
        "level": data.level,
        "text": data.texts,
        "label": [item.label for item in data.items],
        "group": [item.group for item in data.items],
        "stratum": data.strata,
        "spans": [json.dumps(item.spans) for item in data.items],
        "row": rows,
        "tokens": tokens,
    }
    large, groups, y = large_set(work, data), data.groups, data.y
    tested = np.arange(len(tokens)) if large is None else large.sample
    frame = pl.DataFrame(columns | ({} if large is None else {TESTED: np.isin(np.arange(len(tokens)), tested)}))
    write_table(work, items_file(data), frame)
    record = {
        "name": data.name,
        "level": data.level,
        "kind": data.kind,
        "n": len(tokens),
        "classes": {str(name): int((y == code).sum()) for code, name in enumerate(data.classes)},
        "n_groups": int(groups.max()) + 1,
        "tokens": {"mean": float(np.mean(tokens)), "max": max(tokens)},
    }
    if large is not None:
        record[TESTED] = {"n": len(tested), "n_groups": len(np.unique(groups[tested])), "of": large.used}
    others = [other for other in work.manifest["datasets"] if other["name"] != data.name]
    work.manifest["datasets"] = [*others, record]
    return items_file(data)


def tokens_of(work: Workspace, data: Dataset) -> list[int]:
    """Return the number of tokens of each of a data set's texts, from the run's folder."""
    tokens: list[int] = read_table(work.folder / items_file(data), columns=["tokens"])["tokens"].to_list()
    return tokens


def items_file(data: Dataset) -> str:
    """Return the file of a data set's items, in the run's folder."""
    return f"items/{data.name}.parquet"
