"""The exhibit of robustness: peak and emergence under other wordings, word lists, folds and seeds."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from layeratlas.runs.study import Exhibit
from layeratlas.runs.tables import read_table
from layeratlas.stats.intervals import Z95
from layeratlas.studies.hierarchy.names import ROBUSTNESS
from layeratlas.studies.hierarchy.robustness.tables import Spread, spreads
from layeratlas.studies.hierarchy.robustness.variants import Source

_TEXT = (
    "Relative depth at which each level peaks and emerges in the residual stream, as run and under two other wordings"
    " of every text, with two word lists of independent origin (equally many texts of each property, relation and"
    " phenomenon in both), with other folds and with other seeds of the bootstrap. The first interval (95 %) is over"
    " groups of texts alone, the second includes the variation of all sources. Levels of long texts are left out below"
    " size full, and at most 240 texts of each task are used."
)
_TITLES = {
    Source.WORDING: "Other wordings",
    Source.WORD_LIST: "Two word lists",
    Source.FOLDS: "Other folds",
    Source.SEED: "Other seeds",
}


def robustness_exhibits(folder: Path) -> list[Exhibit]:
    """Return the table of a run; empty if the run did not measure it."""
    if not (folder / ROBUSTNESS).is_file():
        return []
    table = read_table(folder / ROBUSTNESS)
    if table.is_empty():
        return []
    rows = [_row(table, spread) for spread in spreads(table)]
    return [Exhibit("robustness", "Does it depend on wording, words, folds or seeds?", _TEXT, table=pl.DataFrame(rows))]


def _row(table: pl.DataFrame, spread: Spread) -> dict[str, str]:
    own = table.filter(level=spread.level)
    values = {
        title: ", ".join(f"{value:.2f}" for value in own.filter(source=source)[spread.quantity]) or "not measured"
        for source, title in _TITLES.items()
    }
    reach = Z95 * spread.groups
    groups = max(spread.estimate - reach, 0.0), min(spread.estimate + reach, 1.0)
    return {
        "Level": spread.level,
        "Depth of": spread.quantity,
        "As run": f"{spread.estimate:.2f}",
        **values,
        "Interval over groups": _interval(groups),
        "With all sources": _interval(spread.interval),
    }


def _interval(ends: tuple[float, float]) -> str:
    return f"[{ends[0]:.2f}, {ends[1]:.2f}]"
