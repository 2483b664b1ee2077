"""Synthetic finished runs of several models on the same texts, without any model: curves, draws, findings, vectors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.spec import ProbeSpec, RunSpec, hash_of
from layeratlas.runs.draws import write_draws
from layeratlas.runs.finding import Finding
from layeratlas.runs.finding_table import finding_table
from layeratlas.runs.tables import CURVE_KEYS, CURVE_VALUES
from layeratlas.stats.curves import Curve

LEVELS = ("item", "relation", "analogy")
WORDS = {"item": "item properties", "relation": "two-item relations", "analogy": "four-item analogies"}
# The kind of finding by which a study says that a level is encoded (or answered) at all.
PRESENCE = {"hierarchy": "peak", "exits": "exit", "causal": "used"}
BOOTSTRAP, HALVES = 400, 20


@dataclass(frozen=True)
class FakeModel:
    """A model whose true curves are known.

    `truth(level, depth)` is the accuracy at relative depths; `spread` the standard error of an estimate; `texts` the
    seed of the texts' noise, of which all models share the part `shared`. `low` is what low exits truly gain (X5).
    `small` are levels that the run shows to be too small to matter.
    """

    name: str
    truth: Callable[[str, np.ndarray], np.ndarray]
    layers: int = 24
    family: str = "alpha"
    parameters: float = 1e9
    spread: float = 0.01
    shared: float = 0.7
    texts: int = 0
    levels: tuple[str, ...] = LEVELS
    components: tuple[str, ...] = ("resid",)
    study: str = "hierarchy"
    boundaries: tuple[float, float] | None = None
    brittleness: Mapping[str, float] = field(default_factory=dict)
    change: Mapping[str, Any] = field(default_factory=dict)
    bootstrap: int = BOOTSTRAP
    low: float | None = None
    small: tuple[str, ...] = ()


def hump(centre: float, top: float = 0.85, width: float = 0.15) -> Callable[[np.ndarray], np.ndarray]:
    """A rise to `top` at relative depth `centre`, from chance."""
    return lambda depth: 0.5 + (top - 0.5) * np.exp(-0.5 * ((depth - centre) / width) ** 2)


def rise(top: float) -> Callable[[str, np.ndarray], np.ndarray]:
    """The same sigmoid for every level, up to `top` at the last layer."""
    return lambda level, depth: 0.5 + (top - 0.5) / (1 + np.exp(-(depth - 0.4) / 0.08))


def smooth(rows: int, points: int, rng: np.random.Generator) -> np.ndarray:
    """Standard normal noise that neighbouring layers share, (rows, points)."""
    coarse = rng.standard_normal((rows, 13))
    grid = np.linspace(0, 12, points)
    left = np.minimum(grid.astype(int), 11)
    share = grid - left
    mixed = coarse[:, left] * np.sqrt(1 - share) + coarse[:, left + 1] * np.sqrt(share)
    return 0.8 * mixed + 0.6 * rng.standard_normal((rows, points))


def _noise(model: FakeModel, level: str, component: str) -> tuple[np.ndarray, ...]:
    """Return the errors of the estimate, the draws and the halves, partly those of all models on these texts."""
    points = model.layers + (component == "resid")
    rows = 1 + model.bootstrap + HALVES
    key = [model.texts, *level.encode(), *component.encode()]
    common = smooth(rows, points, np.random.default_rng([*key, 1]))
    own = smooth(rows, points, np.random.default_rng([*key, *model.name.encode(), 2]))
    mixed = model.spread * (np.sqrt(model.shared) * common + np.sqrt(1 - model.shared) * own)
    return mixed[:1], mixed[1 : 1 + model.bootstrap], mixed[1 + model.bootstrap :]


def curve(model: FakeModel, level: str, component: str) -> Curve:
    """Return a level curve with its bootstrap."""
    points = model.layers + (component == "resid")
    depth = np.arange(points) / model.layers if component == "resid" else (np.arange(points) + 1) / model.layers
    error, draws, halves = _noise(model, level, component)
    estimate = model.truth(level, depth) + error[0]
    return Curve(
        level=level,
        task="all",
        stratum="all",
        component=component,
        method="ridge",
        metric="accuracy",
        estimate=estimate,
        draws=estimate + draws,
        half_a=estimate + halves,
        half_b=estimate - halves,
        shuffles=np.full((20, points), 0.5),
        chance=0.5,
        baseline=float("nan"),
        n=400,
        n_groups=100,
    )


def _table(model: FakeModel, curves: Sequence[Curve]) -> pl.DataFrame:
    parts = []
    for c in curves:
        lo, hi = c.interval
        columns = {
            "model": model.name, "study": model.study, "level": c.level, "task": c.task, "stratum": c.stratum,
            "component": c.component, "layer": np.arange(len(lo)), "depth": c.depth, "method": c.method,
            "metric": c.metric, "estimate": c.estimate, "lo": lo, "hi": hi, "chance": c.chance, "control": 0.5,
            "control_lo": 0.48, "control_hi": 0.52, "baseline": None, "n": c.n, "n_groups": c.n_groups,
        }  # fmt: skip
        parts.append(pl.DataFrame(columns, schema_overrides={"baseline": pl.Float64}))
    return pl.concat(parts).select(*CURVE_KEYS, *CURVE_VALUES)


def _finding(kind: str, level: str, estimate: float, lo: float, hi: float, **changed: Any) -> Finding:
    usual: dict[str, Any] = {
        "component": "resid", "method": "ridge", "statement": f"{kind} of {level}.", "p": 0.01, "null": "null",
        "verdict": "supported", "n": 400,
    }  # fmt: skip
    return Finding(finding=kind, level=level, estimate=estimate, lo=lo, hi=hi, **(usual | changed))


def _findings(model: FakeModel, curves: Sequence[Curve]) -> pl.DataFrame:
    findings = []
    for c in curves:
        at = float(c.depth[c.estimate.argmax()])
        unseen = "not supported" if c.level in model.small else "inconclusive"
        verdict = "supported" if c.estimate.max() > 0.55 else unseen
        if kind := PRESENCE.get(model.study):
            findings.append(_finding(kind, c.level, at, at - 0.05, at + 0.05, component=c.component, verdict=verdict))
        if model.study == "hierarchy" and c.component == "resid":
            findings.append(_finding("second peak", c.level, 0.01, -0.02, 0.04, p=0.5, verdict="inconclusive"))
    for at in model.boundaries or ():
        findings.append(_finding("boundary", "boundaries", at, at - 0.04, at + 0.04, method="passages"))
    for name, b in model.brittleness.items():
        findings.append(_finding("brittleness", name, b, 0.9 * b, b / 0.9, method="noise"))
    if model.low is not None:
        rng = np.random.default_rng([model.texts, *model.name.encode(), 3])
        at, reach = model.low + model.spread * rng.standard_normal(), 1.96 * model.spread
        findings.append(_finding("X5", "all", at, at - reach, at + reach, p=np.nan, verdict="inconclusive"))
    return finding_table(findings, model.name, model.study)


def write_model(folder: Path, model: FakeModel) -> Path:
    """Write the run of a model, as the comparison reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    curves = [curve(model, level, c) for c in model.components for level in model.levels]
    _table(model, curves).write_parquet(folder / "curves.parquet")
    _findings(model, curves).write_parquet(folder / "findings.parquet")
    write_draws(folder, curves)
    probe = ProbeSpec(bootstrap=model.bootstrap)
    spec = RunSpec(study=model.study, size="quick", probe=probe).model_dump(mode="json")
    spec["model"]["id"] = model.name
    manifest: dict[str, Any] = {
        "format": 1,
        "status": "complete",
        "key": hash_of([model.name, model.texts]),
        "spec": spec,
        "spec_hash": hash_of(spec),
        "texts": hash_of(model.texts),
        "model": {
            "id": model.name,
            "name": model.name,
            "family": model.family,
            "layers": model.layers,
            "width": 64,
            "parameters": model.parameters,
            "dtype": "float32",
            "quantisation": "none",
            "attention": "sdpa",
        },
        "versions": {"torch": "2.9.1", "transformers": "5.23.0", "layeratlas": "0.1.0"},
        "datasets": [{"name": level, "level": level} for level in model.levels],
        "words": {"levels": {level: WORDS.get(level, level) for level in model.levels}},
        "defaults": {"probe": json.loads(json.dumps(spec["probe"]))},
    }
    for path, value in model.change.items():
        place = manifest
        *parents, last = path.split(".")
        for part in parents:
            place = place[part]
        place[last] = value
    (folder / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def write_vectors(folder: Path, vectors: np.ndarray, levels: Sequence[str]) -> None:
    """Write items of these levels and their vectors in the residual stream, (n, points, width)."""
    from layeratlas.store import DiskStore, Shape

    n, points, width = vectors.shape
    store = DiskStore(folder / "activations", Shape(n, width, {"resid": points}), folder.name)
    half = n // 2
    for name, rows in (("one", range(half)), ("two", range(half, n))):
        store.write(name, list(rows), {"resid": vectors[list(rows)].astype(np.float32)})
    items = pl.DataFrame({"level": list(levels), "group": [f"g{i // 2}" for i in range(n)], "row": np.arange(n)})
    (folder / "items").mkdir(exist_ok=True)
    items.write_parquet(folder / "items/all.parquet")
