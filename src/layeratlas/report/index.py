"""The index page of many runs: a sortable, filterable table with links and small maps, the only files that it loads."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layeratlas.core.errors import StoreError
from layeratlas.core.files import COMPARISON, COMPARISON_PAGE, read_json, write_atomic
from layeratlas.core.formatting import counted
from layeratlas.report.shell import page_alone
from layeratlas.runs.finished import REPORT, FinishedRun
from layeratlas.runs.lock import holder
from layeratlas.runs.manifest import MANIFEST

INDEX = "index.html"
_DONE, _RUNNING, _UNFINISHED, _DAMAGED = "done", "running", "unfinished", "damaged"
# The figures that can represent a run; the first one that exists is used.
_THUMBNAILS = ("map", "atlas", "encoded-used", "segments", "curves", "peaks")
# The depth below DIR to which runs are searched: `runs/atlas-NAME/hierarchy` is two levels below `runs`.
_DEPTH = 4


@dataclass(frozen=True, kw_only=True)
class IndexRow:
    """One run: the paths of its report and its map (relative to the page; empty if it has none), and its state.

    `options` describes the run's non-default options; `reason` says why it is not done.
    """

    name: str
    link: str
    model: str
    study: str
    seed: int | str
    standing: str
    seconds: float
    reason: str
    size: str = ""
    options: str = ""
    thumbnail: str = ""


def write_index(folder: Path) -> Path:
    """Write `index.html` of all runs and comparisons below a folder and return its path.

    Raises StoreError if there are none, or if the folder is a sweep, which writes its own index.
    """
    if (folder / "units").is_dir():
        raise StoreError(f"'{folder}' is a sweep", "a folder of runs", "the sweep's own index.html lists its runs")
    rows = [row_of(found, folder) for found in run_folders(folder)]
    if not rows:
        raise StoreError(f"no run below '{folder}'", "a folder that holds folders of runs", "check the path")
    write_atomic(folder / INDEX, index_page(counted(len(rows), "run"), rows, {}, []).encode())
    return folder / INDEX


def run_folders(folder: Path) -> list[Path]:
    """Return the folders of runs and comparisons below a folder, by name; folders inside a run are not searched."""
    found: list[Path] = []
    for place, inside, files in os.walk(folder):
        inside.sort()
        depth = len(Path(place).relative_to(folder).parts)
        if {MANIFEST, COMPARISON} & set(files):
            found.append(Path(place))
            inside.clear()
        elif depth >= _DEPTH:
            inside.clear()
    return found


def row_of(run: Path, root: Path) -> IndexRow:
    """Return the row of a run or comparison, with links relative to `root`; for a damaged one it states the error."""
    try:
        known = _of_comparison(run) if (run / COMPARISON).exists() else _of_run(run)
    except StoreError as error:
        known = {"model": "", "study": "", "seed": "", "standing": _DAMAGED, "seconds": 0.0, "reason": str(error)}
    page = run / (COMPARISON_PAGE if (run / COMPARISON).exists() else REPORT)
    name = run.relative_to(root).as_posix()
    return IndexRow(
        name=name if name != "." else run.name, link=_link(page, root), thumbnail=thumbnail(run, root), **known
    )


def thumbnail(run: Path, root: Path) -> str:
    """Return the path of a run's small map relative to `root`; empty if it has none."""
    drawn = [run / "figures" / f"{name}.svg" for name in _THUMBNAILS]
    return next((_link(path, root) for path in drawn if path.is_file()), "")


def _of_run(folder: Path) -> dict[str, Any]:
    run = FinishedRun(folder)
    spec = run.manifest["spec"]
    standing = _DONE if run.complete else _UNFINISHED if holder(folder) is None else _RUNNING
    reasons = {
        _RUNNING: "'layeratlas status' shows how far it is",
        _UNFINISHED: stopped(run.manifest.get("stages", {})),
    }
    return {
        "model": run.model,
        "study": run.study,
        "seed": spec.get("seed", 0),
        "standing": standing,
        "seconds": run.seconds,
        "reason": reasons.get(standing, ""),
        "size": run.size,
        "options": options_of(spec),
    }


def stopped(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """Return in words after which of its stages a run stopped, and how to go on."""
    done = [name for name, stage in stages.items() if stage.get("done", True)]
    ended = f"stopped after the stage '{done[-1]}'" if done else "stopped before its first stage was done"
    return f"{ended}; the same command resumes it"


def _of_comparison(folder: Path) -> dict[str, Any]:
    manifest = read_json(folder / COMPARISON)
    models = list(dict.fromkeys(run["name"] for run in manifest["runs"]))
    done = manifest.get("status") == "complete"
    return {
        "model": ", ".join(models),
        "study": f"{'comparison' if len(models) > 1 else 'atlas'} of {', '.join(manifest['studies'])}",
        "seed": "",
        "standing": _DONE if done else _UNFINISHED,
        "seconds": float(manifest.get("seconds", 0.0)),
        "reason": "",
        "size": manifest.get("size", ""),
    }


def options_of(spec: Mapping[str, Any]) -> str:
    """Return the non-default options of a spec: tasks, files, settings, position and chat."""
    parts = [*spec.get("tasks", []), *(Path(path).name for path in spec.get("data", []))]
    parts += [f"{name}={value}" for name, value in spec.get("settings", {}).items()]
    position = spec.get("capture", {}).get("position", "last")
    parts += [f"position {position}"] if position != "last" else []
    parts += ["chat"] if spec.get("model", {}).get("chat") else []
    return ", ".join(parts)


def _link(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_file() else ""


def index_page(title: str, rows: Sequence[IndexRow], comparisons: Mapping[str, str], notes: Sequence[str]) -> str:
    """Return the page; `comparisons` are links by name, `notes` lines below the table."""
    counts = Counter(row.standing for row in rows)
    return page_alone("index", title=title, rows=rows, counts=counts, comparisons=comparisons, notes=notes)
