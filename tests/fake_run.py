"""A synthetic run folder: curves with known humps, findings about them and a manifest, without any model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.spec import RunSpec, hash_of
from layeratlas.runs.finding import Finding
from layeratlas.runs.finding_table import finding_table
from layeratlas.runs.manifest import CURVES, FINDINGS
from layeratlas.runs.tables import CURVE_SCHEMA

STUDY = "hierarchy"
LEVELS: dict[str, dict[str, tuple[str, ...]]] = {
    "item": {"edible": (), "animal": (), "manmade": (), "large": ()},
    "relation": {"relations": ("place", "part", "tool", "food")},
    "analogy": {"analogies": ("place", "part", "tool")},
}
WORDS = {
    "levels": {"item": "item properties", "relation": "two-item relations", "analogy": "four-item analogies"},
    "methods": {"ridge": "Ridge", "svm": "Linear SVM"},
    "metrics": {
        "accuracy": "Accuracy",
        "balanced_accuracy": "Balanced accuracy",
        "auroc": "AUROC",
        "spearman": "Spearman correlation",
        "r2": "R²",
    },
}
HOSTILE = '<script>window.pwned=1</script> & "quotes" \'n </script> ends'
LONG = "a task whose name goes on for far longer than any axis, legend or table cell would like it to go on " * 2


@dataclass(frozen=True, kw_only=True)
class Hump:
    """Where a level's curve peaks (in fractions of depth), how high, and how broad it is."""

    centre: float
    top: float
    width: float


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A metric's chance level, and how much its curve is stretched about it."""

    chance: float
    stretch: float


HUMPS = {
    "item": Hump(centre=0.2, top=0.9, width=0.16),
    "relation": Hump(centre=0.38, top=0.78, width=0.14),
    "analogy": Hump(centre=0.47, top=0.7, width=0.12),
}
OTHER_HUMP = Hump(centre=0.6, top=0.8, width=0.15)
CLASS_METRICS = {
    "accuracy": Scale(chance=0.5, stretch=1.0),
    "balanced_accuracy": Scale(chance=0.5, stretch=0.98),
    "auroc": Scale(chance=0.5, stretch=1.1),
}
NUMBER_METRICS = {"spearman": Scale(chance=0.0, stretch=1.0), "r2": Scale(chance=0.0, stretch=0.8)}
STRENGTH = {"resid": 1.0, "attn": 0.72, "mlp": 0.82}
PLACES = {"resid": "residual stream", "attn": "attention output", "mlp": "MLP output"}


@dataclass(frozen=True, kw_only=True)
class Fake:
    """What the synthetic run holds; the defaults are an ordinary complete run."""

    layers: int = 30
    levels: tuple[str, ...] = ("item", "relation", "analogy")
    numbers: bool = False
    baseline: bool = True
    rename: dict[str, str] | None = None
    model: str = "SmolLM2-135M-Instruct"
    methods: tuple[str, ...] = ("ridge", "svm")
    components: tuple[str, ...] = ("resid", "attn", "mlp")
    findings: bool = True
    words: bool = True
    seed: int = 0

    def name(self, code: str) -> str:
        """Return the name under which a level, task or stratum is written."""
        return (self.rename or {}).get(code, code)


def write_run(folder: Path, fake: Fake | None = None) -> Path:
    """Write run.json, curves.parquet and findings.parquet into `folder` and return it."""
    fake = fake or Fake()
    folder.mkdir(parents=True, exist_ok=True)
    _curves(fake).write_parquet(folder / CURVES)
    finding_table(findings_of(fake), fake.model, STUDY).write_parquet(folder / FINDINGS)
    (folder / "run.json").write_text(json.dumps(_manifest(fake), indent=1), encoding="utf-8")
    return folder


def _tasks(level: str) -> dict[str, tuple[str, ...]]:
    return LEVELS.get(level, {"own": ()})


