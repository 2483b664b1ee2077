"""The probe direction of a finished run at a layer, refitted on all texts and checked against the run's scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.core.errors import SpecError, StoreError, unknown_name
from layeratlas.core.spec import Component, ModelSpec, RunSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.directions import Direction
from layeratlas.directions.records import Quality, Source
from layeratlas.probes import Design, make_design, probe_layer, probe_weights
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.tables import read_table
from layeratlas.stats.measures import measures_for
from layeratlas.store.receipts import MANIFEST
from layeratlas.store.rows import read_rows
from layeratlas.studies.hierarchy.items import TESTED
from layeratlas.studies.hierarchy.names import ACTIVATIONS, WHOLE

# Scores from kept vectors must equal the run's scores up to rounding.
_ROUNDING = 1e-6


def fit_direction(
    run: FinishedRun, task: str, layer: int, component: Component = "resid", method: str = ""
) -> Direction:
    """Return the direction of a task at a layer, in the coordinates of the model's activations.

    The probe is fitted on all texts with the run's settings. Before that, the run's cross-validation is repeated at
    this layer and its score compared with the run's curve, which shows whether the vectors are those of the run.
    Vectors come from the run's `activations/`; if these were deleted, the model reads the texts again. `method`
    defaults to the run's first probe.

    Raises SpecError for a large or unknown task, an unknown component, layer or probe, StoreError if the scores differ
    or the files of the model have changed.
    """
    spec = RunSpec(**run.manifest["spec"])
    method = method or spec.probe.methods[0]
    data = load_data(run, task)
    _check_whole(run, data)
    quality = _quality(run, data, layer, component, method)
    design = make_design(data, spec.probe, spec.seed)
    design = replace(design, shuffled=design.shuffled[:1])
    x = _vectors(run, spec, data, component, layer)
    _compare(_score(x, design, method), quality, run)
    weights = probe_weights(x, design, method)
    return Direction(
        source=_source(run, spec, data, component, layer, method),
        quality=quality,
        classes=tuple(data.classes),
        weight=weights.coef,
        offset=weights.intercept,
        scale=(x @ weights.coef.T).std(0),
        means=_means(x, data),
        counts=tuple(int((data.y == code).sum()) for code in range(len(data.classes))) or (len(data.items),),
        typical_norm=float(np.sqrt((x**2).sum(1).mean())),
    )


def load_data(run: FinishedRun, task: str) -> Dataset:
    """Return the texts of a task as the run read them; `task` may be a level that has a single task."""
    records: list[dict[str, Any]] = run.manifest["datasets"]
    of_level = [record["name"] for record in records if record["level"] == task]
    names = [record["name"] for record in records]
    if task not in names and len(of_level) > 1:
        raise SpecError(f"the level '{task}' has several tasks", f"one of {', '.join(of_level)}")
    name = task if task in names else next(iter(of_level), "")
    if not name:
        raise unknown_name("task", task, names)
    record = records[names.index(name)]
    table = _items(run, name)
    items = tuple(
        Item(row["text"], row["label"], row["group"], row["stratum"], json.loads(row["spans"]))
        for row in table.iter_rows(named=True)
    )
    return Dataset(name, record["level"], items, record["kind"])


def _check_whole(run: FinishedRun, data: Dataset) -> None:
    """Raise SpecError for a large data set, whose probe was trained on more texts than are read here."""
    if any(record["name"] == data.name and TESTED in record for record in run.manifest["datasets"]):
        raise SpecError(
            f"'{data.name}' was probed from disk ({len(data.items):,} texts)",
            "a task whose probe can be fitted in memory",
            f"run the study with --set sample={len(data.items)} in a new --out",
        )


def _items(run: FinishedRun, name: str) -> pl.DataFrame:
    file = f"items/{name}.parquet"
    run.verify([file])
    return read_table(run.folder / file)


def _quality(run: FinishedRun, data: Dataset, layer: int, component: str, method: str) -> Quality:
    """Return the point of the run's curve: the task's main measure over all its texts."""
    curves = run.curves.filter(pl.col("task") == data.name, pl.col("stratum") == WHOLE)
    for column, value in (("component", component), ("method", method)):
        known = curves[column].unique(maintain_order=True).to_list()
        if value not in known:
            raise unknown_name("probe" if column == "method" else column, value, known)
        curves = curves.filter(pl.col(column) == value)
    curves = curves.filter(pl.col("metric") == pl.col("metric").first())
    if not isinstance(layer, Integral) or isinstance(layer, bool) or int(layer) not in curves["layer"]:
        raise SpecError(f"{component} has no layer {layer!r}", f"0 to {max(curves['layer'].to_list())}")
    row = curves.row(curves["layer"].to_list().index(layer), named=True)
    numbers = {name: float(row[name]) for name in ("lo", "hi", "chance")}
    return Quality(metric=row["metric"], value=float(row["estimate"]), n=row["n"], n_groups=row["n_groups"], **numbers)


def _vectors(run: FinishedRun, spec: RunSpec, data: Dataset, component: Component, layer: int) -> Floats:
    """Return the vectors (n, d) of a task's texts: those that the run kept, or else read again from the model."""
    if (run.folder / ACTIVATIONS / MANIFEST).is_file():
        vectors = kept_vectors(run, data, component, [layer])
    else:
        vectors = read_again(run, spec, data, component, [layer])
    return vectors.reshape(vectors.shape[1:])


