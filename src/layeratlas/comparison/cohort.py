"""Runs that may be compared: the same study on the same texts in the same way, each of another model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from layeratlas.core.errors import AtlasError, SpecError
from layeratlas.runs.comparable import check_alike, command_of, identity_of, value_at
from layeratlas.runs.finished import FinishedRun, read_run

# What may differ between models, and is said.
_NOTED = {"dtype": "model.dtype", "attention kernel": "model.attention", "weights": "model.quantisation"}


@dataclass(frozen=True)
class Cohort:
    """The runs of one study, each of another model, sorted by family, then size; `names` are unique labels."""

    study: str
    names: tuple[str, ...]
    runs: tuple[FinishedRun, ...]
    notes: tuple[str, ...]


def read_cohorts(folders: Sequence[Path], families: Mapping[str, str] | None = None) -> list[Cohort]:
    """Read finished runs and return them by study; one model may stand alone, with runs of several studies.

    `families` names a family and a part of its models' names or folders; others belong to their architecture's. Raises
    StoreError or SpecError, in one line with what to run again, where runs cannot be compared.
    """
    places = [Path(folder) for folder in folders]
    if len(places) < 2:
        where = f"('{places[0]}')" if places else ""
        raise SpecError(f"{len(places)} run to compare {where}", "two or more, each of another model", _other(places))
    twice = [str(p) for p, n in Counter(p.resolve() for p in places).items() if n > 1]
    if twice:
        raise SpecError(f"'{twice[0]}' is named twice", "each run once")
    runs = [read_run(place).in_family(families or {}) for place in places]
    studies = {run.study: [r for r in runs if r.study == run.study] for run in runs}
    alone = len({identity_of(run) for run in runs}) == 1
    for study, mine in studies.items():
        if len(mine) < 2 and not alone:
            others = ", ".join(f"'{name}'" for name in studies if name != study)
            raise SpecError(
                f"'{mine[0].folder}' is the only run of the study '{study}' (the others: {others})",
                "runs of one study, or two models or more of each",
                f"layeratlas run {study} --model OTHER",
            )
    return [_cohort(study, mine) for study, mine in studies.items()]


def _other(places: Sequence[Path]) -> str:
    try:
        return command_of(read_run(places[0]), "OTHER") if places else "layeratlas compare RUN RUN"
    except AtlasError:
        return "layeratlas compare RUN RUN"


def _cohort(study: str, runs: list[FinishedRun]) -> Cohort:
    check_alike(runs)
    runs.sort(key=lambda run: (run.family, run.parameters, run.model))
    counts = Counter(run.model for run in runs)
    names = [run.model if counts[run.model] == 1 else f"{run.model} ({run.folder.name})" for run in runs]
    if len(set(names)) < len(names):
        names = [f"{run.model} ({run.folder})" for run in runs]
    notes = []
    for word, path in _NOTED.items():
        values = [str(value_at(run, path)) for run in runs]
        if len(set(values)) > 1:
            each = ", ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
            notes.append(f"The models are not alike in {word}, which can change numbers a little ({each}).")
    lacking = [name for name, run in zip(names, runs, strict=True) if run.draws is None]
    if lacking:
        notes.append(f"No draws of curves were kept by {', '.join(lacking)}: their curves are shown, not tested.")
    return Cohort(study, tuple(names), tuple(runs), tuple(notes))
