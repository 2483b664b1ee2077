"""The random-weight control: the stage that probes a random-weight model on the same texts, and its curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.spec import Size
from layeratlas.core.turns import Part
from layeratlas.data.items import Dataset
from layeratlas.probes import Design, Probed, bare_design, training_of
from layeratlas.runs.random_weights import random_weight_model
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.curves import Curve, Reference, ReferenceKind
from layeratlas.stats.intervals import widened
from layeratlas.stats.measures import measures_for
from layeratlas.stats.resampling import Resampler, split_draws
from layeratlas.store import Store
from layeratlas.store.shards import load_shard
from layeratlas.studies.hierarchy.capturing import residual_vectors
from layeratlas.studies.hierarchy.designs import methods_for, small_sets
from layeratlas.studies.hierarchy.items import tokens_of
from layeratlas.studies.hierarchy.layers import SCORES, Probing, is_probed, probe_kind, scores_part
from layeratlas.studies.hierarchy.names import RESIDUAL, WHOLE
from layeratlas.studies.hierarchy.optional import is_wanted

# Data sets with more tokens are left out. At standard size these are documents and buried texts, which would take
# longer than all others together.
_MOST_TOKENS: dict[Size, float] = {"quick": 12_000, "standard": 12_000, "full": float("inf")}
# The folder of the vectors while they are needed, if several processes share the stage.
_VECTORS = "random_weights"


def random_weights_stage(work: Workspace) -> list[str]:
    """Probe the residual stream of a random-weight model on all data sets that are small enough; one file each."""
    measured = short_sets(work) if is_wanted(work, "random_weights") else []
    if not all(is_probed(work, scores_file(data)) for data in measured):
        model = random_weight_model(work)
        if model is None:
            measured = []
        else:
            with residual_vectors(work, model, measured, _VECTORS) as (store, texts):
                parts = [_part(work, data, store, texts.rows_of(data)) for data in measured]
                work.turns.each(parts, on=probe_kind(work))
    work.manifest["random_weights"] = [data.name for data in measured]
    return [scores_file(data) for data in measured]


def scores_file(data: Dataset) -> str:
    """Return the file of a data set's scores, in the run's folder."""
    return f"scores/{data.name}.random_weights.safetensors"


def short_sets(work: Workspace) -> list[Dataset]:
    """Return the data sets that are small enough for this control; at size full all but the large ones."""
    most = _MOST_TOKENS[work.spec.size]
    return [data for data in small_sets(work) if sum(tokens_of(work, data)) <= most]


def _part(work: Workspace, data: Dataset, store: Store, rows: list[int]) -> Part:
    """Return the part that writes the out-of-fold scores (P, 1, n, k) of a data set, by its first probe."""
    design = bare_design(data, work.spec.probe, work.spec.seed)
    method = methods_for(work, data)[0]
    asked = Probing(store=store, component=RESIDUAL, rows=np.array(rows), design=design, methods=[method])
    return scores_part(work, scores_file(data), asked, {"method": method})


def with_random_weights(work: Workspace, probed: Probed, curves: Sequence[Curve], resampler: Resampler) -> list[Curve]:
    """Return the curves of a probed component; those over all texts get their random-weight reference if measured."""
    data = probed.design.data
    if probed.component != RESIDUAL or data.name not in work.manifest.get("random_weights", []):
        return list(curves)
    tensors, notes = load_shard(work.folder / scores_file(data), work.key)
    if notes["method"] != probed.method:
        return list(curves)

    def measured(curve: Curve) -> Curve:
        reference = random_weights_reference(tensors[SCORES], probed.design, curve, resampler)
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
