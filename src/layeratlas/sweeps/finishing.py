"""The end of a sweep: comparisons of runs that differ only in the model, claims over all runs, and an index page."""

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
from layeratlas.runs.lock import InUseError
from layeratlas.runs.place import Place
from layeratlas.runs.tables import write_parquet
from layeratlas.sweeps.state import Standing, run_folder, run_name, state_of
from layeratlas.sweeps.units import Unit

CLAIMS, _COMPARISONS = "claims.parquet", "comparisons"
_LOOK = 1.0


@dataclass(frozen=True, kw_only=True)
class Finish:
    """How finished runs are combined: families are given by a substring of their models' names."""

    families: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)


def finish(place: Place, units: Sequence[Unit], options: Finish) -> list[str]:
    """Compare, judge and index the finished runs; return notes on runs that could not be compared.

    If two sweeps end in the same folder, the second one waits for the first.
    """
    while True:
        try:
            with place.held(_COMPARISONS):
                place.bring(_COMPARISONS)
                notes = _finish(place, units, options)
                place.publish(_COMPARISONS, CLAIMS, INDEX)
                return notes
        except InUseError:
            time.sleep(max(_LOOK, place.pause))


def _finish(place: Place, units: Sequence[Unit], options: Finish) -> list[str]:
    out = place.folder
    done = [unit for unit in units if state_of(place, unit).standing is Standing.DONE]
    for unit in done:
        place.bring(run_name(unit))
    notes, pages = [], {}
    for group in dict.fromkeys(unit.group for unit in done):
        folders = [run_folder(place, unit) for unit in done if unit.group == group]
        if len(folders) < 2:
            continue
        target = out / _COMPARISONS / _folder_name(group)
        try:
            compare(folders, target, options.families, options.progress)
            pages[group] = Comparison(target).report_path.relative_to(out)
        except AtlasError as error:
            notes.append(f"{group} is not compared: {error}")
    runs = [read_run(run_folder(place, unit)).in_family(options.families) for unit in done]
    if runs:
        write_parquet(out / CLAIMS, judge_claims(runs))
    write_index(place, units, pages, notes)
    return notes


def write_index(place: Place, units: Sequence[Unit], pages: Mapping[str, Path], notes: Sequence[str]) -> None:
    """Write the page that lists every unit with its state and links to its report."""
    out, rows = place.folder, []
    for unit in units:
        state, run = state_of(place, unit), run_folder(place, unit)
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
