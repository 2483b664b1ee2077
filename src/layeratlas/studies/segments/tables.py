"""The tables of a segments run: every signal by layer, what was found, and how alike the layers are."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.core.files import read_json
from layeratlas.metrics import SetMetric, Signal
from layeratlas.metrics.lens import settle_depth
from layeratlas.runs.draws import write_draws
from layeratlas.runs.finding import FINDING_COLUMNS, Finding
from layeratlas.runs.tables import CURVE_KEYS, CURVE_VALUES, write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.jackknife import jackknife
from layeratlas.store.shards import Tensors
from layeratlas.studies.segments import measuring
from layeratlas.studies.segments.findings import LEVEL, METHOD, segment_findings
from layeratlas.studies.segments.intervention.tables import edit_tables
from layeratlas.studies.segments.perturbation.brittleness import Brittleness, curve_rows, segment_rows
from layeratlas.studies.segments.perturbation.findings import brittleness_findings
from layeratlas.studies.segments.perturbation.stage import read_effects
from layeratlas.studies.segments.segmenting import FILE, signals_of

MAP = "similarity.parquet"
BRITTLE = "brittleness.parquet"
_DRAWS = 1000
_NUMBERS = [name for name in CURVE_VALUES if name not in ("n", "n_groups")]


def analyse_stage(work: Workspace) -> list[str]:
    """Write the curves, the findings and the map of similarities."""
    trained, plain = measuring.values_of(work, "trained"), measuring.values_of(work, "untrained")
    missing = set(work.manifest["segments"]["missing"])
    rows = []
    with work.progress.stage("analyse", len(signals_of()) + len(measuring.metrics_of()[1])) as step:
        for signal in signals_of().values():
            if signal.name in trained and signal.name not in missing:
                control = plain.get(signal.name)
                rows.append(_signal_rows(signal, trained[signal.name], control, work.spec.seed))
            step.advance()
        vectors = {"means": trained["means"], "tokens": trained["tokens"]} | measuring.values_of(work, "views")
        for metric in measuring.metrics_of()[1]:
            if metric.reads in vectors:
                rows += _set_rows(metric, vectors[metric.reads], work.spec.seed)
            step.advance()
    named: dict[str, Any] = {"model": pl.lit(work.manifest["model"]["name"]), "study": pl.lit(work.spec.study)}
    effects = read_effects(work)
    brittle = Brittleness(effects, work.spec.seed) if effects else None
    if brittle:
        rows.append(pl.DataFrame(curve_rows(brittle)).with_columns(pl.col(_NUMBERS).cast(pl.Float64)))
    curves = pl.concat(rows, how="diagonal_relaxed").with_columns(**named).select(*CURVE_KEYS, *CURVE_VALUES)
    write_table(work, "curves.parquet", curves)
    found = segment_findings(read_json(work.folder / FILE)) + _settling(trained, missing, work.spec.seed)
    found += brittleness_findings(brittle) if brittle else []
    tables, said = edit_tables(work)
    found += said
    findings = pl.DataFrame([asdict(f) for f in found]).with_columns(**named).select(FINDING_COLUMNS)
    write_table(work, "findings.parquet", findings)
    write_table(work, MAP, _map(trained["cka"]))
    if brittle:
        write_table(work, BRITTLE, pl.DataFrame(segment_rows(brittle)))
    spans = brittle.effects.segments.items() if brittle else ()
    # Every model is perturbed on the same passages, resampled alike, so that differences between models are paired.
    drawn = {f"brittleness {name}": brittle.measured(*span).draws for name, span in spans} if brittle else {}
    kept = write_draws(work.folder, [], drawn)
    return ["curves.parquet", "findings.parquet", MAP, *([BRITTLE] if brittle else []), *tables, kept]


def _signal_rows(signal: Signal, values: Floats, control: Floats | None, seed: int) -> pl.DataFrame:
    estimates = (values.mean(0), *_interval(values, seed))
    nothing = np.full(values.shape[1], np.nan)
    controls = (nothing,) * 3 if control is None else (control.mean(0), *_interval(control, seed))
    return _rows(signal, estimates, controls, len(values))


def _interval(values: Floats, seed: int) -> tuple[Floats, Floats]:
    """Return the 95 % percentile interval of the mean over passages."""
    random, n = np.random.default_rng(seed), len(values)
    weights = random.multinomial(n, np.full(n, 1 / n), size=_DRAWS) / n
    lo, hi = np.percentile(weights @ values, [2.5, 97.5], axis=0)
    return lo, hi


def _set_rows(metric: SetMetric, vectors: FloatArray, seed: int) -> list[pl.DataFrame]:
    names = [signal.name for signal in metric.signals]

    def measure(rows: NDArray[np.int64]) -> Floats:
        found = metric.measure(vectors[rows], seed)
        return np.stack([found[name] for name in names])

    value, lo, hi = jackknife(measure, len(vectors))
    nothing = np.full(vectors.shape[2], np.nan)
    return [
        _rows(signal, (value[i], lo[i], hi[i]), (nothing,) * 3, len(vectors)) for i, signal in enumerate(metric.signals)
    ]


def _rows(signal: Signal, estimate: tuple[Floats, ...], control: tuple[Floats, ...], n: int) -> pl.DataFrame:
    """Return a signal's rows; an edge stands at the point that it leads to."""
    points = len(estimate[0])
    first = int(signal.axis == "edge")
    layer = np.arange(points) + first
    last = layer[-1] + (signal.axis == "block")
    columns: dict[str, Any] = {
        "level": signal.group, "task": signal.name, "stratum": "all",
        "component": "attn" if signal.axis == "block" else "resid",
        "layer": layer, "depth": (layer + (signal.axis == "block")) / last, "method": METHOD, "metric": signal.name,
        "estimate": estimate[0], "lo": estimate[1], "hi": estimate[2], "chance": np.full(points, signal.null),
        "control": control[0], "control_lo": control[1], "control_hi": control[2],
        "baseline": None, "n": n, "n_groups": n,
    }  # fmt: skip
    return pl.DataFrame(columns).with_columns(pl.col(_NUMBERS).cast(pl.Float64))


def _settling(found: Tensors, missing: set[str], seed: int) -> list[Finding]:
    if "settled" not in found or "settled" in missing:
        return []
    depth = settle_depth(found["settled"])
    lo, hi = (float(x[0]) for x in _interval(depth[:, None], seed))
    said = (
        f"On average the most likely next token is settled at {depth.mean():.2f} of the depth, read by the logit lens."
    )
    return [
        Finding(
            "settle depth", LEVEL, "resid", METHOD, said, float(depth.mean()), lo, hi, float("nan"),
            "settled only at the last layer (depth 1)", "supported" if hi < 1 else "not supported", len(depth),
        )
    ]  # fmt: skip


def _map(cka: FloatArray) -> pl.DataFrame:
    """Return the mean CKA of every pair of points, a row a pair."""
    mean = cka.mean(0, dtype=np.float64)
    one, two = np.indices(mean.shape)
    return pl.DataFrame({"layer": one.ravel(), "other": two.ravel(), "cka": mean.ravel()})
