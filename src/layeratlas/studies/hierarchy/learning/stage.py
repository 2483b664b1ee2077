"""Learning curves of the peak layer and the last one: accuracy by number of training texts and of dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.core.processes import parallel
from layeratlas.data.items import Dataset
from layeratlas.probes import Design, dimension_scores, subset_scores, training_of
from layeratlas.runs.tables import has_part, read_table, write_part, write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.intervals import percentile_interval, widened
from layeratlas.stats.learning import forecast
from layeratlas.stats.measures import chance, measures_for
from layeratlas.stats.resampling import Resampler
from layeratlas.store import Store
from layeratlas.store.shards import load_shard
from layeratlas.studies.hierarchy.designs import designs_of, methods_for, small_sets
from layeratlas.studies.hierarchy.names import FORECASTS, LEARNING, RESIDUAL
from layeratlas.studies.hierarchy.optional import is_wanted
from layeratlas.studies.hierarchy.probing import rows_of, scores_file, whole_store

# Shares of the training groups, the number of draws of each, and the numbers of principal components.
SHARES = (1 / 8, 1 / 4, 1 / 2, 3 / 4, 1.0)
_DRAWS = 3
_DIMENSIONS = (2, 8, 32, 128)
_BOOTSTRAP = 300
# The repeats of the cross-validation that are read: two show how much training moves the scores, one does not.
_REPEATS = 2
# The fewest sizes to which a power law is fitted; it has three parameters.
_FEWEST_SIZES = 4


class Role(StrEnum):
    """Why a layer has a learning curve."""

    PEAK = "peak layer"
    LAST = "last layer"


class Axis(StrEnum):
    """The horizontal axis of a learning curve."""

    TEXTS = "training texts"
    DIMENSIONS = "dimensions"


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """One layer's measure (S,) and its draws (B, S) over training sizes, and over numbers of dimensions."""

    design: Design
    layer: int
    role: Role
    axis: Axis
    metric: str
    sizes: Floats
    values: Floats
    draws: Floats


def learning_stage(work: Workspace) -> list[str]:
    """Measure the learning curves of all but large data sets at the peak and last layer; forecast with more texts."""
    sets = small_sets(work) if is_wanted(work, "learning_curves") else []
    if not sets:
        return []
    store = whole_store(work)
    with work.progress.stage("learning curves", len(sets)) as step, threadpool_limits(1):
        for data in sets:
            name = _part(data)
            if not has_part(work, name):
                curves = list(_curves(work, store, data))
                write_part(work, name, _point_table(curves))
                write_part(work, _forecast_part(data), _forecast_table(curves))
            step.advance()
    names = [_part(data) for data in sets]
    write_table(work, LEARNING, pl.concat([read_table(work.folder / name) for name in names]))
    write_table(work, FORECASTS, pl.concat([read_table(work.folder / _forecast_part(data)) for data in sets]))
    return [LEARNING, FORECASTS]


def _part(data: Dataset) -> str:
    return f"learning/{data.name}.parquet"


def _forecast_part(data: Dataset) -> str:
    return f"learning/{data.name}.forecast.parquet"


def _curves(work: Workspace, store: Store, data: Dataset) -> Iterator[LearningCurve]:
    """Yield a data set's learning curves, by its first probe."""
    design = next(design for design in designs_of(work) if design.data.name == data.name)
    method = methods_for(work, data)[0]
    rows = rows_of(work, data)
    tensors, _ = load_shard(work.folder / scores_file(data, RESIDUAL), work.key)
    own = tensors[f"{method}.scores"]
    layers = _layers(own, design)
    distinct = list(dict.fromkeys(layers.values()))
    jobs = (
        (store.read_layers(RESIDUAL, [at], rows)[0], design, method, work.spec.seed, own[at][:_REPEATS])
        for at in distinct
    )
    scores = dict(zip(distinct, parallel(_score_layer, jobs, processes=False), strict=True))
    for role, layer in layers.items():
        for axis, points in scores[layer].items():
            if not points:  # too few groups for any share
                continue
            yield _measured(work, design, layer, role, axis, points)


def _layers(scores: Floats, design: Design) -> dict[Role, int]:
    """Return the layer at which a data set decodes best, from scores (P, repeats, n, k), and the last layer."""
    measure = next(iter(measures_for(design.data.kind, design.classes).values()))
    values = measure(scores, design.y, np.ones((1, len(design.y)))).mean(-1)[0]
    return {Role.PEAK: int(values.argmax()), Role.LAST: len(values) - 1}


