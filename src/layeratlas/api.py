"""The same from Python: run a study, open a finished one."""

from __future__ import annotations

import html
import io
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core import registry
from layeratlas.core.errors import CaptureError, ModelError, SpecError, StoreError
from layeratlas.core.files import read_json, write_atomic
from layeratlas.core.progress import Progress
from layeratlas.core.spec import DEFAULT_MODEL, CaptureSpec, ModelSpec, RunSpec, Size

Labels = Sequence[str | float] | Mapping[str, Sequence[str | float]]


class Run:
    """A finished run, read from its folder.

    `curves` and `findings` are polars data frames (see docs); `manifest` is `run.json`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest: dict[str, Any] = read_json(self.folder / "run.json")
        if self.manifest.get("status") != "complete":
            raise StoreError(f"the run in '{folder}' is not finished", "a finished run", "run it again to resume")

    @cached_property
    def curves(self) -> pl.DataFrame:
        """One row per level, task, stratum, component, layer, probe and measure."""
        return pl.read_parquet(self.folder / "curves.parquet")

    @cached_property
    def findings(self) -> pl.DataFrame:
        """One row per finding, with estimate, interval, p-value, null and verdict."""
        return pl.read_parquet(self.folder / "findings.parquet")

    def plot(self, level: str | None = None, component: str = "resid") -> Any:
        """Return the Altair chart of the levels (or of one) by depth."""
        from layeratlas.report import figure
        from layeratlas.runs.finished import FinishedRun

        study = registry.get("studies", self.manifest["spec"]["study"])
        return figure(FinishedRun(self.folder), study=study, level=level, component=component)

    def summary(self) -> str:
        """Return the main findings as plain lines."""
        model, stages = self.manifest["model"], self.manifest["stages"]
        seconds = sum(stage["seconds"] for stage in stages.values())
        head = f"{model['name']}: {model['layers']} blocks, width {model['width']}; computed in {seconds:.0f} s"
        main = self.findings.filter(pl.col("method") == pl.col("method").first(), pl.col("component") == "resid")
        return "\n".join([head, *(f"  [{f['verdict']}] {f['statement']}" for f in main.iter_rows(named=True))])

    @property
    def page(self) -> Path:
        """The report."""
        return self.folder / "report.html"

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{html.escape(s)}</li>" for s in self.findings["statement"][:8])
        return f"<p><b>{html.escape(str(self.folder))}</b></p><ul>{lines}</ul>"


class Comparison:
    """A comparison of finished runs, or the atlas of one model, read from its folder.

    `findings`, `differences`, `quantities`, `similarity`, `sizes` and `claims` are polars data frames; `manifest` is
    `comparison.json`.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest: dict[str, Any] = read_json(self.folder / "comparison.json")

    def __getattr__(self, name: str) -> pl.DataFrame:
        if name not in ("curves", "findings", "differences", "quantities", "similarity", "sizes", "claims"):
            raise AttributeError(f"a comparison has no '{name}'")
        return pl.read_parquet(self.folder / f"{name}.parquet")

    @property
    def page(self) -> Path:
        """The page of all the runs."""
        return self.folder / "comparison.html"

    def summary(self) -> str:
        """Return the findings as plain lines, those that are decided first; of many, the first twelve."""
        rows = self.findings.sort(pl.col("verdict") == "inconclusive", maintain_order=True)
        lines = [f"  [{row['verdict']}] {row['statement']}" for row in rows.head(12).iter_rows(named=True)]
        more = len(rows) - len(lines)
        return "\n".join([*lines, *([f"  ... and {more} more on the page"] if more else [])])

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{html.escape(s)}</li>" for s in self.findings["statement"][:8])
        return f"<p><b>{html.escape(str(self.folder))}</b></p><ul>{lines}</ul>"


ATLAS = ("hierarchy", "exits", "segments")


def atlas(
    *, model: str | ModelSpec = DEFAULT_MODEL, size: Size = "standard", out: str | Path | None = None,
    progress: Progress | None = None, **settings: Any,
) -> Comparison:  # fmt: skip
    """Run the hierarchy, exits and segments studies on a model and return the page of all three.

    Each study is a run of its own in `OUT/STUDY`, which the same call resumes; the page is in `OUT/atlas`. A study that
    cannot measure this model is left out, and the page's notes say why. `settings` are further fields of RunSpec.
    Raises AtlasError where fewer than two can.
    """
    specs = [_spec(study, model, size, settings) for study in ATLAS]
    return run_atlas(specs, Path(out) if out else None, progress)


def run_atlas(specs: Sequence[RunSpec], out: Path | None = None, progress: Progress | None = None) -> Comparison:
    """Run the specs, which are of one model and each of another study, and return the page of all."""
    from layeratlas.comparison import compare as compared
    from layeratlas.runs.pipeline import default_folder, execute

    progress = progress or Progress()
    folder = out or default_folder(specs[0].model_copy(update={"study": "atlas"}))
    made, notes = [], []
    for spec in specs:
        try:
            made.append(execute(registry.get("studies", spec.study), spec, folder / spec.study, progress))
        except (ModelError, CaptureError) as error:
            if not made or (spec is specs[-1] and len(made) < 2):
                raise
            notes.append(f"{spec.study} is left out: {error}")
            progress.note(notes[-1])
    return Comparison(compared(made, folder / "atlas", progress=progress, notes=notes))


