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
from layeratlas.core.formatting import counted
from layeratlas.core.progress import Progress
from layeratlas.core.spec import hash_of
from layeratlas.report.index import INDEX, IndexRow, index_page, options_of, thumbnail
from layeratlas.runs.finished import read_run
from layeratlas.runs.lock import InUseError
from layeratlas.runs.place import Place
from layeratlas.runs.tables import write_parquet
from layeratlas.sweeps.state import SETTLED, Standing, UnitState, run_folder, run_name, states_of
from layeratlas.sweeps.units import Unit

CLAIMS, _COMPARISONS = "claims.parquet", "comparisons"
_LOOK = 1.0


@dataclass(frozen=True, kw_only=True)
class Finish:
    """How finished runs are combined: families are given by a substring of their models' names."""

    families: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)


def finish(place: Place, units: Sequence[Unit], options: Finish) -> dict[str, str] | None:
    """Compare, judge and index the finished runs; return why groups could not be compared, by their names.

    Returns None, and does nothing, if a unit is neither done nor failed: another call has opened it again. If two
    sweeps end in the same folder, the second one waits for the first.
    """
    while True:
        try:
            with place.held(_COMPARISONS):
                place.bring(_COMPARISONS)
                uncompared = _finish(place, units, options)
                place.publish(_COMPARISONS, CLAIMS, INDEX)
                return uncompared
        except InUseError:
            time.sleep(max(_LOOK, place.pause))


def _finish(place: Place, units: Sequence[Unit], options: Finish) -> dict[str, str] | None:
    out, states = place.folder, states_of(place, units)
    if any(state.standing not in SETTLED for state in states.values()):
        return None
    done = [unit for unit in units if states[unit.name].standing is Standing.DONE]
    for unit in done:
        place.bring(run_name(unit))
    uncompared: dict[str, str] = {}
    pages = {}
    for group in dict.fromkeys(unit.group for unit in done):
        folders = [run_folder(place, unit) for unit in done if unit.group == group]
        if len(folders) < 2:
            continue
        target = comparison_folder(place, group)
        try:
            compare(folders, target, options.families, options.progress)
            pages[group] = Comparison(target).report_path.relative_to(out)
        except AtlasError as error:
            uncompared[group] = str(error)
    runs = [read_run(run_folder(place, unit)).in_family(options.families) for unit in done]
    if runs:
        write_parquet(out / CLAIMS, judge_claims(runs))
    rows = _index_rows(place, units, states)
    links = {group: page.as_posix() for group, page in pages.items()}
    notes = notes_on(uncompared)
    write_atomic(out / INDEX, index_page(counted(len(units), "run"), rows, links, notes).encode())
    return uncompared


def notes_on(uncompared: Mapping[str, str]) -> list[str]:
    """Return a sentence for each group that could not be compared."""
    return [f"{group} is not compared: {why}" for group, why in uncompared.items()]


def _index_rows(place: Place, units: Sequence[Unit], states: Mapping[str, UnitState]) -> list[IndexRow]:
    """Return a row for every unit, with its state and a link to its report."""
    out, rows = place.folder, []
    for unit in units:
        state, run = states[unit.name], run_folder(place, unit)
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
    return rows


def comparison_folder(place: Place, group: str) -> Path:
    """Return the folder of a group's comparison."""
    return place.folder / _COMPARISONS / _folder_name(group)


def _folder_name(group: str) -> str:
    """Return a name that no other group has."""
    name = re.sub(r"[^A-Za-z0-9._+-]+", "-", group).strip("-.")
    return name if name == group and len(name) <= 80 else f"{name[:71]}-{hash_of(group)[:8]}"