def _score_layer(
    x: FloatArray, design: Design, method: str, seed: int, whole: Floats
) -> dict[Axis, dict[float, Floats]]:
    """Return the scores (draws, n, k) of a layer by number of training texts and by number of dimensions.

    `whole` (repeats, n, k) are the scores with all training texts and dimensions, which the run has already.
    """
    wide = x.astype(np.float64)
    per_fold = np.mean([len(fold.train) for fold in design.folds if fold.repeat == 0])
    by_texts = {
        round(share * per_fold): whole if share == 1 else subset_scores(wide, design, method, share, _DRAWS, seed)
        for share in SHARES
    }
    by_dimension = dimension_scores(wide, design, method, _DIMENSIONS, _REPEATS)
    points = {float(number): scores for number, scores in by_dimension.items()}
    return {
        Axis.TEXTS: {float(n): scores for n, scores in by_texts.items() if scores is not None},
        Axis.DIMENSIONS: points | {float(x.shape[1]): whole},
    }


def _measured(
    work: Workspace, design: Design, layer: int, role: Role, axis: Axis, points: dict[float, Floats]
) -> LearningCurve:
    """Return the measure at every point, with a bootstrap over the test groups."""
    metric, measure = next(iter(measures_for(design.data.kind, design.classes).items()))
    names = [item.group for item in design.data.items]
    weights = Resampler(names, _BOOTSTRAP, work.spec.seed, halves=1).weights(names, halves=False)
    values = np.stack([measure(scores, design.y, weights).mean(-1) for scores in points.values()], -1)
    values = np.where(np.isfinite(values), values, values[:1])
    times = _training(axis, points, design)
    return LearningCurve(
        design=design,
        layer=layer,
        role=role,
        axis=axis,
        metric=metric,
        sizes=np.array(list(points)),
        values=values[0],
        draws=widened(values[0], values[1:], len(set(names)), times=times, most=1.0),
    )


def _training(axis: Axis, points: dict[float, Floats], design: Design) -> Floats:
    """Return what training adds to the spread of each point, (S,), as a factor.

    Over texts it is that of the point with all texts: the others draw subsets, which are not repeats. Over dimensions
    each point has its own: a probe of two dimensions hardly depends on its training texts.
    """
    shown = [points[max(points)]] * len(points) if axis is Axis.TEXTS else list(points.values())
    return np.array([training_of(scores, design) for scores in shown], float)


_LABEL_SCHEMA = {
    "level": pl.String,
    "task": pl.String,
    "role": pl.String,
    "layer": pl.Int64,
    "metric": pl.String,
    "chance": pl.Float64,
}
_POINT_SCHEMA = _LABEL_SCHEMA | {
    "axis": pl.String,
    "size": pl.Float64,
    "estimate": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
}


def _point_table(curves: list[LearningCurve]) -> pl.DataFrame:
    empty = pl.DataFrame(schema=_POINT_SCHEMA)
    return pl.concat([empty, *(_points(curve) for curve in curves)])


def _points(curve: LearningCurve) -> pl.DataFrame:
    lo, hi = percentile_interval(curve.draws)
    return pl.DataFrame(
        {
            **_labels(curve),
            "axis": curve.axis.value,
            "size": curve.sizes,
            "estimate": curve.values,
            "lo": lo,
            "hi": hi,
        },
        schema=_POINT_SCHEMA,
    )


def _labels(curve: LearningCurve) -> dict[str, object]:
    data, design = curve.design.data, curve.design
    return {
        "level": data.level,
        "task": data.name,
        "role": curve.role.value,
        "layer": curve.layer,
        "metric": curve.metric,
        "chance": chance(curve.metric, design.y),
    }


_FORECAST_SCHEMA = _LABEL_SCHEMA | {
    "texts": pl.Float64,
    "estimate": pl.Float64,
    "asymptote": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "needed": pl.Float64,
    "needed_lo": pl.Float64,
    "needed_hi": pl.Float64,
    "reading": pl.String,
}


def _forecast_table(curves: list[LearningCurve]) -> pl.DataFrame:
    """Return one row per learning curve over texts that has enough sizes."""
    rows = []
    for curve in curves:
        if curve.axis is Axis.TEXTS and len(curve.sizes) >= _FEWEST_SIZES:
            labels = _labels(curve)
            ahead = forecast(curve.sizes, curve.values, curve.draws, chance(curve.metric, curve.design.y))
            rows.append(labels | {"texts": curve.sizes[-1], "estimate": curve.values[-1]} | asdict(ahead))
    return pl.DataFrame(rows, schema=_FORECAST_SCHEMA)
