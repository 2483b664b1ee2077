"""The stage that probes every layer at every place of a text, with intervals and shuffled labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from layeratlas.core.arrays import Floats, Ints
from layeratlas.core.spec import ProbeSpec, hash_of
from layeratlas.data.items import Dataset
from layeratlas.probes import Design, Probed, make_design
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.curves import Curve
from layeratlas.stats.measures import measures_for
from layeratlas.stats.peaks import find_peak
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.shuffling import shuffle_maxima, shuffle_p
from layeratlas.stats.tests import holm
from layeratlas.store import MemoryStore
from layeratlas.store.shards import load_shard, read_shard, write_shard
from layeratlas.studies.hierarchy.controls.random_weights import short_sets
from layeratlas.studies.hierarchy.curves import task_curves
from layeratlas.studies.hierarchy.designs import methods_for
from layeratlas.studies.hierarchy.layers import Probing, probed_layers
from layeratlas.studies.hierarchy.names import POSITIONS, RESIDUAL
from layeratlas.studies.hierarchy.positions.places import PlaceRead, places_of
from layeratlas.studies.hierarchy.robustness.parts import part_of

# The most texts per data set and points of the stream, and the shuffles (a fifth for probes whose shuffles are costly).
_MOST_TEXTS, _MOST_POINTS, _SHUFFLES = 240, 16, 400
# The most numbers, over all vectors, that are in memory at once.
_MOST_NUMBERS = 2e8
_SCORES, _SHUFFLED = "scores", "shuffled"
# The version of the scores' files, which hold the order of the places.
_FORMAT = 2


def positions_stage(work: Workspace) -> list[str]:
    """Probe the residual stream at every place of every short data set, and keep the map."""
    if not work.settings.positions or RESIDUAL not in work.spec.capture.components:
        return []
    sets = [part_of(data, _MOST_TEXTS, work.spec.probe, work.spec.seed) for data in short_sets(work)]
    files, tables = [], []
    with work.progress.stage("positions", len(sets)) as step, threadpool_limits(1):
        for data in sets:
            design = make_design(data, _probe_spec(work), work.spec.seed)
            if read_shard(work.folder / scores_file(data), _key(work)) is None:
                _probe_places(work, design)
            files.append(scores_file(data))
            tables.append(_table(work, design))
            step.advance()
    write_table(work, POSITIONS, pl.concat(tables) if tables else pl.DataFrame())
    return [POSITIONS, *files]


def scores_file(data: Dataset) -> str:
    """Return the file of a data set's scores at every place, in the run's folder."""
    return f"scores/{data.name}.positions.safetensors"


def _key(work: Workspace) -> str:
    return hash_of([work.key, _FORMAT])


def _probe_spec(work: Workspace) -> ProbeSpec:
    return work.spec.probe.model_copy(update={"repeats": 1, "shuffles": max(work.spec.probe.shuffles, _SHUFFLES)})


def layers_of(points: int) -> Ints:
    """Return the probed points of the stream: all, or 16 evenly spaced ones including the first and the last."""
    return np.unique(np.linspace(0, points - 1, min(points, _MOST_POINTS)).round()).astype(np.int64)


def _probe_places(work: Workspace, design: Design) -> None:
    """Write the out-of-fold scores of every place, with true and with shuffled labels."""
    method = methods_for(work, design.data)[0]
    design = replace(design, control_tasks=design.control_tasks[:0])
    tensors: dict[str, Floats] = {}
    names: list[list[str | bool]] = []
    for place, store, rows in _captured(work, places_of(work.model, design.data)):
        points = layers_of(store.shape.points[RESIDUAL])
        asked = Probing(
            store=store, component=RESIDUAL, rows=rows, design=design, methods=[method], only=points.tolist()
        )
        found = [result.scores[0] for result in probed_layers(work, asked)]
        tensors[f"{len(names)}.{_SCORES}"] = np.stack([one.scores for one in found])
        tensors[f"{len(names)}.{_SHUFFLED}"] = np.stack([one.shuffled for one in found])
        names.append([place.name, place.before])
    points_read = layers_of(work.model.anatomy.n_layers + 1).tolist()
    notes = {"places": names, "method": method, "layers": points_read, "last": work.model.anatomy.n_layers}
    write_shard(work.folder / scores_file(design.data), _key(work), tensors, notes)


def _captured(work: Workspace, places: Sequence[PlaceRead]) -> Iterator[tuple[PlaceRead, MemoryStore, Ints]]:
    """Run the texts through the model, for as many places at once as fit in memory; yield each place with its rows."""
    from layeratlas.capture import capture, choose_plan, store_shape

    model, spec = work.model, work.spec.capture.model_copy(update={"components": (RESIDUAL,)})
    size = len(places[0].readings) * (model.anatomy.n_layers + 1) * model.anatomy.width
    together = max(1, int(_MOST_NUMBERS // size))
    for first in range(0, len(places), together):
        part = places[first : first + together]
        readings = [reading for place in part for reading in place.readings]
        distinct = list(dict.fromkeys(readings))
        row_of = {reading: row for row, reading in enumerate(distinct)}
        store = MemoryStore(store_shape(model, len(distinct), spec))
        packing = choose_plan(model, distinct, spec)
        capture(model, packing.batches, store, form=packing.form)
        for place in part:
            yield place, store, np.array([row_of[reading] for reading in place.readings])


def _table(work: Workspace, design: Design) -> pl.DataFrame:
    """Return one row per place and point; `p` belongs to the place and is Holm-corrected over places."""
    data = design.data
    tensors, notes = load_shard(work.folder / scores_file(data), _key(work))
    sampler = Resampler([item.group for item in data.items], work.spec.probe.bootstrap, work.spec.seed)
    curves = [
        _curve(design, notes["method"], tensors[f"{i}.{_SCORES}"], tensors[f"{i}.{_SHUFFLED}"], sampler)
        for i in range(len(notes["places"]))
    ]
    ps = holm([_p_value(curve) for curve in curves])
    rows = [
        _rows(data, {"place": place, "order": i, "before": before, "p": ps[i]}, curve, notes)
        for i, ((place, before), curve) in enumerate(zip(notes["places"], curves, strict=True))
    ]
    return pl.concat(rows)


def _curve(design: Design, method: str, scores: Floats, shuffled: Floats, sampler: Resampler) -> Curve:
    """Return the curve of one place over all texts, by the main measure."""
    whole = replace(design, strata=design.strata[:1])
    baseline = dict.fromkeys(measures_for(design.data.kind, design.classes), float("nan"))
    probed = Probed(
        design=whole, component=RESIDUAL, method=method, scores=scores, shuffled=shuffled[:, :1], baseline=baseline
    )
    return task_curves(probed, sampler)[0]


def _p_value(curve: Curve) -> float:
    """Return p of the best point against the best points of the shuffles, as for a peak.

    Probes whose shuffles are costly have a fifth of them; the resolution below one in S is the same for all.
    """
    maxima = shuffle_maxima(curve.estimate, curve.shuffles)
    return shuffle_p(float(maxima[0]), maxima[1:])


def _rows(data: Dataset, about: Mapping[str, Any], curve: Curve, notes: Mapping[str, Any]) -> pl.DataFrame:
    """Return one row per point; `best`, `best_lo`, `best_hi` are the best point's value, measured on other groups."""
    peak = find_peak(curve)
    lo, hi = curve.interval
    layers = np.array(notes["layers"])
    best = {"best": peak.value, "best_lo": peak.lo, "best_hi": peak.hi, "best_layer": int(layers[peak.layer])}
    columns = {
        "level": data.level,
        "task": data.name,
        **about,
        **best,
        "method": notes["method"],
        "metric": curve.metric,
        "layer": layers,
        "depth": layers / max(notes["last"], 1),
        "estimate": curve.estimate,
        "lo": lo,
        "hi": hi,
        "chance": curve.chance,
        "control": curve.shuffles.mean(0),
        "control_hi": np.percentile(curve.shuffles, 97.5, axis=0),
        "n": curve.n,
        "n_groups": curve.n_groups,
    }
    return pl.DataFrame(columns)
