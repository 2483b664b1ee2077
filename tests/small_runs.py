"""Runs of each study on a dozen texts and a tiny random model, as far as its model's work goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import families
import layeratlas as la
from layeratlas.core import registry
from layeratlas.core.progress import Progress
from layeratlas.core.spec import CaptureSpec, ModelSpec, RunSpec
from layeratlas.runs.pipeline import make_material
from layeratlas.runs.recompute import FIELD, STAGE
from layeratlas.runs.workspace import Workspace

NOUNS = ("apple", "hammer", "cow", "church", "river", "piano", "bee", "wing", "lamp", "shoe", "tree", "ship")


def texts_file(folder: Path) -> str:
    rows = [f"A shop in the old town sells a {noun},{place % 2},{noun}" for place, noun in enumerate(NOUNS)]
    path = folder / "texts.csv"
    path.write_text("\n".join(["text,label,group", *rows, "A cow,1,short"]))
    return str(path)


def questions_file(folder: Path) -> str:
    def row(place: int, noun: str) -> dict[str, Any]:
        choices = [noun, f"{noun} and a {NOUNS[place - 1]}", NOUNS[place - 2]]
        return {"question": "What does a shop in the old town sell?", "choices": choices, "answer": place % 3}

    path = folder / "questions.jsonl"
    path.write_text("\n".join(json.dumps(row(place, noun)) for place, noun in enumerate(NOUNS)))
    return str(path)


def passages_file(folder: Path) -> str:
    path = folder / "passages.jsonl"
    texts = [" ".join(NOUNS[(place + step) % 12] for step in range(20)) for place in range(8)]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return str(path)


FILES: dict[str, Callable[[Path], str]] = {
    "hierarchy": texts_file,
    "exits": questions_file,
    "segments": passages_file,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "segments": {"tokens": 48, "view_passages": 0, "noise": "none", "edits": "none", "draws": 100, "surrogates": 99},
    "exits": {"shots": 0},
}


def model_folder(folder: Path, family: str, layers: int | None = None) -> str:
    config = families.FAMILIES[family]()
    if layers is not None:
        config.num_hidden_layers = layers
    return str(families.save(folder / "model", config))


def spec_of(study: str, folder: Path, model: str, **capture: Any) -> RunSpec:
    return RunSpec(
        study=study,
        size="quick",
        data=(FILES[study](folder),),
        model=ModelSpec(id=model),
        capture=CaptureSpec(**capture),
        settings=SETTINGS.get(study, {}),
    )


def measured(spec: RunSpec, folder: Path) -> dict[str, Any]:
    """Run a study's stages up to the sample and return `run.json`'s record of it."""
    study = registry.get("studies", spec.study)
    settings = study.settings(**spec.settings)
    spec = study.prepare(spec, settings)
    work = Workspace(folder / "run", spec, make_material(study, spec), Progress(), settings)
    for name, stage in study.stages().items():
        with work.timed(name):
            outputs = stage(work)
        work.finish(name, outputs)
        if name == STAGE:
            break
    record: dict[str, Any] = manifest(work.folder)[FIELD]
    return record


def warm_and_cold(model: Path, folder: Path, numbers: int, **settings: Any) -> la.Run:
    """Run the hierarchy study on labelled texts, two for each number, with a light ridge probe of the stream."""
    rows = [f"{word} number {i},{word},{i}" for i in range(numbers) for word in ("warm", "cold")]
    (folder / "own.csv").write_text("\n".join(["text,label,group", *rows]))
    return la.run(
        "hierarchy",
        model=str(model),
        size="quick",
        data=[str(folder / "own.csv")],
        out=folder / "out",
        components=["resid"],
        probe={"methods": ("ridge",), "repeats": 1, "shuffles": 20, "bootstrap": 100},
        settings=settings,
    )


def manifest(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return read
