"""The stages of a study that probes labelled texts: capture, probe, analyse, report.

Each stage reads and writes only the run's folder and returns the files it made. What needs torch is imported where
it is used: a misspelt flag, or a run that is already complete, does not wait for it.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from layeratlas import registry
from layeratlas.analysis.curves import Curve, Resampler, level_curve, task_curves
from layeratlas.analysis.description import compression_curve, layer_bits
from layeratlas.analysis.sweep import Design, Probed, make_design, probe_layer, surface_baseline
from layeratlas.contracts import FloatArray, Store
from layeratlas.errors import CaptureError, StoreError
from layeratlas.files import write_atomic
from layeratlas.records import CURVE_KEYS, CURVE_VALUES, Dataset, Item
from layeratlas.spec import Spec
from layeratlas.studies._plan import describe
from layeratlas.studies._shards import load_shard, read_shard, write_shard
from layeratlas.workspace import StageFunction, Workspace

if TYPE_CHECKING:
    from layeratlas.capture import Reading
    from layeratlas.store import DiskStore

__all__ = ["StageFunction"]
ACTIVATIONS = "activations"
_MANY = 1500


class ProbingSettings(Spec):
    """What `--set` may say to a study that probes: `mdl` adds description lengths, several times a probe's cost."""

    mdl: bool = False


def capture_stage(work: Workspace) -> list[str]:
    """Tokenise every distinct text once, run it through the model and keep its vectors."""
    where, model = work.spec.capture.position, work.model

    from layeratlas.capture import Reading, capture, choose_plan, store_key, store_shape
    from layeratlas.capture.plan import positions_of
    from layeratlas.store import DiskStore

    rows: dict[tuple[str, str], int] = {}
    readings: list[Reading] = []
    names: list[str] = []
    for data in work.material:
        for number, item in enumerate(data.items, 1):
            if _row_key(item) not in rows:
                rows[_row_key(item)] = len(readings)
                names.append(f"{data.source or data.name}, text {number}")
                ids, offsets = _encode(work, item.text)
                if model.context and len(ids) > model.context:
                    raise CaptureError(
                        f"{names[-1]} has {len(ids)} tokens",
                        f"at most {model.context}, the context of {model.info['name']}",
                        "shorten or drop it",
                    )
                readings.append(Reading(tuple(ids), positions_of(where, offsets, item.spans)))
    outputs = []
    for data in work.material:
        at = [rows[_row_key(item)] for item in data.items]
        outputs.append(write_items(work, data, at, [len(readings[row].ids) for row in at]))
    shape = store_shape(model, len(readings), work.spec.capture)
    key = store_key(model, readings, work.spec.capture)
    store = DiskStore(work.folder / ACTIVATIONS, shape, key, work.spec.capture.dtype)
    store.check_space()
    packing = choose_plan(model, readings, work.spec.capture)
    work.manifest["capture"] = packing.record()
    if not store.finished():
        work.progress.note(describe(work, packing, shape))
    capture(model, packing.batches, store, work.progress, packing.form, names)
    return outputs


