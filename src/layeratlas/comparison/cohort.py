"""Runs that can be compared: same study, texts and settings, each on a different model or checkpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from layeratlas.comparison.trainings import told_apart
from layeratlas.core import registry
from layeratlas.core.errors import AtlasError, SpecError
from layeratlas.core.spec import RunSpec
from layeratlas.data.task import Material
from layeratlas.runs.comparable import check_alike, command_of, identity_of, value_at
from layeratlas.runs.finished import FinishedRun, read_run
from layeratlas.runs.recommendation import ALL
from layeratlas.runs.study import Study

# Settings that may differ between models and are then noted on the page, by their path in `run.json`.
_NOTED = {
    "dtype": "model.dtype",
    "attention kernel": "model.attention",
    "weights": "model.quantisation",
    "products": "precision.products",
}
# What a run that does not say was computed with.
_USUAL = {"products": "float32"}


class _UnknownStudy(Study):
    """Stands in for a study of a package that is not installed here: only its curves are compared."""

    def read(self, path: str, spec: RunSpec) -> Material:
        raise SpecError("this study is not installed here", "an installed study")

    def stages(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True)
class Cohort:
    """The runs of one study, each on a different model, sorted by family, size and step.

    `names` are unique labels; `twins` names checkpoints that were left out because a later one has the same weights.
    """

    study: str
    names: tuple[str, ...]
    runs: tuple[FinishedRun, ...]
    notes: tuple[str, ...]
    twins: tuple[str, ...] = ()

    @cached_property
    def plugin(self) -> Study:
        """The study, which knows its own quantities."""
        with suppress(SpecError):
            study: Study = registry.get("studies", self.study)
            return study
        return _UnknownStudy()

    @cached_property
    def series(self) -> dict[str, tuple[str, ...]]:
        """The checkpoint names of each training with two or more checkpoints in this cohort, earliest first.

        A name that is a step alone tells no training: such a run is joined with no other.
        """
        members: dict[str, list[tuple[int, str]]] = {}
        for name, run in zip(self.names, self.runs, strict=True):
            if run.checkpoint is not None and run.checkpoint.series:
                members.setdefault(run.checkpoint.series, []).append((run.checkpoint.step, name))
        return {
            series: tuple(name for _, name in sorted(steps))
            for series, steps in members.items()
            if len({step for step, _ in steps}) > 1
        }

    @cached_property
    def final(self) -> Cohort:
        """The cohort with only the last checkpoint of each training; earlier ones are not models to compare."""
        earlier = {name for names in self.series.values() for name in names[:-1]}
        kept = [(name, run) for name, run in zip(self.names, self.runs, strict=True) if name not in earlier]
        names, runs = zip(*kept, strict=True)
        return replace(self, names=names, runs=runs)

    def row_of(self, level: str) -> str:
        """Return the name of a level's row; two studies may have the same code for different levels."""
        return level if level == ALL else self.plugin.row.format(level)

    @cached_property
    def level_words(self) -> dict[str, str]:
        """The words for the levels' codes, in reading order."""
        words: dict[str, str] = {}
        for run in self.runs:
            words |= {code: word for code, word in run.words("levels").items() if code not in words}
        return words


def read_cohorts(
    folders: Sequence[Path], families: Mapping[str, str] | None = None, steps: Mapping[int, str] | None = None
) -> list[Cohort]:
    """Return finished runs by study; a single model is allowed if its runs are of several studies.

    `families` maps a family to a substring of its models' names or folders; other models belong to their
    architecture's family. `steps` maps a training step to a substring of a model's name or folder; other models have
    the step in their name. Raises StoreError or SpecError, with what to run again, if runs cannot be compared.
    """
    paths = [Path(folder) for folder in folders]
    _check_paths(paths)
    runs = told_apart([read_run(path).in_family(families or {}).at_step(steps or {}) for path in paths])
    studies: dict[str, list[FinishedRun]] = {}
    for run in runs:
        studies.setdefault(run.study, []).append(run)
    one_model = len({identity_of(run) for run in runs}) == 1
    for study, members in studies.items():
        if len(members) < 2 and not one_model:
            others = ", ".join(f"'{name}'" for name in studies if name != study)
            raise SpecError(
                f"'{members[0].folder}' is the only run of the study '{study}' (the others: {others})",
                "runs of one study, or two models or more of each",
                f"layeratlas run {study} --model OTHER",
            )
    return [_cohort(study, members) for study, members in studies.items()]


