"""The stages of a study that probes labelled texts: capture, probe, analyse, report.

Each stage reads and writes only the run's folder and returns the files it made. What needs torch is imported where
it is used: a misspelt flag, or a run that is already complete, does not wait for it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from layeratlas.core import registry
from layeratlas.core.arrays import FloatArray
from layeratlas.core.errors import StoreError
from layeratlas.core.spec import Spec
from layeratlas.data.items import Dataset
from layeratlas.probes import Design, Probed, layer_bits, make_design, probe_layer, surface_baseline
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.curves import Curve, level_curve
from layeratlas.stats.resampling import Resampler
from layeratlas.store import Store
from layeratlas.store.shards import load_shard, read_shard, write_shard
from layeratlas.studies.hierarchy.capturing import ACTIVATIONS, capture_stage
from layeratlas.studies.hierarchy.curves import task_curves
from layeratlas.studies.hierarchy.description import compression_curve

if TYPE_CHECKING:
    from layeratlas.store import DiskStore

_MANY = 1500


class ProbingSettings(Spec):
    """What `--set` may say to a study that probes: `mdl` adds description lengths, several times a probe's cost."""

    mdl: bool = False


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
    coded = work.settings.mdl and design.classes > 0
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
    for data in work.material if work.settings.mdl else ():
        design = make_design(data, work.spec.probe, work.spec.seed)
        for component in work.spec.capture.components if design.classes else ():
            found, _ = load_shard(work.folder / _scores(data, component), work.key)
            bits, fake = found["bits"], found["bits.shuffled"]
            curves.append(compression_curve(design, component, bits, fake, samplers[data.level]))
    return curves


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
