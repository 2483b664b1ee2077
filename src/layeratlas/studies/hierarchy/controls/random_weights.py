"""The random-weight control: the stage that probes a random-weight model on the same texts, and its curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from layeratlas.core.arrays import Floats
from layeratlas.core.spec import Size
from layeratlas.data.items import Dataset
from layeratlas.probes import Design, Probed, make_design, training_of, without_controls
from layeratlas.runs.random_weights import random_weight_model
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.curves import Curve, Reference, ReferenceKind
from layeratlas.stats.intervals import widened
from layeratlas.stats.measures import measures_for
from layeratlas.stats.resampling import Resampler, split_draws
from layeratlas.store import Store
from layeratlas.store.shards import load_shard, read_shard, write_shard
from layeratlas.studies.hierarchy.capturing import residual_vectors, tokens_of
from layeratlas.studies.hierarchy.layers import Probing, probed_layers
from layeratlas.studies.hierarchy.names import RESIDUAL, WHOLE
from layeratlas.studies.hierarchy.optional import is_wanted
from layeratlas.studies.hierarchy.probing import methods_for

# Data sets with more tokens are left out. At standard size these are documents and buried texts, which would take
# longer than all others together.
_MOST_TOKENS: dict[Size, float] = {"quick": 12_000, "standard": 12_000, "full": float("inf")}
# The name of the tensor with the scores.
_SCORES = "scores"


def random_weights_stage(work: Workspace) -> list[str]:
    """Probe the residual stream of a random-weight model on all data sets that are small enough; one file each."""
    measured = short_sets(work) if is_wanted(work, "random_weights") else []
    files = [scores_file(data) for data in measured]
    if any(read_shard(work.folder / file, work.key) is None for file in files):
        model = random_weight_model(work)
        if model is None:
            measured = []
        else:
            store, texts = residual_vectors(work, model, measured)
            for data in measured:
                _probe(work, data, store, texts.rows_of(data))
    work.manifest["random_weights"] = [data.name for data in measured]
    return [scores_file(data) for data in measured]


def scores_file(data: Dataset) -> str:
    """Return the file of a data set's scores, in the run's folder."""
    return f"scores/{data.name}.random_weights.safetensors"


def short_sets(work: Workspace) -> list[Dataset]:
    """Return the data sets that are small enough for this control; all of them at size full."""
    return [data for data in work.material if sum(tokens_of(work, data)) <= _MOST_TOKENS[work.spec.size]]


def _probe(work: Workspace, data: Dataset, store: Store, rows: list[int]) -> None:
    """Write the out-of-fold scores (P, 1, n, k) of a data set, by the first probe that applies to it."""
    design = without_controls(make_design(data, work.spec.probe, work.spec.seed))
    method = methods_for(work, data)[0]
    asked = Probing(store=store, component=RESIDUAL, rows=np.array(rows), design=design, methods=[method])
    with threadpool_limits(1):
        scores = [result.scores[0].scores for result in probed_layers(work, asked)]
    write_shard(work.folder / scores_file(data), work.key, {_SCORES: np.stack(scores)}, {"method": method})


def with_random_weights(work: Workspace, probed: Probed, curves: Sequence[Curve], resampler: Resampler) -> list[Curve]:
    """Return the curves of a probed component; those over all texts get their random-weight reference if measured."""
    data = probed.design.data
    if probed.component != RESIDUAL or data.name not in work.manifest.get("random_weights", []):
        return list(curves)
    tensors, notes = load_shard(work.folder / scores_file(data), work.key)
    if notes["method"] != probed.method:
        return list(curves)

    def measured(curve: Curve) -> Curve:
        reference = random_weights_reference(tensors[_SCORES], probed.design, curve, resampler)
        return replace(curve, references={**curve.references, ReferenceKind.RANDOM_WEIGHTS: reference})

    return [measured(curve) if curve.stratum == WHOLE else curve for curve in curves]


def random_weights_reference(scores: Floats, design: Design, curve: Curve, resampler: Resampler) -> Reference:
    """Return the random-weight model's curve on the same texts and measure, and the gain of `curve` over it."""
    measure = measures_for(design.data.kind, design.classes)[curve.metric]
    weights = resampler.weights([item.group for item in design.data.items])
    sample = split_draws(measure(scores, design.y, weights).mean(-1), resampler)
    times = training_of(scores, design)
    draws = widened(sample.estimate, sample.draws, curve.n_groups, times=times, most=1.0)
    return Reference(
        estimate=sample.estimate,
        draws=draws,
        gain=curve.estimate - sample.estimate,
        gain_draws=curve.draws - draws,
        n=curve.n,
        n_groups=curve.n_groups,
        half_a=sample.half_a,
        half_b=sample.half_b,
    )