def compare(
    runs: Sequence[Run | str | Path], *, out: str | Path | None = None, families: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Comparison:  # fmt: skip
    """Compare finished runs of the same study on the same texts, each of another model.

    `families` names families by a part of their models' names ({"smollm": "SmolLM"}); a model in none belongs to its
    architecture's. Raises AtlasError, in one line with what to run again, where runs cannot be compared.
    """
    from layeratlas.comparison import compare as compared

    folders = [one.folder if isinstance(one, Run) else Path(one) for one in runs]
    return Comparison(compared(folders, Path(out) if out else None, families, progress))


def run_spec(spec: RunSpec, out: Path | None = None, progress: Progress | None = None) -> Run:
    """Run a spec to its end, or resume it, and return the run."""
    from layeratlas.runs.pipeline import execute

    return Run(execute(registry.get("studies", spec.study), spec, out, progress))


def run(
    study: str = "hierarchy", *, model: str | ModelSpec = DEFAULT_MODEL, size: Size = "standard",
    out: str | Path | None = None, progress: Progress | None = None, **settings: Any,
) -> Run:  # fmt: skip
    """Run a study on a model and return the finished run.

    `settings` are further fields of RunSpec: `tasks`, `data` (files of labelled texts), `capture` (CaptureSpec or
    dict), `probe` (ProbeSpec), `settings` (the study's own, by name), `seed`. Raises AtlasError, whose message
    says what to do.
    """
    return run_spec(_spec(study, model, size, settings), Path(out) if out else None, progress)


def report(folder: str | Path) -> Path:
    """Build the page of a finished run or of a comparison again, from its tables alone, and return its path."""
    folder = Path(folder)
    if (folder / "comparison.json").exists():
        from layeratlas.comparison.page import build_comparison

        return build_comparison(folder)
    from layeratlas.report import build

    return build(folder, _study_of(read_json(folder / "run.json")))


def _study_of(manifest: Mapping[str, Any]) -> Any:
    """Return the run's study; None where it belongs to a package that is not installed here."""
    with suppress(SpecError):
        return registry.get("studies", manifest.get("spec", {}).get("study", "hierarchy"))
    return None


def _spec(study: str, model: str | ModelSpec, size: Size, settings: Mapping[str, Any]) -> RunSpec:
    named = model if isinstance(model, ModelSpec) else ModelSpec(id=model)
    usual = {"probe": registry.get("studies", study).probe_spec(size), "capture": CaptureSpec()}
    return RunSpec(study=study, size=size, model=named, **(usual | dict(settings)))


def probe(
    texts: Sequence[str], labels: Labels, *, model: str | ModelSpec = DEFAULT_MODEL,
    groups: Sequence[str | int] | None = None, out: str | Path | None = None, **settings: Any,
) -> Run:  # fmt: skip
    """Map labelled texts of your own over every layer and component of a model, and return the finished run.

    `labels`: one label a text, or a dict of such columns by name, which share one capture. Classes, or numbers (more
    than 10 distinct values). `groups`: texts of one group never stand in training and testing at once; without it,
    each text is a group of its own. The run's `curves` have estimate, interval, chance and control at every layer,
    `plot(name)` draws a column (`"label"` where there is one). The run's folder is `out`, or a new temporary one;
    the texts lie beside it, in `OUT-texts`. `settings` are those of `run`. Raises DataError, SpecError.
    """
    columns = labels if isinstance(labels, Mapping) else {"label": labels}
    folder = Path(out) if out else Path(tempfile.mkdtemp(prefix="layeratlas-")) / "probe"
    beside = folder.with_name(f"{folder.name}-texts")
    files = []
    for name, values in columns.items():
        table: dict[str, Sequence[Any]] = {"text": texts, "label": values}
        table |= {"group": groups} if groups is not None else {}
        lengths = {part: len(column) for part, column in table.items()}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{count} {part}s" for part, count in lengths.items())
            raise SpecError(f"'{name}' has {found}", "one label (and group) a text", "check the lengths")
        if not re.fullmatch(r"[\w.-]+", name):
            raise SpecError(f"a label column is named '{name}'", "letters, digits, '.', '_' and '-'", "rename it")
        buffer = io.BytesIO()
        pl.DataFrame({part: list(column) for part, column in table.items()}).write_parquet(buffer)
        beside.mkdir(parents=True, exist_ok=True)
        write_atomic(beside / f"{name}.parquet", buffer.getvalue())
        files.append(str(beside / f"{name}.parquet"))
    return run("hierarchy", model=model, out=folder, data=tuple(files), **settings)