def _check_paths(paths: Sequence[Path]) -> None:
    if len(paths) < 2:
        where = f"('{paths[0]}')" if paths else ""
        raise SpecError(
            f"{len(paths)} run to compare {where}", "two or more, each of another model", _next_command(paths)
        )
    repeated = [str(path) for path, count in Counter(path.resolve() for path in paths).items() if count > 1]
    if repeated:
        raise SpecError(f"'{repeated[0]}' is named twice", "each run once")


def _next_command(paths: Sequence[Path]) -> str:
    try:
        return command_of(read_run(paths[0]), "OTHER") if paths else "layeratlas compare RUN RUN"
    except AtlasError:
        return "layeratlas compare RUN RUN"


def _cohort(study: str, runs: Sequence[FinishedRun]) -> Cohort:
    runs, twins = _distinct(runs)
    check_alike(runs)
    runs = sorted(runs, key=lambda run: (run.family, run.parameters, run.checkpoint or (run.model, 0), run.model))
    names = _names(runs)
    notes = []
    for word, path in _NOTED.items():
        values = [str(value_at(run, path) or _USUAL.get(word)) for run in runs]
        if len(set(values)) > 1:
            each = ", ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
            notes.append(f"The models differ in {word}, which can change numbers slightly ({each}).")
    lacking = [name for name, run in zip(names, runs, strict=True) if run.draws is None]
    if lacking and len(runs) > 1:  # a run alone is compared with nothing
        notes.append(f"{', '.join(lacking)} kept no draws: their curves are plotted, excluded from the tests.")
    alone = [name for name, run in zip(names, runs, strict=True) if run.checkpoint and not run.checkpoint.series]
    if len(alone) > 1:
        notes.append(
            f"{', '.join(alone)}: the names tell a step and no training, so each counts as a model of its own "
            "(checkpoints of one training are named by --step)."
        )
    return Cohort(study, tuple(names), tuple(runs), tuple(notes), tuple(twins))


def _distinct(runs: Sequence[FinishedRun]) -> tuple[list[FinishedRun], list[str]]:
    """Return the runs except checkpoints with the same weights as a later one, and a note that names these.

    Some published series serve the final weights under the names of many steps.
    """
    same: dict[str, list[FinishedRun]] = {}
    for run in runs:
        same.setdefault(identity_of(run) if run.checkpoint else str(run.folder), []).append(run)
    notes, dropped = [], []
    for members in same.values():
        last = max(members, key=lambda run: run.checkpoint or ("", 0))
        earlier = [run for run in members if run.checkpoint != last.checkpoint]  # no repeats: they are refused
        if earlier:
            dropped += earlier
            names = f"{', '.join(run.model for run in earlier)} and {last.model}"
            notes.append(f"{names} have equal weights: they count once, as {last.model}.")
    kept = [run for run in runs if not any(run is one for one in dropped)]
    if dropped and len(kept) < 2:
        raise SpecError(notes[0].split(":")[0], "checkpoints of different weights", "check the revisions")
    return kept, notes


def _names(runs: Sequence[FinishedRun]) -> list[str]:
    """Return the models' names, with the folder added if two names are equal."""
    counts = Counter(run.model for run in runs)
    names = [run.model if counts[run.model] == 1 else f"{run.model} ({run.folder.name})" for run in runs]
    return names if len(set(names)) == len(names) else [f"{run.model} ({run.folder})" for run in runs]
