"""The charts and tables of a segments run's report, built from the run's files alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from layeratlas.runs.study import Exhibit
from layeratlas.runs.tables import read_table
from layeratlas.studies.segments.attention.table import attention_exhibits
from layeratlas.studies.segments.charts.boundaries import boundary_chart, boundary_table, cost_chart
from layeratlas.studies.segments.charts.signals import signal_charts, signal_text
from layeratlas.studies.segments.charts.similarity import similarity_chart
from layeratlas.studies.segments.dropping.charts import drop_exhibits
from layeratlas.studies.segments.information.charts import information_exhibits
from layeratlas.studies.segments.intervention.charts import intervention_exhibits
from layeratlas.studies.segments.names import CURVES_FILE, SIMILARITY_FILE
from layeratlas.studies.segments.perturbation.charts import brittleness_exhibits
from layeratlas.studies.segments.record import read_segments


def exhibits(folder: Path) -> list[Exhibit]:
    """Return the exhibits of a run, in reading order."""
    record = read_segments(folder)
    curves = read_table(folder / CURVES_FILE)
    cka = read_table(folder / SIMILARITY_FILE)
    return [
        Exhibit(
            name="segments",
            title="Where the boundaries are",
            text="Bars: the three segments. Each row repeats the search, on the same signals of other "
            "passages, or from other signals; lines: 90 % intervals of a boundary over passages. Two boundaries are "
            "always found: whether they exist is tested in the findings.",
            chart=partial(boundary_chart, record),
            table=boundary_table(record),
        ),
        Exhibit(
            name="signals",
            title="Signals over depth",
            text=signal_text(record),
            chart=partial(signal_charts, record, curves),
        ),
        Exhibit(
            name="similarity",
            title="How similar the layers are",
            text="Debiased linear CKA of every pair of points (0 = embeddings), mean over passages: 1 for the same "
            "arrangement of tokens, 0 for unrelated ones. Lines: the boundaries. A segment would be a dark square.",
            chart=partial(similarity_chart, record, cka),
        ),
        Exhibit(
            name="boundaries",
            title="How many boundaries?",
            text="Share of the signals' variation that is left by K boundaries. Band: the central 90 % of smooth "
            "signals without boundaries. Only a line below the band at K = 2 is evidence of two boundaries.",
            chart=partial(cost_chart, record),
        ),
        *brittleness_exhibits(folder, record, curves),
        *drop_exhibits(folder),
        *information_exhibits(folder),
        *attention_exhibits(folder),
        *intervention_exhibits(folder),
    ]
