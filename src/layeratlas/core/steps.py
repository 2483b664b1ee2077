"""The training step in a model's name: `step1000`, `checkpoint-500`, `stage1-step2000-tokens9B`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_STEP = re.compile(r"(?:^|(?<=[^a-z0-9]))(?:global[-_]?)?(?:step|checkpoint|ckpt|iter)s?[-_=]?(\d+)(?![a-z0-9])", re.I)
_BETWEEN = " -_./"


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


def directory_name(path: Path) -> str:
    """Return the name of a model's directory; if that is only a step, with the parent's name."""
    found = checkpoint_in(path.name)
    return path.name if found is None or found.series else f"{path.parent.name} {path.name}".strip()


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
