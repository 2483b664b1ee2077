"""The texts that the first probe gets wrong at each point of the residual stream, from the scores that a run kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from safetensors.numpy import load_file

from layeratlas.core.arrays import Floats
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.mistakes import Mistakes, brief, evenly
from layeratlas.studies.hierarchy.items import TESTED
from layeratlas.studies.hierarchy.names import RESIDUAL

# The most texts of a task on a page.
_MOST = 300


def mistakes(run: FinishedRun) -> list[Mistakes]:
    """Return the mistakes of the run's first probe on held-out texts, for each task with classes.

    The user's own texts are left out, because reports do not show them. Empty for a run without scores or without
    texts (a shared one).
    """
    if run.manifest["spec"].get("data"):
        return []
    known = {path.name for path in run.outputs("scores")}
    return [
        _of_task(run, data)
        for data in run.manifest.get("datasets", [])
        if data.get("classes") and f"{data['name']}.{RESIDUAL}.safetensors" in known and _items(run, data).is_file()
    ]


def _items(run: FinishedRun, data: dict[str, Any]) -> Path:
    return run.folder / "items" / f"{data['name']}.parquet"


def _of_task(run: FinishedRun, data: dict[str, Any]) -> Mistakes:
    name = data["name"]
    tensors = load_file(run.folder / "scores" / f"{name}.{RESIDUAL}.safetensors")
    items = pl.read_parquet(_items(run, data))
    items = items.filter(TESTED) if TESTED in items.columns else items
    classes = list(data["classes"])
    given = predicted(tensors[f"{run.method}.scores"], len(classes))
    labels = items["label"].cast(pl.String).to_numpy()
    kept = evenly(len(items), _MOST)
    wrong = [np.flatnonzero(np.array(classes)[layer[kept]] != labels[kept]) for layer in given]
    return Mistakes(
        level=data["level"],
        task=name,
        texts=[brief(items["text"][int(i)]) for i in kept],
        labels=labels[kept].tolist(),
        names=classes,
        wrong=[places.tolist() for places in wrong],
        said=[layer[kept][places].tolist() for layer, places in zip(given, wrong, strict=True)],
        of=len(items),
    )


def predicted(scores: Floats, classes: int) -> Any:
    """Return the index of the predicted class of each text, (layers, n), from scores (layers, repeats, n, columns).

    Two classes have a single column, whose sign decides. Scores of several repeats are averaged.
    """
    mean = scores.mean(1)
    return (mean[..., 0] > 0).astype(int) if classes == 2 else mean.argmax(-1)
