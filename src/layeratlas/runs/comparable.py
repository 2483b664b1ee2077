"""Which runs are comparable: the same texts, read in the same way, each with a different model."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.spec import COMPONENTS, hash_of
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.fitting import left_out_sets

# Key in `run.json`: the number of few-shot examples of data sets that got fewer than the spec says.
FEWER_SHOTS = "fewer_shots"
# The properties that must agree, in the order of reporting, with their paths in `run.json`.
_ALIKE = {
    "size": "spec.size",
    "texts": "texts",
    "worked examples": FEWER_SHOTS,
    "position": "spec.capture.position",
    "components": "spec.capture.components",
    "stored dtype": "spec.capture.dtype",
    "BOS policy": "spec.model.bos",
    "chat": "spec.model.chat",
    "system prompt": "spec.model.system",
    "chat options": "spec.model.chat_options",
    "probe settings": "spec.probe",
    "study settings": "spec.settings",
    "seed": "spec.seed",
    "torch": "versions.torch",
    "transformers": "versions.transformers",
}


def check_alike(runs: Sequence[FinishedRun]) -> None:
    """Raise StoreError or SpecError, in one line with the command to run again, if runs are not comparable.

    StoreError is for the first property in which a run differs from most of the others (or from the first run).
    SpecError is for two runs of the same model.
    """
    _check_settings(runs)
    _check_models(runs)


def _check_settings(runs: Sequence[FinishedRun]) -> None:
    for run in runs:
        if not run.manifest.get("texts"):
            raise StoreError(
                f"'{run.folder}' does not say which texts it read",
                "a run of this version",
                f"run again: {command_of(run, _model_id(run))} --out NEW",
            )
    for word, path in _ALIKE.items():
        values = [hash_of(value_at(run, path) or None) for run in runs]
        usual = Counter(values).most_common(1)[0][0]
        if all(value == usual for value in values):
            continue
        reference = runs[values.index(usual)]
        differing = next(run for run, value in zip(runs, values, strict=True) if value != usual)
        raise StoreError(
            f"'{differing.folder}' and '{reference.folder}' cannot be compared: "
            f"{_difference(word, path, differing, reference)}",
            f"the same {word}",
            _remedy(word, differing, reference),
        )


def _remedy(word: str, differing: FinishedRun, reference: FinishedRun) -> str:
    """Return how to make two runs comparable, such as other options if a model's context is too short."""
    runs = (differing, reference)
    if word == "worked examples":
        fewest = min(shots for run in runs for shots in (run.manifest.get(FEWER_SHOTS) or {}).values())
        return f"run both with --set shots={fewest}"
    unfit = [name for run in runs for name in left_out_sets(run.manifest)]
    if word == "texts" and unfit:
        return f"choose with --task and --data what fits both models ({', '.join(unfit)} does not)"
    return f"run again: {command_of(reference, _model_id(differing))} --out NEW"


def _model_id(run: FinishedRun) -> str:
    return str(run.manifest["spec"]["model"]["id"])


def _difference(word: str, path: str, differing: FinishedRun, reference: FinishedRun) -> str:
    """Describe the property in which two runs differ."""
    if word == "texts":
        read, usual = (_datasets(run) for run in (differing, reference))
        return f"other texts ({read} against {usual})" if read != usual else "other texts of the same names"
    a, b = (value_at(run, path) for run in (differing, reference))
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            if a.get(key) != b.get(key):
                return f"{word}, {key} {_short(a.get(key))} against {_short(b.get(key))}"
    return f"{word} {_short(a)} against {_short(b)}"


def _datasets(run: FinishedRun) -> str:
    return ", ".join(dataset["name"] for dataset in run.manifest.get("datasets", []))


def _short(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def value_at(run: FinishedRun, path: str) -> Any:
    """Return the value at a dotted path of a run's manifest, or None."""
    value: Any = run.manifest
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _check_models(runs: Sequence[FinishedRun]) -> None:
    known: dict[str, FinishedRun] = {}
    for run in runs:
        identity = identity_of(run)
        if identity in known:
            raise SpecError(
                f"'{known[identity].folder}' and '{run.folder}' are runs of the same model ({run.model})",
                "each model once",
                "leave one out",
            )
        known[identity] = run


def identity_of(run: FinishedRun) -> str:
    """Return a hash of a run's model: of its weights, or of its name if the weights were not hashed."""
    model = run.manifest["model"]
    files = (model.get("files") or {}).items()
    # By content: the same file may have another name at another step.
    weights = sorted(digest for name, digest in files if name.endswith((".safetensors", ".gguf", ".bin")))
    identity = hash_of(weights or [model.get("name"), model.get("revision"), model.get("id")])
    return identity + str(model.get("quantisation"))


def command_of(run: FinishedRun, model: str) -> str:
    """Return the command that runs a run's study on another model with the same options."""
    spec = run.manifest["spec"]
    words = ["layeratlas", "run", spec["study"], "--model", model, "--size", spec["size"]]
    for task in spec["tasks"]:
        words += ["--task", task]
    for path in spec["data"]:
        words += ["--data", path]
    words += ["--bad-rows", spec["bad_rows"]] if spec.get("bad_rows", "refuse") != "refuse" else []
    words += ["--labels", spec["label_kind"]] if spec.get("label_kind", "auto") != "auto" else []
    words += _probe_options(spec["probe"], run.manifest.get("defaults", {}).get("probe", spec["probe"]))
    components = spec["capture"].get("components", list(COMPONENTS))
    words += [f"--component={name}" for name in components] if tuple(components) != COMPONENTS else []
    words += ["--precision", "fast"] if spec["capture"].get("precision") == "fast" else []
    if spec["capture"]["position"] != "last":
        words += ["--position", spec["capture"]["position"]]
    if spec["model"].get("bos", "auto") != "auto":
        words += ["--bos", spec["model"]["bos"]]
    words += _chat_options(spec["model"])
    for name, value in spec.get("settings", {}).items():
        words += ["--set", f"{name}={value}"]
    words += ["--seed", str(spec["seed"])] if spec["seed"] else []
    return shlex.join(words)


def _chat_options(model: Mapping[str, Any]) -> list[str]:
    words = ["--chat"] if model.get("chat") else []
    words += ["--system", model["system"]] if model.get("system") is not None else []
    for name, value in (model.get("chat_options") or {}).items():
        words += ["--chat-option", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return words


def _probe_options(probe: Mapping[str, Any], usual: Mapping[str, Any]) -> list[str]:
    """Return the options in which probe settings differ from the study's defaults."""
    words: list[str] = []
    if probe["methods"] != usual.get("methods"):
        for method in probe["methods"]:
            words += ["--probe", method]
    for name in ("folds", "repeats", "shuffles", "svm_c", "pca"):
        if probe.get(name) != usual.get(name):
            words += [f"--{name.replace('_', '-')}", str(probe[name])]
    return words
