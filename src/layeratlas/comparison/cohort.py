"""Runs that may be compared: the same study on the same texts in the same way, each of another model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from layeratlas.core import registry
from layeratlas.core.errors import AtlasError, SpecError
from layeratlas.core.spec import RunSpec
from layeratlas.data.task import Material
from layeratlas.runs.comparable import check_alike, command_of, identity_of, value_at
from layeratlas.runs.finished import FinishedRun, read_run
from layeratlas.runs.study import Study

# What may differ between models and is noted on the page, by its path in `run.json`.
_NOTED = {"dtype": "model.dtype", "attention kernel": "model.attention", "weights": "model.quantisation"}


class _UnknownStudy(Study):
    """A study of a package that is not installed here: its curves are compared, and nothing of its own."""

    def read(self, path: str, spec: RunSpec) -> Material:
        raise SpecError("this study is not installed here", "an installed study")

    def stages(self) -> Mapping[str, Any]:
        return {}


@dataclass(frozen=True)
class Cohort:
    """The runs of one study, each of another model, sorted by family, then size; `names` are unique labels."""

    study: str
    names: tuple[str, ...]
    runs: tuple[FinishedRun, ...]
    notes: tuple[str, ...]

    @cached_property
    def plugin(self) -> Study:
        """The study, which knows its own quantities."""
        with suppress(SpecError):
            study: Study = registry.get("studies", self.study)
            return study
        return _UnknownStudy()

    @cached_property
    def level_words(self) -> dict[str, str]:
        """The words for the levels' codes, in reading order."""
        words: dict[str, str] = {}
        for run in self.runs:
            words |= {code: word for code, word in run.words("levels").items() if code not in words}
        return words


def read_cohorts(folders: Sequence[Path], families: Mapping[str, str] | None = None) -> list[Cohort]:
    """Return finished runs by study; one model may be alone, with runs of several studies.

    `families` names a family and a part of its models' names or folders; others belong to their architecture's. Raises
    StoreError or SpecError, in one line with what to run again, where runs cannot be compared.
    """
    paths = [Path(folder) for folder in folders]
    _check_paths(paths)
    runs = [read_run(path).in_family(families or {}) for path in paths]
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
    check_alike(runs)
    runs = sorted(runs, key=lambda run: (run.family, run.parameters, run.model))
    names = _names(runs)
    notes = []
    for word, path in _NOTED.items():
        values = [str(value_at(run, path)) for run in runs]
        if len(set(values)) > 1:
            each = ", ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
            notes.append(f"The models differ in {word}, which can change numbers slightly ({each}).")
    lacking = [name for name, run in zip(names, runs, strict=True) if run.draws is None]
    if lacking:
        notes.append(f"{', '.join(lacking)} kept no draws: their curves are plotted, excluded from the tests.")
    return Cohort(study, tuple(names), tuple(runs), tuple(notes))


def _names(runs: Sequence[FinishedRun]) -> list[str]:
    """Return the models' names, with the folder where two are equal."""
    counts = Counter(run.model for run in runs)
    names = [run.model if counts[run.model] == 1 else f"{run.model} ({run.folder.name})" for run in runs]
    return names if len(set(names)) == len(names) else [f"{run.model} ({run.folder})" for run in runs]
