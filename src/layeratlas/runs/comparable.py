"""Which runs say something together: of the same texts, read in the same way, each of another model."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.spec import hash_of
from layeratlas.runs.finished import FinishedRun

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


def check_alike(runs: Sequence[FinishedRun]) -> None:
    """Raise StoreError or SpecError, in one line with what to run again, where runs do not belong together.

    StoreError for the first thing in which a run differs from most of the others (or from the first); SpecError where
    two are of the same model.
    """
    _check_settings(runs)
    _check_models(runs)


def _check_settings(runs: Sequence[FinishedRun]) -> None:
    for run in runs:
        if not run.manifest.get("texts"):
            raise StoreError(
                f"'{run.folder}' does not say which texts it read",
                "a run of this version",
                f"run again: {command_of(run, run.manifest['spec']['model']['id'])} --out NEW",
            )
    for word, path in _ALIKE.items():
        values = [hash_of(value_at(run, path)) for run in runs]
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


def _difference(word: str, path: str, odd: FinishedRun, model: FinishedRun) -> str:
    one, two = (value_at(run, path) for run in (odd, model))
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


def value_at(run: FinishedRun, path: str) -> Any:
    """Return what stands in a manifest at a dotted path, or None."""
    value: Any = run.manifest
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _check_models(runs: Sequence[FinishedRun]) -> None:
    known: dict[str, FinishedRun] = {}
    for run in runs:
        identity = identity_of(run)
        if identity in known:
            name = run.manifest["model"].get("name", "unknown")
            raise SpecError(
                f"'{known[identity].folder}' and '{run.folder}' are runs of the same model ({name})",
                "each model once",
                "leave one out",
            )
        known[identity] = run


def identity_of(run: FinishedRun) -> str:
    """Return what tells a run's model from any other: its weights, or its name where they were not hashed."""
    model = run.manifest["model"]
    weights = {n: h for n, h in (model.get("files") or {}).items() if n.endswith((".safetensors", ".gguf", ".bin"))}
    identity = hash_of(weights or [model.get("name"), model.get("revision"), model.get("id")])
    return identity + str(model.get("quantisation"))


def command_of(run: FinishedRun, model: str) -> str:
    """Return the command that runs a study on another model as this run was made."""
    spec = run.manifest["spec"]
    words = ["layeratlas", "run", spec["study"], "--model", model, "--size", spec["size"]]
    for flag in ("task", "data"):
        words += [word for one in spec["tasks" if flag == "task" else "data"] for word in (f"--{flag}", one)]
    probe, usual = spec["probe"], run.manifest.get("defaults", {}).get("probe", spec["probe"])
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
