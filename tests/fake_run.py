"""A synthetic run folder: curves with known humps, findings about them and a manifest, without any model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.spec import RunSpec, hash_of
from layeratlas.runs.finding import FINDING_COLUMNS
from layeratlas.runs.tables import CURVE_KEYS, CURVE_VALUES

LEVELS: dict[str, dict[str, tuple[str, ...]]] = {
    "item": {"edible": (), "animal": (), "manmade": (), "large": ()},
    "relation": {"relations": ("place", "part", "tool", "food")},
    "analogy": {"analogies": ("place", "part", "tool")},
}
HUMPS = {"item": (0.2, 0.9, 0.16), "relation": (0.38, 0.78, 0.14), "analogy": (0.47, 0.7, 0.12)}
CLASS_METRICS = {"accuracy": (0.5, 0.0), "balanced_accuracy": (0.5, -0.01), "auroc": (0.5, 0.05)}
NUMBER_METRICS = {"spearman": (0.0, 0.0), "r2": (0.0, -0.1)}
HOSTILE = '<script>window.pwned=1</script> & "quotes" \'n </script> ends'
LONG = "a task whose name goes on for far longer than any axis, legend or table cell would like it to go on " * 2


@dataclass(frozen=True)
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
    seed: int = 0


def write_run(folder: Path, fake: Fake | None = None) -> Path:
    """Write run.json, curves.parquet and findings.parquet into `folder` and return it."""
    fake = fake or Fake()
    folder.mkdir(parents=True, exist_ok=True)
    curves = _curves(fake)
    curves.write_parquet(folder / "curves.parquet")
    _findings(fake).write_parquet(folder / "findings.parquet")
    (folder / "run.json").write_text(json.dumps(_manifest(fake), indent=1), encoding="utf-8")
    return folder


def _name(fake: Fake, name: str) -> str:
    return (fake.rename or {}).get(name, name)


def _tasks(level: str) -> dict[str, tuple[str, ...]]:
    return LEVELS.get(level, {"own": ()})


def _curve(rng: np.random.Generator, depth: np.ndarray, hump: tuple[float, float, float], part: str) -> np.ndarray:
    """Return accuracy-like values: a rise, a hump, a decline, and estimation noise."""
    centre, top, width = hump
    scale = {"resid": 1.0, "attn": 0.72, "mlp": 0.82}[part]
    width = np.where(depth < centre, width, 2.6 * width)
    shape = np.exp(-0.5 * ((depth - centre) / width) ** 2)
    return 0.5 + scale * (top - 0.5) * (0.25 + 0.75 * shape) + rng.normal(0, 0.008, depth.size)


def _one(
    fake: Fake, rng: np.random.Generator, key: tuple[str, str, str], n: int, metrics: dict[str, Any]
) -> pl.DataFrame:
    """Return the rows of one level, task and stratum over components, layers, methods and metrics."""
    level, task, stratum = key
    hump = HUMPS.get(level, (0.6, 0.8, 0.15))
    hump = (hump[0] + rng.normal(0, 0.03), hump[1] + rng.normal(0, 0.03), hump[2])
    frames = []
    for part in fake.components:
        points = np.arange(fake.layers + (part == "resid"))
        depth = (points + (part != "resid")) / fake.layers
        for method in fake.methods:
            base = _curve(rng, depth, hump, part)
            for metric, (chance, shift) in metrics.items():
                value = np.clip(base - 0.5 + chance + shift * (base - 0.5) * 2, -1, 0.995)
                half = 1.96 * np.sqrt(0.2 / n)
                control = chance + rng.normal(0, 0.004, depth.size)
                frames.append(
                    pl.DataFrame({
                        "model": fake.model, "study": "hierarchy", "level": _name(fake, level),
                        "task": _name(fake, task),
                        "stratum": _name(fake, stratum), "component": part, "layer": points, "depth": depth,
                        "method": method, "metric": metric, "estimate": value, "lo": value - half,
                        "hi": np.minimum(value + half, 1.0), "chance": chance, "control": control,
                        "control_lo": control - half, "control_hi": control + half,
                        "baseline": chance + 0.4 * (hump[1] - 0.5) if fake.baseline else None,
                        "n": n, "n_groups": n // 4,
                    })
                )  # fmt: skip
    return pl.concat(frames)


def _curves(fake: Fake) -> pl.DataFrame:
    rng = np.random.default_rng(fake.seed)
    metrics = NUMBER_METRICS if fake.numbers else CLASS_METRICS
    frames = []
    for level in fake.levels:
        tasks = _tasks(level)
        for task, strata in {"all": (), **tasks}.items():
            n = 640 if level == "item" else 480
            frames.append(_one(fake, rng, (level, task, "all"), n, metrics))
            frames += [_one(fake, rng, (level, task, part), n // 4, metrics) for part in strata]
    return pl.concat(frames).select(*CURVE_KEYS, *CURVE_VALUES).with_columns(pl.col("baseline").cast(pl.Float64))


def _findings(fake: Fake) -> pl.DataFrame:
    boot = "bootstrap over groups, 1000 draws"
    shuffled = "100 label shuffles within folds, maximum over layers"
    rows: list[tuple[Any, ...]] = []
    if set(LEVELS) <= set(fake.levels):
        rows += [
            ("order", "item,relation,analogy", "resid", "ridge",
             "Items peak before relations, and relations before analogies (residual stream, ridge).",
             0.27, 0.18, 0.35, 0.002, boot, "supported"),
            ("second_peak", "analogy", "resid", "ridge", "Analogies show no second peak in the residual stream.",
             0.01, -0.02, 0.04, 0.61, "smooth single-hump curves with the same noise", "not supported"),
            ("coordination", "all", "attn", "ridge",
             "Neighbouring attention layers cannot be told from independent estimation noise.",
             -0.46, -0.58, -0.33, 0.34, "lag-1 correlation of -0.5 expected from noise", "inconclusive"),
        ]  # fmt: skip
    for level in fake.levels:
        centre = HUMPS.get(level, (0.6, 0.8, 0.15))[0]
        peak, name = round(centre * fake.layers), _name(fake, level)
        for part in fake.components:
            for method in fake.methods:
                where = {"resid": "residual stream", "attn": "attention output", "mlp": "MLP output"}[part]
                rows += [
                    ("peak", name, part, method, f"{name.capitalize()} information peaks at layer {peak} of "
                     f"{fake.layers} (range {peak - 1} to {peak + 2}; {where}, {method}).",
                     centre, centre - 0.04, centre + 0.06, 0.0099, shuffled, "supported"),
                    ("decline", name, part, method, f"{name.capitalize()} information declines from its peak to the "
                     f"last layer ({where}, {method}).", 0.12, 0.08, 0.16, 0.0004, boot, "supported"),
                ]  # fmt: skip
    frame = pl.DataFrame(
        [(fake.model, "hierarchy", *row, 480) for row in (rows if fake.findings else [])],
        schema={
            name: pl.Float64 if name in ("estimate", "lo", "hi", "p") else pl.Int64 if name == "n" else pl.String
            for name in FINDING_COLUMNS
        },
        orient="row",
    )
    return frame


def _manifest(fake: Fake) -> dict[str, Any]:
    spec = RunSpec().model_dump(mode="json")
    identities = [
        ("residual sum", 2.1e-7, 1e-4, "resid[l+1] - resid[l] - attn[l] - mlp[l]"),
        ("logits", 4.0e-7, 1e-4, "final norm and unembedding of resid[L]"),
        ("packing", 6.3e-6, 1e-4, "a text alone equals the same text in a batch"),
    ]
    return {
        "format": 1,
        "status": "complete",
        "spec": spec,
        "spec_hash": hash_of(spec),
        "model": {
            "id": "smollm2-135m", "name": fake.model, "family": "llama", "revision": "2a4f9c1", "layers": fake.layers,
            "width": 576, "parameters": 134_515_008, "vocabulary": 49152, "context": 8192, "dtype": "float32",
            "attention": "sdpa", "bos": "<|im_start|>", "quantisation": None, "device": "cpu",
            "files": {"model.gguf": "sha256:" + "ab12" * 16}, "tokenizer_hash": "9f" * 8,
            "identities": [
                {"name": n, "error": e, "limit": limit, "passed": e < limit, "detail": d}
                for n, e, limit, d in identities
            ],
        },
        "versions": {"python": "3.11.2", "torch": "2.9.1", "transformers": "5.23.0", "layeratlas": "0.1.0"},
        "machine": {"system": "Linux", "processor": "x86_64", "cores": 8, "memory_gb": 31.2},
        "shuffles": {"ridge": 100, "svm": 40},
        "seeds": {"folds": 0, "shuffles": 1, "bootstrap": 2},
        "datasets": [
            {
                "name": _name(fake, task), "level": _name(fake, level), "kind": "number" if fake.numbers else "classes",
                "n": 640, "n_groups": 160, "classes": {} if fake.numbers else {"no": 320, "yes": 320},
                "hash": hash_of([level, task]), "tokens": {"mean": 4.2, "max": 9},
            }
            for level in fake.levels for task in _tasks(level)
        ],
        "stages": {
            "capture": {"seconds": 12.4, "peak_memory_mb": 1410.0},
            "probe": {"seconds": 48.1, "peak_memory_mb": 890.0},
            "analysis": {"seconds": 3.2, "peak_memory_mb": 410.0},
        },
    }  # fmt: skip


EDGE_CASES: dict[str, Fake] = {
    "plain": Fake(),
    "one_level": Fake(levels=("own",)),
    "numbers": Fake(levels=("own",), numbers=True, methods=("ridge",)),
    "no_baseline": Fake(baseline=False),
    "two_layers": Fake(layers=2),
    "eighty_layers": Fake(layers=80),
    "hostile": Fake(rename={"edible": HOSTILE, "item": HOSTILE, "place": HOSTILE}, model=HOSTILE),
    "long_names": Fake(rename={"edible": LONG, "item": LONG, "place": LONG}),
    "no_findings": Fake(findings=False),
}
"""Named run folders that a report must survive."""
