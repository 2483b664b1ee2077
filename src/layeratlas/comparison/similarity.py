"""The similarity of models at each pair of layers on the same texts, from the activations that the runs kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from layeratlas.comparison.cka import FEWEST, Grams, cka, grams
from layeratlas.comparison.cohort import Cohort
from layeratlas.core.arrays import Floats
from layeratlas.core.errors import StoreError
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.tables import read_table

# The most texts (the limit per level is below), and the most equally spaced relative depths.
TEXTS, DEPTHS = 400, 16
_PER_LEVEL = 100
_ACTIVATIONS = "activations"
SCHEMA: dict[str, Any] = {
    "study": pl.String,
    "model_a": pl.String,
    "model_b": pl.String,
    "layer_a": pl.Int64,
    "layer_b": pl.Int64,
    "depth_a": pl.Float64,
    "depth_b": pl.Float64,
    "cka": pl.Float64,
}


@dataclass(frozen=True, kw_only=True)
class _Read:
    """One model's vectors at its layers nearest to the common relative depths; `last` is its last point."""

    name: str
    layers: Sequence[int]
    last: int
    grams: Grams


def similarity(cohort: Cohort, seed: int = 0) -> tuple[pl.DataFrame, list[str]]:
    """Return the similarity map of every pair, and notes on runs that could not be read.

    Uses debiased linear CKA of the residual stream on at most 400 texts, at up to 16 equal relative depths.
    """
    notes: list[str] = []
    nothing = pl.DataFrame(schema=SCHEMA)
    chosen = _texts(cohort.runs[0], seed)
    if chosen is None:
        return nothing, notes
    rows, levels = chosen
    points = [_points(run.folder) for run in cohort.runs]
    fewest = min((count for count in points if count), default=0)
    depths = np.linspace(0, 1, min(DEPTHS, fewest)) if fewest > 1 else np.zeros(0)
    models: list[_Read] = []
    for name, run, count in zip(cohort.names, cohort.runs, points, strict=True):
        layers = [round(depth * (count - 1)) for depth in depths]
        try:
            vectors = _vectors(run.folder, layers if count else [], rows)
        except StoreError as error:
            notes.append(f"{name} is left out of the maps of similarity: {error.problem}.")
            continue
        models.append(_Read(name=name, layers=layers, last=count - 1, grams=grams(vectors, levels)))
    if len(models) < 2 or len(depths) < 2:
        return nothing, notes
    pairs = combinations(models, 2)
    return pl.concat([_table(cohort.study, a, b, cka(a.grams, b.grams)) for a, b in pairs]), notes


def _points(folder: Path) -> int:
    """Return how many points of the residual stream a run kept; 0 for none."""
    from layeratlas.store.rows import points_of

    try:
        return points_of(folder / _ACTIVATIONS, "resid")
    except StoreError:
        return 0


def _vectors(folder: Path, layers: Sequence[int], rows: Sequence[int]) -> NDArray[np.floating[Any]]:
    """Return the residual stream of the texts at these layers, (G, n, d)."""
    from layeratlas.store.rows import read_rows

    if not layers:
        raise StoreError("the activations were deleted or hold no residual stream")
    return read_rows(folder / _ACTIVATIONS, "resid", layers, rows)


def _texts(run: FinishedRun, seed: int) -> tuple[list[int], NDArray[np.int64]] | None:
    """Return rows of the store, balanced over levels, with their level codes; None if a run has no items."""
    files = [file for file in run.outputs("items") if file.is_file()]
    try:
        parts = [read_table(file, columns=["level", "row"]) for file in files]
    except StoreError:
        return None
    if not parts:
        return None
    items = pl.concat(parts).unique("row", keep="first", maintain_order=True)
    levels = items["level"].unique(maintain_order=True).to_list()
    count = max(FEWEST, min(_PER_LEVEL, TEXTS // len(levels)))
    rng = np.random.default_rng([seed, 61])
    kept = []
    for level in levels[: TEXTS // FEWEST]:
        of_level = items.filter(pl.col("level") == level)
        kept.append(of_level[sorted(rng.permutation(len(of_level))[:count].tolist())])
    table = pl.concat(kept)
    if len(table) < FEWEST or all(len(of_level) < FEWEST for of_level in kept):
        return None
    codes = np.unique(table["level"].cast(pl.String).to_numpy(), return_inverse=True)[1]
    return table["row"].to_list(), codes.astype(np.int64)


def _table(study: str, a: _Read, b: _Read, similarities: Floats) -> pl.DataFrame:
    """Return one row per pair of layers."""
    row, column = np.indices(similarities.shape)
    layer_a, layer_b = np.array(a.layers)[row.ravel()], np.array(b.layers)[column.ravel()]
    columns = {
        "study": study,
        "model_a": a.name,
        "model_b": b.name,
        "layer_a": layer_a,
        "layer_b": layer_b,
        "depth_a": layer_a / max(a.last, 1),
        "depth_b": layer_b / max(b.last, 1),
        "cka": similarities.ravel(),
    }
    return pl.DataFrame(columns, schema=SCHEMA)
