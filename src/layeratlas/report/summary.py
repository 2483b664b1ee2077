"""What the end of a run prints, kept in `run.json`, so that a finished run answers without reading its tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from layeratlas.core.formatting import in_words
from layeratlas.report.lead import headlines
from layeratlas.report.overview import overview
from layeratlas.report.text_map import level_rows
from layeratlas.report.view import view_of
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.recommendation import FILE as RECOMMENDATIONS
from layeratlas.runs.recommendation import summary_lines
from layeratlas.runs.study import Study


def summary_of(run: FinishedRun, study: Study | None) -> dict[str, Any]:
    """Return what the end of a run prints, as JSON, from its tables.

    `map`: the rows of its map by level (the fields of `TextRow`), none for a study without
    curves; `lines`: at most five findings and two lines of layers to use; `findings`: their number in the report.
    """
    leading = headlines(overview(run.findings, study))
    first = [f"[{in_words(row['verdict'], row['tested'])}] {row['plain']}" for row in leading]
    advice = summary_lines(run.recommendations) if (run.folder / RECOMMENDATIONS).exists() else []
    return {"map": _map(run, study), "lines": [*first, *advice], "findings": run.findings.height}


def _map(run: FinishedRun, study: Study | None) -> list[dict[str, Any]]:
    if study is not None and not study.curves:
        return []
    rows = level_rows(view_of(run, study))
    return [asdict(row) | {"shares": [None if s is None else round(s, 4) for s in row.shares]} for row in rows]
