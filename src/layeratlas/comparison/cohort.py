"""Runs that may be compared: the same study on the same texts in the same way, each of another model."""

from __future__ import annotations

import dataclasses
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layeratlas import registry
from layeratlas.claim import RunTables, read_run
from layeratlas.errors import AtlasError, SpecError, StoreError
from layeratlas.spec import hash_of

# What must agree, in the order in which it is reported: where it stands in `run.json`, and what to call it.
_ALIKE = {
    "size": "spec.size",
    "texts": "texts",
    "position": "spec.capture.position",
    "components": "spec.capture.components",
    "stored dtype": "spec.capture.dtype",
    "BOS policy": "spec.model.bos",
    "probe settings": "spec.probe",
    "study settings": "spec.settings",
    "seed": "spec.seed",
    "torch": "versions.torch",
    "transformers": "versions.transformers",
}
# What may differ between models, and is said.
_NOTED = {"dtype": "model.dtype", "attention kernel": "model.attention", "weights": "model.quantisation"}


@dataclass(frozen=True)
class Cohort:
    """The runs of one study, each of another model, sorted by family, then size; `names` are unique labels."""

    study: str
    names: tuple[str, ...]
    runs: tuple[RunTables, ...]
    notes: tuple[str, ...]


def read_cohorts(folders: Sequence[Path], families: Mapping[str, str] | None = None) -> list[Cohort]:
    """Read finished runs and return them by study.

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
    runs = [_in_family(read_run(place), families or {}) for place in places]
    studies = {run.study: [r for r in runs if r.study == run.study] for run in runs}
    for study, mine in studies.items():
        if len(mine) < 2:
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


def _in_family(run: RunTables, families: Mapping[str, str]) -> RunTables:
    for family, part in families.items():
        if part.lower() in f"{run.model} {run.folder}".lower():
            model = run.manifest["model"] | {"family": family}
            return dataclasses.replace(run, manifest=run.manifest | {"model": model})
    return run


def _cohort(study: str, runs: list[RunTables]) -> Cohort:
    _check_alike(runs)
    _check_models(runs)
    runs.sort(key=lambda run: (run.family, run.parameters, run.model))
    counts = Counter(run.model for run in runs)
    names = [run.model if counts[run.model] == 1 else f"{run.model} ({run.folder.name})" for run in runs]
    if len(set(names)) < len(names):
        names = [f"{run.model} ({run.folder})" for run in runs]
    notes = []
    for word, path in _NOTED.items():
        values = [str(_at(run, path)) for run in runs]
        if len(set(values)) > 1:
            each = ", ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
            notes.append(f"The models are not alike in {word}, which can change numbers a little ({each}).")
    lacking = [name for name, run in zip(names, runs, strict=True) if run.draws is None]
    if lacking:
        notes.append(f"No draws of curves were kept by {', '.join(lacking)}: their curves are shown, not tested.")
    return Cohort(study, tuple(names), tuple(runs), tuple(notes))


def _check_alike(runs: Sequence[RunTables]) -> None:
    """Raise StoreError for the first thing in which a run differs from most of the others (or from the first)."""
    for run in runs:
        if not run.manifest.get("texts"):
            raise StoreError(
                f"'{run.folder}' does not say which texts it read",
                "a run of this version",
                f"run again: {command_of(run, run.manifest['spec']['model']['id'])} --out NEW",
            )
    for word, path in _ALIKE.items():
        values = [hash_of(_at(run, path)) for run in runs]
        usual = Counter(values).most_common(1)[0][0]
        if all(value == usual for value in values):
            continue
        model = runs[values.index(usual)]
        odd = next(run for run, value in zip(runs, values, strict=True) if value != usual)
        raise StoreError(
            f"'{odd.folder}' and '{model.folder}' cannot be compared: {_difference(word, path, odd, model)}",
            f"the same {word}",
            f"run again: {command_of(model, odd.manifest['spec']['model']['id'])} --out NEW",
        )


def _difference(word: str, path: str, odd: RunTables, model: RunTables) -> str:
    one, two = (_at(run, path) for run in (odd, model))
    if word == "texts":
        read = [", ".join(d["name"] for d in run.manifest.get("datasets", [])) for run in (odd, model)]
        return f"other texts ({read[0]} against {read[1]})" if read[0] != read[1] else "other texts of the same names"
    if isinstance(one, dict) and isinstance(two, dict):
        for key in sorted(one.keys() | two.keys()):
            if one.get(key) != two.get(key):
                return f"{word}, {key} {_short(one.get(key))} against {_short(two.get(key))}"
    return f"{word} {_short(one)} against {_short(two)}"


def _short(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _at(run: RunTables, path: str) -> Any:
    value: Any = run.manifest
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _check_models(runs: Sequence[RunTables]) -> None:
    known: dict[str, RunTables] = {}
    for run in runs:
        model = run.manifest["model"]
        weights = {n: h for n, h in (model.get("files") or {}).items() if n.endswith((".safetensors", ".gguf", ".bin"))}
        identity = hash_of(weights or [model.get("name"), model.get("revision"), model.get("id")])
        identity += str(model.get("quantisation"))
        if identity in known:
            raise SpecError(
                f"'{known[identity].folder}' and '{run.folder}' are runs of the same model ({run.model})",
                "each model once",
                "leave one out",
            )
        known[identity] = run


def command_of(run: RunTables, model: str) -> str:
    """Return the command that runs a study on another model as this run was made."""
    spec = run.manifest["spec"]
    words = ["layeratlas", "run", spec["study"], "--model", model, "--size", spec["size"]]
    for flag in ("task", "data"):
        words += [word for one in spec["tasks" if flag == "task" else "data"] for word in (f"--{flag}", one)]
    try:
        usual = registry.get("studies", spec["study"]).probe_spec(spec["size"]).model_dump(mode="json")
    except AtlasError:
        usual = spec["probe"]
    probe = spec["probe"]
    if probe["methods"] != usual["methods"]:
        words += [word for one in probe["methods"] for word in ("--probe", one)]
    for name in ("folds", "repeats", "shuffles", "svm_c", "pca"):
        if probe.get(name) != usual.get(name):
            words += [f"--{name.replace('_', '-')}", str(probe[name])]
    if spec["capture"]["position"] != "last":
        words += ["--position", spec["capture"]["position"]]
    if spec["model"].get("bos", "auto") != "auto":
        words += ["--bos", spec["model"]["bos"]]
    words += [word for name, value in spec.get("settings", {}).items() for word in ("--set", f"{name}={value}")]
    words += ["--seed", str(spec["seed"])] if spec["seed"] else []
    return shlex.join(words)