def kept_vectors(run: FinishedRun, data: Dataset, component: Component, layers: Sequence[int]) -> Floats:
    """Return a task's vectors at some layers from the run's `activations/`, (layers, n, d)."""
    rows = _items(run, data.name)["row"].to_list()
    distinct = list(dict.fromkeys(rows))
    place = {row: i for i, row in enumerate(distinct)}
    kept = read_rows(run.folder / ACTIVATIONS, component, layers, distinct)
    vectors: Floats = kept[:, [place[row] for row in rows]].astype(np.float64)
    return vectors


def read_again(run: FinishedRun, spec: RunSpec, data: Dataset, component: Component, layers: Sequence[int]) -> Floats:
    """Return the vectors of texts at some layers, (layers, n, d), read with the run's model and capture settings."""
    from layeratlas.capture import capture, choose_plan, store_shape
    from layeratlas.models import load
    from layeratlas.store import MemoryStore
    from layeratlas.studies.hierarchy.capturing import distinct_texts

    with load(ModelSpec(**dict(spec.model))) as model:
        known = run.manifest["model"]  # earlier versions did not hash files from the hub
        changed = [name for name in ("files", "tokenizer_hash") if known[name] not in ({}, model.info[name])]
        if changed:
            raise StoreError(
                f"the {changed[0]} of model '{spec.model.id}' have changed since the run",
                "the same model, since the run's activations were deleted",
                "run the study again",
            )
        texts = distinct_texts(model, [data], spec.capture.position)
        settings = spec.capture.model_copy(update={"components": (component,)})
        store = MemoryStore(store_shape(model, len(texts.readings), settings))
        packing = choose_plan(model, texts.readings, settings)
        capture(model, packing.batches, store, form=packing.form, names=texts.names)
    rows = texts.rows_of(data)
    return store.read_layers(component, layers, np.array(rows)).astype(np.float64)


def _score(x: Floats, design: Design, method: str) -> float:
    """Return the out-of-fold score under the run's cross-validation."""
    scores = probe_layer(x, design, [method])[0].scores
    measure = next(iter(measures_for(design.data.kind, design.classes).values()))
    return float(measure(scores, design.y, np.ones((1, len(design.y)))).mean())


def _compare(score: float, quality: Quality, run: FinishedRun) -> None:
    """Raise StoreError if a score differs from the run's; vectors read again may change the class of one text."""
    kept = (run.folder / ACTIVATIONS / MANIFEST).is_file()
    if abs(score - quality.value) > (_ROUNDING if kept else 1.5 / quality.n):
        raise StoreError(
            f"the {quality.metric} at this layer is {score:.4f}, and {quality.value:.4f} in the run's curve",
            "the vectors that the run probed",
            "run the study again in a new --out",
        )


def _means(x: Floats, data: Dataset) -> Floats:
    """Return the mean vector of each class; for numeric labels, the vector's change per unit of the label, (1, d)."""
    y = data.y
    if data.classes:
        return np.stack([x[y == code].mean(0) for code in range(len(data.classes))])
    centred = y - y.mean()
    slope: Floats = (centred @ x / (centred @ centred))[None]
    return slope


def _source(run: FinishedRun, spec: RunSpec, data: Dataset, component: Component, layer: int, method: str) -> Source:
    model: Mapping[str, Any] = run.manifest["model"]
    return Source(
        model=run.model,
        model_id=spec.model.id,
        family=run.family,
        revision=model.get("revision"),
        weights=dict(model.get("files", {})),
        layers=run.blocks,
        task=data.name,
        level=data.level,
        component=component,
        layer=layer,
        position=spec.capture.position,
        method=method,
    )
