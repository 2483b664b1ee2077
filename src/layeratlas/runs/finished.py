"""A finished run, read from its folder; the report, comparison, claims and the API all use this class."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from layeratlas.core.checksums import check_digest
from layeratlas.core.errors import StoreError
from layeratlas.core.steps import Checkpoint, checkpoint_in
from layeratlas.runs.manifest import CURVES, FINDINGS, RERUN, read_manifest

if TYPE_CHECKING:  # a finished run is opened, and its end printed, without loading polars
    import polars as pl

    from layeratlas.runs.draws import Draws
    from layeratlas.runs.finding import Finding
    from layeratlas.runs.recommendation import Recommendation
    from layeratlas.stats.verdicts import Verdict

REPORT = "report.html"


class FinishedRun:
    """A run whose analysis is done: its folder, its manifest (`run.json`) and its tables, which are read on first use.

    `manifest`, `curves` and `findings` override those in the folder, so that a run can be built in memory. Raises
    StoreError, in one line, if the manifest is damaged. Each table raises it if its file is missing, cannot be read, or
    is not the file that the run wrote.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        manifest: Mapping[str, Any] | None = None,
        curves: pl.DataFrame | None = None,
        findings: pl.DataFrame | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.manifest: dict[str, Any] = dict(read_manifest(self.folder) if manifest is None else manifest)
        self._given = {CURVES: curves, FINDINGS: findings}

    def _table(self, name: str) -> pl.DataFrame:
        given = self._given[name]
        if given is not None:
            return given
        from layeratlas.runs.tables import read_table

        self.verify([name])
        return read_table(self.folder / name)

    def verify(self, names: Iterable[str] | None = None) -> None:
        """Raise StoreError if a file does not match its checksum in `run.json`.

        `names` are files of the run's folder; None means every output at the top level, which reports and comparisons
        read. A missing file is not an error here; its reader raises.
        """
        known = self._checksums
        for name in [name for name in known if "/" not in name] if names is None else names:
            if name in known and (self.folder / name).exists():
                check_digest(self.folder / name, known[name], RERUN)

    @property
    def _checksums(self) -> dict[str, str]:
        """The digest of every output of the run's stages."""
        known: dict[str, str] = {}
        for stage in self.manifest.get("stages", {}).values():
            known |= stage.get("sha256", {})
        return known

    @property
    def output_names(self) -> list[str]:
        """The names of all files with a checksum that the run's stages wrote and that exist."""
        return sorted(name for name in self._checksums if (self.folder / name).is_file())

    def outputs(self, folder: str) -> list[Path]:
        """Return the files that the run's stages wrote to a subfolder; raises StoreError for a changed file.

        If the manifest lists none there, all files of the subfolder are returned.
        """
        names = sorted(name for name in self._checksums if name.startswith(f"{folder}/"))
        self.verify(names)
        return [self.folder / name for name in names] or sorted((self.folder / folder).glob("*"))

    @cached_property
    def curves(self) -> pl.DataFrame:
        """One row per level, task, stratum, component, layer, method and metric."""
        return self._table(CURVES)

    @cached_property
    def findings(self) -> pl.DataFrame:
        """One row per finding, with estimate, interval, p-value, null and verdict."""
        from layeratlas.runs.finding_table import with_later_columns

        return with_later_columns(self._table(FINDINGS))

    @cached_property
    def draws(self) -> Draws | None:
        """The bootstrap draws; None if the run has none."""
        from layeratlas.runs.draws import FILE, draws_of

        self.verify([FILE])
        return draws_of(self.folder)

    @cached_property
    def recommendations(self) -> list[Recommendation]:
        """The recommended layers; raises StoreError if the run has none."""
        from layeratlas.runs.recommendation import FILE, read_recommendations

        self.verify([FILE])
        return read_recommendations(self.folder)

    @property
    def complete(self) -> bool:
        """Whether every stage of the run is done, its report included."""
        return self.manifest.get("status") == "complete"

    @property
    def report_path(self) -> Path:
        """Where the report is."""
        return self.folder / REPORT

    @property
    def study(self) -> str:
        """The study's name."""
        return str(self.manifest["spec"]["study"])

    @property
    def size(self) -> str:
        """The run's size: quick, standard or full."""
        return str(self.manifest["spec"]["size"])

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.manifest["model"].get("name", "unknown"))

    @property
    def parameters(self) -> float:
        """The number of the model's parameters; NaN if the manifest has none."""
        return float(self.manifest["model"].get("parameters") or "nan")

    @property
    def blocks(self) -> int:
        """The number of the model's blocks; 0 if the manifest has none."""
        return int(self.manifest["model"].get("layers") or 0)

    @property
    def family(self) -> str:
        """The model's family: the name of its architecture, or the name set by `in_family`."""
        return str(self.manifest["model"].get("family", "unknown"))

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The training step in the model's name, or the one set by `at_step`."""
        given = self.manifest["model"].get("checkpoint")
        return Checkpoint(*given) if given else checkpoint_in(self.model)

    @property
    def seconds(self) -> float:
        """The seconds that all stages took together."""
        return float(sum(stage.get("seconds", 0.0) for stage in self.manifest.get("stages", {}).values()))

    def words(self, kind: str) -> dict[str, str]:
        """Return the words for the codes of the tables, in reading order; `kind` is levels, methods or metrics."""
        return dict(self.manifest.get("words", {}).get(kind, {}))

    def in_family(self, families: Mapping[str, str]) -> Self:
        """Return the run in the first family (`{family: part}`) whose part occurs in its model's or folder's name."""
        name = f"{self.model} {self.folder}".lower()
        for family, fragment in families.items():
            if fragment.lower() in name:
                renamed = copy.copy(self)
                renamed.manifest = self.manifest | {"model": self.manifest["model"] | {"family": family}}
                return renamed
        return self

    def at_step(self, steps: Mapping[int, str]) -> Self:
        """Return the run at the first step (`{step: part}`) whose part occurs in its model's or folder's name."""
        model = self.manifest["model"]
        for step, fragment in steps.items():
            if any(fragment.lower() in name.lower() for name in (self.model, str(self.folder), str(model.get("id")))):
                series = self.model.lower().replace(fragment.lower(), "").strip(" -_./") or self.family
                return self._as_checkpoint(Checkpoint(series, step), step_name=fragment)
        return self

    def in_series(self, series: str) -> Self:
        """Return the run of a checkpoint as one of another series, at the same step."""
        return self if self.checkpoint is None else self._as_checkpoint(self.checkpoint._replace(series=series))

    def _as_checkpoint(self, checkpoint: Checkpoint, **named: str) -> Self:
        renamed = copy.copy(self)
        renamed.manifest = self.manifest | {"model": self.manifest["model"] | {"checkpoint": list(checkpoint), **named}}
        return renamed

    @property
    def method(self) -> str:
        """The main method: that of the first finding; '' if there are no findings."""
        return str(self.findings["method"][0]) if len(self.findings) else ""

    @property
    def main_findings(self) -> pl.DataFrame:
        """The findings of the first method on the residual stream."""
        import polars as pl

        return self.findings.filter(pl.col("method") == pl.col("method").first(), pl.col("component") == "resid")

    def of_kind(self, kind: str, component: str = "resid", method: str = "") -> list[Finding]:
        """Return the findings of a kind in a component, of one method (default: the first with such findings)."""
        import polars as pl

        from layeratlas.runs.finding import FINDING_FIELDS, Finding

        same = self.findings.filter(pl.col("finding") == kind, pl.col("component") == component)
        rows = same.filter(pl.col("method") == (method or pl.col("method").first()))
        return [Finding(**row) for row in rows.select(FINDING_FIELDS).iter_rows(named=True)]

    def presence_verdicts(self, kind: str) -> dict[tuple[str, str], Verdict]:
        """Return, for each level and component that the run judged, the verdict on whether the level is there at all.

        `kind` is the finding that says so (`Study.presence`); without one, nothing is judged. A level that is
        `inconclusive` was not shown; only `not supported` says that it was shown to be too small to matter.
        """
        import polars as pl

        from layeratlas.stats.verdicts import any_holds

        components = self.findings.filter(pl.col("finding") == kind)["component"].unique(maintain_order=True)
        judged: dict[tuple[str, str], list[Verdict]] = {}
        for finding in (finding for component in components for finding in self.of_kind(kind, component)):
            judged.setdefault((finding.level, finding.component), []).append(finding.verdict)
        return {place: any_holds(verdicts) for place, verdicts in judged.items()}

    def presence(self, kind: str) -> dict[tuple[str, str], bool]:
        """Return, for each level and component that the run judged, whether the level is shown; False is no absence."""
        return {place: verdict == "supported" for place, verdict in self.presence_verdicts(kind).items()}


def read_run(folder: str | Path) -> FinishedRun:
    """Return a complete run; raises StoreError, in one line, if it is not complete or a table is unreadable."""
    run = FinishedRun(folder)
    if not run.complete:
        raise StoreError(f"the run in '{folder}' is not finished", "a finished run", "run it again to resume")
    run.verify()
    _ = run.curves, run.findings  # a broken table is reported before anything is computed
    return run