def _curves(fake: Fake) -> pl.DataFrame:
    rng = np.random.default_rng(fake.seed)
    frames = []
    for level in fake.levels:
        n = 640 if level == "item" else 480
        for task, strata in {"all": (), **_tasks(level)}.items():
            frames += _part(fake, rng, {"level": level, "task": task, "stratum": "all"}, n)
            for stratum in strata:
                frames += _part(fake, rng, {"level": level, "task": task, "stratum": stratum}, n // 4)
    return pl.concat(frames).select(*CURVE_SCHEMA).cast(CURVE_SCHEMA)


def _part(fake: Fake, rng: np.random.Generator, key: dict[str, str], n: int) -> list[pl.DataFrame]:
    """Return the rows of one level, task or stratum: one frame per component, method and metric."""
    usual = HUMPS.get(key["level"], OTHER_HUMP)
    hump = Hump(centre=usual.centre + rng.normal(0, 0.03), top=usual.top + rng.normal(0, 0.03), width=usual.width)
    names = {column: fake.name(code) for column, code in key.items()}
    frames = []
    for component in fake.components:
        layers = np.arange(fake.layers + (component == "resid"))
        depth = (layers + (component != "resid")) / fake.layers
        where = {"component": component, "layer": layers, "depth": depth}
        for method in fake.methods:
            gain = _gain(depth, hump) * STRENGTH[component] + rng.normal(0, 0.008, depth.size)
            for metric, scale in (NUMBER_METRICS if fake.numbers else CLASS_METRICS).items():
                values = _values(rng, gain, scale, n)
                values["baseline"] = scale.chance + 0.4 * (hump.top - 0.5) if fake.baseline else None
                run = {"model": fake.model, "study": STUDY, "method": method, "metric": metric}
                frames.append(
                    pl.DataFrame({**run, **names, **where, **values}, schema_overrides={"baseline": pl.Float64})
                )
    return frames


def _gain(depth: np.ndarray, hump: Hump) -> np.ndarray:
    """Return values above chance: a rise, a hump and a slower decline."""
    width = np.where(depth < hump.centre, hump.width, 2.6 * hump.width)
    return (hump.top - 0.5) * (0.25 + 0.75 * np.exp(-0.5 * ((depth - hump.centre) / width) ** 2))


def _values(rng: np.random.Generator, gain: np.ndarray, scale: Scale, n: int) -> dict[str, Any]:
    """Return the estimates with their interval, chance and control."""
    estimate = np.clip(scale.chance + scale.stretch * gain, -1, 0.995)
    half = 1.96 * np.sqrt(0.2 / n)
    control = scale.chance + rng.normal(0, 0.004, gain.size)
    return {
        "estimate": estimate,
        "lo": estimate - half,
        "hi": np.minimum(estimate + half, 1.0),
        "chance": scale.chance,
        "control": control,
        "control_lo": control - half,
        "control_hi": control + half,
        "n": n,
        "n_groups": n // 4,
    }


def findings_of(fake: Fake) -> list[Finding]:
    """Return the findings of a run, the details of single curves among them."""
    if not fake.findings:
        return []
    findings = _claims() if set(LEVELS) <= set(fake.levels) else []
    for level in fake.levels:
        for component in fake.components:
            for method in fake.methods:
                findings += _of_curve(fake, level, component, method)
    return findings


def _claims() -> list[Finding]:
    return [
        Finding(
            finding="order",
            level="item,relation,analogy",
            component="resid",
            method="ridge",
            statement="Items peak before relations, and relations before analogies (residual stream, ridge).",
            estimate=0.27,
            lo=0.18,
            hi=0.35,
            p=0.002,
            null="bootstrap over groups, 1000 draws",
            verdict="supported",
            n=480,
        ),
        Finding(
            finding="second peak",
            level="analogy",
            component="resid",
            method="ridge",
            statement="Analogies have no second peak in the residual stream.",
            estimate=0.01,
            lo=-0.02,
            hi=0.04,
            p=0.61,
            null="smooth single-hump curves with the same noise",
            verdict="not supported",
            n=480,
        ),
        Finding(
            finding="coordination",
            level="all",
            component="attn",
            method="ridge",
            statement="Coordination of neighbouring attention layers: no difference from independent noise detected.",
            estimate=-0.46,
            lo=-0.58,
            hi=-0.33,
            p=0.34,
            null="lag-1 correlation of -0.5 expected from noise",
            verdict="inconclusive",
            n=480,
        ),
    ]


def _of_curve(fake: Fake, level: str, component: str, method: str) -> list[Finding]:
    """Return the peak and the decline of one curve."""
    centre = HUMPS.get(level, OTHER_HUMP).centre
    peak, name, place = round(centre * fake.layers), fake.name(level), f"{PLACES[component]}, {method}"
    curve = {"level": name, "component": component, "method": method, "n": 480}
    return [
        Finding(
            **curve,
            finding="peak",
            statement=f"{name.capitalize()} decodes best at layer {peak} of {fake.layers} ({place}).",
            estimate=centre,
            lo=centre - 0.04,
            hi=centre + 0.06,
            p=0.0099,
            null="100 label shuffles within folds, maximum over layers",
            verdict="supported",
        ),
        Finding(
            **curve,
            finding="decline",
            statement=f"{name.capitalize()} declines from its peak to the last layer ({place}).",
            estimate=0.12,
            lo=0.08,
            hi=0.16,
            p=0.0004,
            null="bootstrap over groups, 1000 draws",
            verdict="supported",
        ),
    ]


def _manifest(fake: Fake) -> dict[str, Any]:
    spec = RunSpec().model_dump(mode="json")
    stages = {"capture": 12.4, "probe": 48.1, "analysis": 3.2}
    return {
        "format": 1,
        "status": "complete",
        "spec": spec,
        "spec_hash": hash_of(spec),
        "model": _model(fake),
        "versions": {"python": "3.11.2", "torch": "2.9.1", "transformers": "5.23.0", "layeratlas": "0.1.0"},
        "machine": {"system": "Linux", "processor": "x86_64", "cores": 8, "memory_gb": 31.2},
        "shuffles": {"ridge": 100, "svm": 40},
        "seeds": {"folds": 0, "shuffles": 1, "bootstrap": 2},
        "datasets": [_dataset(fake, level, task) for level in fake.levels for task in _tasks(level)],
        "stages": {name: {"seconds": seconds, "peak_memory_mb": 890.0} for name, seconds in stages.items()},
        **({"words": WORDS} if fake.words else {}),
    }


def _model(fake: Fake) -> dict[str, Any]:
    errors = {"residual sum": 2.1e-7, "logits": 4.0e-7, "packing": 6.3e-6}
    limit = 1e-4
    return {
        "id": "smollm2-135m",
        "name": fake.model,
        "family": "llama",
        "revision": "2a4f9c1",
        "layers": fake.layers,
        "width": 576,
        "parameters": 134_515_008,
        "vocabulary": 49152,
        "context": 8192,
        "dtype": "float32",
        "attention": "sdpa",
        "bos": "<|im_start|>",
        "quantisation": None,
        "device": "cpu",
        "files": {"model.gguf": "sha256:" + "ab12" * 16},
        "tokenizer_hash": "9f" * 8,
        "identities": [
            {"name": name, "error": error, "limit": limit, "passed": error < limit} for name, error in errors.items()
        ],
    }


def _dataset(fake: Fake, level: str, task: str) -> dict[str, Any]:
    return {
        "name": fake.name(task),
        "level": fake.name(level),
        "kind": "number" if fake.numbers else "classes",
        "n": 640,
        "n_groups": 160,
        "classes": {} if fake.numbers else {"no": 320, "yes": 320},
        "hash": hash_of([level, task]),
        "tokens": {"mean": 4.2, "max": 9},
    }
