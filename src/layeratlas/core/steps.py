"""The training step in a model's name: `step1000`, `checkpoint-500`, `stage1-step2000-tokens9B`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_STEP = re.compile(r"(?:^|(?<=[^a-z0-9]))(?:global[-_]?)?(?:step|checkpoint|ckpt|iter)s?[-_=]?(\d+)(?![a-z0-9])", re.I)
_BETWEEN = " -_./"
# Names of folders and files that say in which form a model is kept, and not which model it is.
_FORM = re.compile(
    r"hf|huggingface|transformers|pytorch|safetensors|gguf|weights|checkpoints|ckpts"
    r"|(?:ggml-)?models?(?:[-_.](?P<precision>b?f(?:p)?(?:16|32)|i?q\d\w*))?",
    re.I,
)
# Names that say which state of a training a model is in, and not which model it is.
_STATE = re.compile(r"final|best|last|latest|merged|checkpoint", re.I)
_HUB_CACHE = re.compile(r"models--(?:.*--)?([^/]+)/snapshots/[0-9a-f]{40}$")


class Checkpoint(NamedTuple):
    """A training checkpoint: the `series` that all checkpoints of one training share, and the `step`."""

    series: str
    step: int


def checkpoint_in(name: str) -> Checkpoint | None:
    """Return the series and the step that a name holds, such as `pythia-70m step1000`; None if it has no step.

    The series is the text before the step.
    """
    found = _STEP.search(name)
    return Checkpoint(name[: found.start()].strip(_BETWEEN), int(found[1])) if found else None


def name_of(path: Path) -> str:
    """Return the short name of a model's directory, or of its file (given without the suffix).

    Where the last name says only in which form the model is kept (`stories/hf`), the name is the parent's, with the
    precision of the weights if the file tells it (`stories/model-q4_0`: `stories q4_0`). Where it is only a step or a
    state of a training, the name is both (`stories step80`). The parent is named by the same rules, so that
    `run/checkpoint-500/hf` is `run checkpoint-500`. In the hub's cache it is the name of the repository.
    """
    if cached := _HUB_CACHE.search(path.as_posix()):
        return cached[1]
    if path.parent == Path.home() or not path.parent.name:
        return path.name
    found = checkpoint_in(path.name)
    if (found is not None and not found.series) or _STATE.fullmatch(path.name):
        return f"{name_of(path.parent)} {path.name}"
    form = _FORM.fullmatch(path.name)
    if not form or _FORM.fullmatch(path.parent.name):
        return path.name
    return f"{name_of(path.parent)} {form['precision'] or ''}".strip()


def checkpoints_below(folder: Path) -> list[Path]:
    """Return the directories of models in a folder that are named after steps, earliest step first."""
    steps = {path: found for path in folder.iterdir() if (found := checkpoint_in(path.name))}
    models = [path for path in steps if (path / "config.json").is_file()]
    return sorted(models, key=lambda path: (steps[path].series, steps[path].step))


def checkpoints_of(model: str) -> list[str]:
    """Return the checkpoints in a folder that is not itself a model, earliest first; otherwise the model itself."""
    folder = Path(os.path.expanduser(model))  # leaves ~nobody unchanged
    is_folder = folder.is_dir() and not (folder / "config.json").exists()
    return [str(path) for path in checkpoints_below(folder)] if is_folder else [model]


def is_training(models: Sequence[str], revisions: Sequence[str]) -> bool:
    """Return whether the arguments name checkpoints of a training: several revisions, or folders of checkpoints."""
    return len(revisions) > 1 or any(len(checkpoints_of(model)) > 1 for model in models)