def _encode(work: Workspace, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    # Only a named span needs characters, which not every tokenizer gives.
    if work.spec.capture.position.startswith("span:"):
        return work.model.encode_with_offsets(text)
    ids = work.model.encode(text)
    return ids, [(0, 0)] * len(ids)


def _row_key(item: Item) -> tuple[str, str]:
    return item.text, json.dumps(item.spans, sort_keys=True)


def write_items(work: Workspace, data: Dataset, at: Sequence[int], tokens: Sequence[int]) -> str:
    """Write a data set's items with the row of their vectors and their token counts; note it in `run.json`."""
    frame = pl.DataFrame(
        {
            "task": data.name,
            "level": data.level,
            "text": data.texts,
            "label": [item.label for item in data.items],
            "group": [item.group for item in data.items],
            "stratum": data.strata,
            "spans": [json.dumps(item.spans) for item in data.items],
            "row": at,
            "tokens": tokens,
        }
    )
    name = f"items/{data.name}.parquet"
    write_table(work, name, frame)
    counts = {str(c): int((data.y == i).sum()) for i, c in enumerate(data.classes)}
    record = {"name": data.name, "level": data.level, "kind": data.kind, "n": len(tokens), "classes": counts}
    record |= {"n_groups": int(data.groups.max()) + 1, "tokens": {"mean": float(np.mean(tokens)), "max": max(tokens)}}
    others = [d for d in work.manifest["datasets"] if d["name"] != data.name]
    work.manifest["datasets"] = [*others, record]
    return name


def write_table(work: Workspace, name: str, frame: pl.DataFrame) -> None:
    """Write a Parquet file of the run atomically."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    write_atomic(work.folder / name, buffer.getvalue())


def probe_stage(work: Workspace) -> list[str]:
    """Probe every data set at every layer; a file per data set and component, so little is lost by a stop."""
    store = _whole_store(work)
    asked = work.spec.probe.shuffles
    work.manifest["shuffles"] = {m: registry.get("probes", m).shuffles(asked) for m in work.spec.probe.methods}
    cells = [(data, c) for data in work.material for c in work.spec.capture.components]
    total = sum(len(data.items) * store.shape.points[c] for data, c in cells)
    outputs = []
    with work.progress.stage("probe", total) as step, threadpool_limits(1):
        for data in work.material:
            design = make_design(data, work.spec.probe, work.spec.seed)
            for component in work.spec.capture.components:
                name = _scores(data, component)
                if read_shard(work.folder / name, work.key) is None:
                    for _ in _probe_component(work, store, design, component, name):
                        step.advance(len(data.items))
                else:
                    step.advance(len(data.items) * store.shape.points[component])
                outputs.append(name)
    return outputs


def _scores(data: Dataset, component: str) -> str:
    return f"scores/{data.name}.{component}.safetensors"


def _whole_store(work: Workspace) -> DiskStore:
    """Open the activations; what was lost or damaged since they were captured is captured again."""
    from layeratlas.store import DiskStore

    folder = work.folder / ACTIVATIONS
    with contextlib.suppress(StoreError):
        store = DiskStore.open(folder)
        if store.complete():
            return store
    capture_stage(work)
    return DiskStore.open(folder)


def _probe_component(work: Workspace, store: Store, design: Design, component: str, name: str) -> Iterator[None]:
    items = pl.read_parquet(work.folder / f"items/{design.data.name}.parquet", columns=["row", "tokens"])
    rows, methods = items["row"].to_numpy(), methods_for(work, design.data)

    layers = range(store.shape.points[component])
    coded = settings_of(work).mdl and design.classes > 0
    seed = work.spec.seed if coded else None
    jobs = (delayed(_probe_one)(store.read(component, layer)[rows], design, methods, seed) for layer in layers)
    # Probes of a few hundred texts are many small steps of Python, which threads would take in turns; starting
    # processes costs seconds.
    backend = "loky" if len(rows) * len(layers) > _MANY else "threading"
    results = []
    for result in Parallel(n_jobs=os.cpu_count() or 1, backend=backend, return_as="generator")(jobs):
        results.append(result)
        yield
    tensors = {}
    for i, method in enumerate(methods):
        tensors[f"{method}.scores"] = np.stack([r[i][0] for r in results])
        tensors[f"{method}.shuffled"] = np.stack([r[i][1] for r in results])
    if coded:
        tensors["bits"], tensors["bits.shuffled"] = (np.stack([r[-1][i] for r in results]) for i in (0, 1))
    baseline = surface_baseline(design, items["tokens"].to_list())
    write_shard(work.folder / name, work.key, tensors, baseline)


def _probe_one(
    x: FloatArray, design: Design, methods: list[str], seed: int | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return each method's scores and shuffled measures; with a seed, bits per label and those of shuffles at last."""
    wide = x.astype(np.float64)
    found = [(f.scores, f.shuffled) for f in probe_layer(wide, design, methods)]
    return found if seed is None else [*found, layer_bits(wide, design, seed)]


def methods_for(work: Workspace, data: Dataset) -> list[str]:
    """Return the run's probes that fit a data set: numbers need one that predicts numbers."""
    return [m for m in work.spec.probe.methods if data.kind == "classes" or registry.get("probes", m).numbers]


def load_probed(work: Workspace) -> Iterator[Probed]:
    """Yield every probed component of every data set."""
    for data in work.material:
        design = make_design(data, work.spec.probe, work.spec.seed)
        for component in work.spec.capture.components:
            found, baseline = load_shard(work.folder / _scores(data, component), work.key)
            for method in methods_for(work, data):
                scores, shuffled = (found[f"{method}.{part}"] for part in ("scores", "shuffled"))
                yield Probed(design, component, method, scores, shuffled, baseline)


def _code_curves(work: Workspace, samplers: Mapping[str, Resampler]) -> list[Curve]:
    """Return the compression of every data set of classes, where description lengths were asked for."""
    curves = []
    for data in work.material if settings_of(work).mdl else ():
        design = make_design(data, work.spec.probe, work.spec.seed)
        for component in work.spec.capture.components if design.classes else ():
            found, _ = load_shard(work.folder / _scores(data, component), work.key)
            bits, fake = found["bits"], found["bits.shuffled"]
            curves.append(compression_curve(design, component, bits, fake, samplers[data.level]))
    return curves


def settings_of(work: Workspace) -> ProbingSettings:
    """Return the run's settings of the study."""
    return ProbingSettings(**work.spec.settings)


def all_curves(work: Workspace) -> list[Curve]:
    """Return every task's curves and, as task `all`, the mean of each level's tasks that share a measure."""
    levels = list(dict.fromkeys(data.level for data in work.material))
    groups = {lv: [i.group for d in work.material if d.level == lv for i in d.items] for lv in levels}
    seeds = {level: work.spec.seed + i for i, level in enumerate(levels)}
    samplers = {lv: Resampler(groups[lv], work.spec.probe.bootstrap, seeds[lv]) for lv in levels}
    probed = list(load_probed(work))
    curves: list[Curve] = []
    with work.progress.stage("analyse", len(probed)) as step:
        for one in probed:
            curves += task_curves(one, samplers[one.design.data.level])
            step.advance()
    curves += _code_curves(work, samplers)
    together: dict[tuple[str, str, str, str], list[Curve]] = {}
    for curve in curves:
        if curve.stratum == "all":
            together.setdefault((curve.level, curve.component, curve.method, curve.metric), []).append(curve)
    return [level_curve(same, len(set(groups[key[0]]))) for key, same in together.items()] + curves


def curve_table(work: Workspace, curves: list[Curve]) -> pl.DataFrame:
    """Return the tidy table, one row per curve and layer."""
    parts = []
    for c in curves:
        lo, hi = c.interval
        control_lo, control_hi = np.percentile(c.shuffles, [2.5, 97.5], axis=0)
        columns = {
            "model": work.manifest["model"]["name"], "study": work.spec.study, "level": c.level, "task": c.task,
            "stratum": c.stratum, "component": c.component, "layer": np.arange(len(lo)), "depth": c.depth,
            "method": c.method, "metric": c.metric, "estimate": c.estimate, "lo": lo, "hi": hi, "chance": c.chance,
            "control": c.shuffles.mean(0), "control_lo": control_lo, "control_hi": control_hi,
            "baseline": None if np.isnan(c.baseline) else c.baseline, "n": c.n, "n_groups": c.n_groups,
        }  # fmt: skip
        parts.append(pl.DataFrame(columns, schema_overrides={"baseline": pl.Float64}))
    return pl.concat(parts).select(*CURVE_KEYS, *CURVE_VALUES)


def report_stage(work: Workspace) -> list[str]:
    """Build the report from the tables."""
    from layeratlas import report

    with work.progress.stage("report", 1) as step:
        report.build(work.folder)
        step.advance()
    return ["report.html", "figures"]
