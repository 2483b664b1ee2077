"""What ends a sweep: comparisons of the runs that differ by model only, the claims over all runs, and an index page."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from layeratlas.api.compared import Comparison
from layeratlas.comparison import compare
from layeratlas.comparison.claims import judge_claims
from layeratlas.core.errors import AtlasError
from layeratlas.core.files import write_atomic
from layeratlas.core.progress import Progress
from layeratlas.core.spec import hash_of
from layeratlas.report.index import INDEX, IndexRow, index_page, options_of, thumbnail
from layeratlas.runs.finished import read_run
from layeratlas.runs.lock import InUseError, locked
from layeratlas.runs.tables import write_parquet
from layeratlas.sweeps.state import Standing, run_folder, state_of
from layeratlas.sweeps.units import Unit

CLAIMS = "claims.parquet"
_LOOK = 1.0


@dataclass(frozen=True, kw_only=True)
class Finish:
    """How finished runs are put together: families by a part of their models' names."""

    families: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)


def finish(out: Path, units: Sequence[Unit], options: Finish) -> list[str]:
    """Compare, judge and index what is done, and return notes on what could not be compared.

    Of two sweeps that end in one folder the second waits for the first.
    """
    while True:
        try:
            with locked(out / "comparisons"):
                return _finish(out, units, options)
        except InUseError:
            time.sleep(_LOOK)


def _finish(out: Path, units: Sequence[Unit], options: Finish) -> list[str]:
    done = [unit for unit in units if state_of(out, unit).standing is Standing.DONE]
    notes, pages = [], {}
    for group in dict.fromkeys(unit.group for unit in done):
        folders = [run_folder(out, unit) for unit in done if unit.group == group]
        if len(folders) < 2:
            continue
        target = out / "comparisons" / _folder_name(group)
        try:
            compare(folders, target, options.families, options.progress)
            pages[group] = Comparison(target).report_path.relative_to(out)
        except AtlasError as error:
            notes.append(f"{group} is not compared: {error}")
    runs = [read_run(run_folder(out, unit)).in_family(options.families) for unit in done]
    if runs:
        write_parquet(out / CLAIMS, judge_claims(runs))
    write_index(out, units, pages, notes)
    return notes


def write_index(out: Path, units: Sequence[Unit], pages: Mapping[str, Path], notes: Sequence[str]) -> None:
    """Write the page that lists every unit, how it stands, and links to its report."""
    rows = []
    for unit in units:
        state, run = state_of(out, unit), run_folder(out, unit)
        report = run / "report.html"
        rows.append(
            IndexRow(
                name=unit.name,
                link=report.relative_to(out).as_posix() if report.is_file() else "",
                model=unit.spec.model.id,
                study=unit.spec.study,
                seed=unit.spec.seed,
                standing=state.standing,
                seconds=state.seconds,
                reason=state.reason,
                size=unit.spec.size,
                options=options_of(unit.spec.model_dump(mode="json")),
                thumbnail=thumbnail(run, out),
            )
        )
    links = {group: page.as_posix() for group, page in pages.items()}
    write_atomic(out / INDEX, index_page(f"{len(units)} runs", rows, links, notes).encode())


def _folder_name(group: str) -> str:
    name = re.sub(r"[^A-Za-z0-9.]+", "-", group).strip("-.")
    return name if len(name) <= 80 else f"{name[:71]}-{hash_of(group)[:8]}"
