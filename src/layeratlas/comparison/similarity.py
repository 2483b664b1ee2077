"""Are models alike layer by layer on the same texts? Read from the runs' activations, where they are still there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from layeratlas.comparison.alignment import FEWEST, Alignment, Grams, Texts, alignments, grams
from layeratlas.comparison.cohort import Cohort
from layeratlas.core import formatting as wording
from layeratlas.core.errors import StoreError
from layeratlas.runs.finding import Finding

TEXTS, DEPTHS = 400, 16
_ACTIVATIONS = "activations"
_A_LEVEL = 100
SCHEMA: dict[str, Any] = {
    "study": pl.String, "model_a": pl.String, "model_b": pl.String, "layer_a": pl.Int64, "layer_b": pl.Int64,
    "depth_a": pl.Float64, "depth_b": pl.Float64, "cka": pl.Float64,
}  # fmt: skip


def similarity(cohort: Cohort, seed: int = 0) -> tuple[list[Finding], pl.DataFrame, list[str]]:
    """Return findings, the map of every pair and what could not be read.

    Debiased linear CKA of the residual stream on at most 400 texts at up to 16 equal relative depths.
    """
    notes: list[str] = []
    found: list[tuple[str, list[int], int, Grams]] = []
    chosen = _texts(cohort.runs[0].folder, seed)
    if chosen is None:
        return [], pl.DataFrame(schema=SCHEMA), []
    rows, texts = chosen
    counts = {name: _points(run.folder) for name, run in zip(cohort.names, cohort.runs, strict=True)}
    most = min((n for n in counts.values() if n), default=0)
    depths = np.linspace(0, 1, min(DEPTHS, most)) if most > 1 else np.zeros(0)
    for name, run in zip(cohort.names, cohort.runs, strict=True):
        layers = [round(d * (counts[name] - 1)) for d in depths]
        try:
            if not counts[name]:
                raise StoreError("the activations were deleted or hold no residual stream")
            from layeratlas.store.rows import read_rows

            vectors = read_rows(run.folder / _ACTIVATIONS, "resid", layers, rows)
            found.append((name, layers, counts[name] - 1, grams(vectors, texts.levels)))
        except StoreError as error:
            notes.append(f"{name} is left out of the maps of similarity: {error.found}.")
    if len(found) < 2 or len(depths) < 2:
        return [], pl.DataFrame(schema=SCHEMA), notes
    made = alignments([one[-1] for one in found], texts, depths, seed)
    tables = [_table(cohort.study, found[i], found[j], one.cka) for (i, j), one in made.items()]
    findings = [_finding(found[i][0], found[j][0], one, len(rows)) for (i, j), one in made.items()]
    return findings, pl.concat(tables), notes


def _points(folder: Path) -> int:
    from layeratlas.store.rows import points_of

    try:
        return points_of(folder / _ACTIVATIONS, "resid")
    except StoreError:
        return 0


def _texts(folder: Path, seed: int) -> tuple[list[int], Texts] | None:
    """Return rows of the store, as many of each level, with their levels and groups; None where a run has no items."""
    files = sorted((folder / "items").glob("*.parquet"))
    columns = ["level", "group", "row"]
    try:
        parts = [pl.read_parquet(file, columns=columns) for file in files]
    except (OSError, pl.exceptions.PolarsError):
        return None
    if not parts:
        return None
    items = pl.concat(parts).unique("row", keep="first", maintain_order=True)
    levels = items["level"].unique(maintain_order=True).to_list()
    each = max(FEWEST, min(_A_LEVEL, TEXTS // len(levels)))
    rng = np.random.default_rng([seed, 61])
    kept = []
    for level in levels[: TEXTS // FEWEST]:
        mine = items.filter(pl.col("level") == level)
        kept.append(mine[sorted(rng.permutation(len(mine))[:each].tolist())])
    table = pl.concat(kept)
    if len(table) < FEWEST or all(len(one) < FEWEST for one in kept):
        return None
    return table["row"].to_list(), Texts(_codes(table, "level"), _codes(table, "group"))


def _codes(table: pl.DataFrame, name: str) -> NDArray[np.int64]:
    return np.unique(table[name].cast(pl.String).to_numpy(), return_inverse=True)[1].astype(np.int64)


def _table(study: str, a: Sequence[Any], b: Sequence[Any], cka: NDArray[np.float64]) -> pl.DataFrame:
    (name_a, layers_a, last_a, _), (name_b, layers_b, last_b, _) = a, b
    one, two = np.indices(cka.shape)
    layer_a, layer_b = np.array(layers_a)[one.ravel()], np.array(layers_b)[two.ravel()]
    columns = {
        "study": study, "model_a": name_a, "model_b": name_b, "layer_a": layer_a, "layer_b": layer_b,
        "depth_a": layer_a / max(last_a, 1), "depth_b": layer_b / max(last_b, 1), "cka": cka.ravel(),
    }  # fmt: skip
    return pl.DataFrame(columns, schema=SCHEMA)


def _finding(a: str, b: str, found: Alignment, n: int) -> Finding:
    says = {
        "supported": "climb the same hierarchy",
        "not supported": "do not climb the same hierarchy",
        "inconclusive": "are not shown to climb the same hierarchy",
    }[found.verdict]
    text = (
        f"{a} and {b} {says}: CKA at equal depth {wording.num(found.diagonal, 2)} (shuffled texts "
        f"{wording.num(found.null[0], 2)}, 95 % below {wording.num(found.null[1], 2)}); equal depths are more alike "
        f"than depths a quarter apart by {wording.num(found.climb, 2)} [{wording.num(found.lo, 2)}, "
        f"{wording.num(found.hi, 2)}], beyond what each layer shares with all of the other model's."
    )
    null = "texts in random order within each level; equal depths lead by under a tenth of their similarity (jackknife)"
    return Finding(
        "same hierarchy", f"{a} / {b}", "resid", "CKA", text, found.climb, found.lo, found.hi, found.p, null,
        found.verdict, n,
    )  # fmt: skip
