"""The curves of several models in one table: one entry for each level (or signal) and component."""

from __future__ import annotations

import polars as pl

from layeratlas.comparison.cohort import Cohort
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.floors import FLOOR

COLUMNS = (
    *("study", "model", "order", "entry", "level", "task", "component", "method", "metric", "layer", "depth"),
    *("estimate", "lo", "hi", "chance", "control", "baseline", "shade"),
)
_NUMBERS = ("depth", "estimate", "lo", "hi", "chance", "control", "baseline")


def stacked(cohort: Cohort) -> pl.DataFrame:
    """Return the curves of all models.

    For each level and component these are the curves of the first method and measure over all texts, or the curves of
    its tasks if the level has none. `entry` is the name of the level's row or of the task. `shade`, 0 to 1, is the
    estimate's gain over its floor (`Study.floored`) as a share of the largest gain of any model in the same entry and
    component; without a floor it is the position between the entry's minimum and maximum. It is 0 if the run tested for
    a peak (or an answer) and did not find one.
    """
    parts = [_rows(cohort, run, name, i) for i, (name, run) in enumerate(zip(cohort.names, cohort.runs, strict=True))]
    table = pl.concat(parts).with_columns(study=pl.lit(cohort.study))
    floor = pl.col(FLOOR)
    gain = pl.when("encoded").then((pl.col("estimate") - floor).clip(0)).otherwise(0.0)
    least, most = (pl.col("estimate").min(), pl.col("estimate").max())
    by = ["entry", "component"]
    share = (gain / gain.max().over(by)).fill_nan(0)
    place = ((pl.col("estimate") - least.over(by)) / (most - least).over(by)).fill_nan(0)
    known = (floor.is_not_null() & (pl.col("task") == "all")).all().over(by)
    return table.with_columns(shade=pl.when(known).then(share).otherwise(place)).select(COLUMNS)


def _rows(cohort: Cohort, run: FinishedRun, name: str, order: int) -> pl.DataFrame:
    table = cohort.plugin.floored(run, _main_curves(run, cohort.plugin.mapped or run.method))
    judged = run.presence(cohort.plugin.presence)
    absent = [f"{level}\n{component}" for (level, component), held in judged.items() if not held]
    encoded = ~pl.concat_str("level", "component", separator="\n").is_in(absent)
    row = pl.format(cohort.plugin.row, pl.col("level"))
    entry = pl.when(pl.col("task") == "all").then(row).otherwise(pl.col("task").str.replace_all("_", " "))
    return table.select(
        *("level", "task", "component", "method", "metric"),
        model=pl.lit(name),
        order=pl.lit(order),
        entry=entry,
        encoded=encoded,
        floor=pl.col(FLOOR).cast(pl.Float64),
        layer=pl.col("layer").cast(pl.Int64),
        **{number: pl.col(number).cast(pl.Float64) for number in _NUMBERS},
    )


def _main_curves(run: FinishedRun, main: str) -> pl.DataFrame:
    """Return the rows of whole levels (or else of their tasks), for the method `main` and its first measure."""
    all_texts = run.curves.filter(pl.col("stratum") == "all", pl.col("estimate").is_finite())
    levels = all_texts.filter(pl.col("task") == "all")
    tasks = all_texts.filter(pl.col("task") != "all", ~pl.col("level").is_in(levels["level"].unique().to_list()))
    table = pl.concat([levels, tasks]).sort(pl.col("method") != main, maintain_order=True)
    by = ["level", "task", "component"]
    table = table.filter(pl.col("method") == pl.col("method").first().over(by))
    return table.filter(pl.col("metric") == pl.col("metric").first().over(by))
