"""The stage that probes every variant; only other texts (wordings, the second word list) need new runs of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from layeratlas.core.progress import Step
from layeratlas.core.spec import Size
from layeratlas.core.turns import Check, Part
from layeratlas.data.items import WORDINGS, Dataset
from layeratlas.probes import Design, Probed
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.store import Store
from layeratlas.store.shards import load_shard
from layeratlas.studies.hierarchy.capturing import residual_vectors
from layeratlas.studies.hierarchy.controls.random_weights import short_sets
from layeratlas.studies.hierarchy.designs import methods_for
from layeratlas.studies.hierarchy.layers import SCORES, Probing, is_probed, probe_kind, scores_part
from layeratlas.studies.hierarchy.names import RESIDUAL, ROBUSTNESS
from layeratlas.studies.hierarchy.optional import is_wanted
from layeratlas.studies.hierarchy.probing import load_probed, rows_of, whole_store
from layeratlas.studies.hierarchy.robustness.tables import variant_table
from layeratlas.studies.hierarchy.robustness.variants import (
    SECOND_LIST,
    Source,
    Variant,
    probed_variants,
    wording,
)

# The variants whose texts a run has not captured, with the number of their wording.
_OTHER_TEXTS = {wording(number): number for number in range(1, WORDINGS)} | {SECOND_LIST: 0}
# The most texts per data set; every variant is probed on all of them.
MOST_TEXTS: dict[Size, float] = {"quick": 240, "standard": 240, "full": float("inf")}


def robustness_stage(work: Workspace) -> list[str]:
    """Probe the residual stream under other wordings, word lists and folds; write where each level decodes."""
    if not is_wanted(work, "robustness"):
        return []
    most, spec, seed = MOST_TEXTS[work.spec.size], work.spec.probe, work.spec.seed
    sets = short_sets(work)
    designs = {data.name: probed_variants(data, most, spec, seed) for data in sets}
    if work.spec.capture.position.startswith("span:"):  # other texts have no spans
        designs = {name: _without_other_texts(variants) for name, variants in designs.items()}
    _probe_as_captured(work, sets, designs)
    for variant in _OTHER_TEXTS:
        _probe_other_texts(work, sets, designs, variant)
    if work.turns.helping:  # the rest is the owner's
        return []
    write_table(work, ROBUSTNESS, _table(work, sets, designs))
    files = [scores_file(data, variant) for data in sets for variant in designs[data.name]]
    return [ROBUSTNESS, *files]


def scores_file(data: Dataset, variant: Variant) -> str:
    """Return the file of a variant's scores, in the run's folder."""
    return f"scores/{data.name}.{variant.file}.safetensors"


def _without_other_texts(variants: Mapping[Variant, Design]) -> dict[Variant, Design]:
    sources = {Source.WORDING, Source.WORD_LIST}
    return {variant: design for variant, design in variants.items() if variant.source not in sources}


def _as_captured(variants: Mapping[Variant, Design]) -> dict[Variant, Design]:
    """Return the variants that use the run's own vectors."""
    return {variant: design for variant, design in variants.items() if variant not in _OTHER_TEXTS}


def _probe_as_captured(
    work: Workspace, sets: Sequence[Dataset], designs: Mapping[str, Mapping[Variant, Design]]
) -> None:
    """Probe the variants that use the run's own vectors."""
    store, parts = whole_store(work), []
    groups = {data.name: [item.group for item in data.items] for data in work.material}
    for data in sets:
        rows = rows_of(work, data)
        for variant, design in _as_captured(designs[data.name]).items():
            kept = np.isin(groups[data.name], [item.group for item in design.data.items])
            parts.append(_part(work, data, variant, design, (store, rows[kept])))
    with work.progress.stage("robustness", len(parts)) as step:
        work.turns.each([_counted(part, step) for part in parts], on=probe_kind(work))


def _counted(part: Part, step: Step) -> Part:
    """Return a part that reports its progress."""

    def compute(check: Check) -> None:
        part.compute(check)
        step.advance()

    return replace(part, compute=compute, skip=step.advance)


def _probe_other_texts(
    work: Workspace, sets: Sequence[Dataset], designs: Mapping[str, Mapping[Variant, Design]], variant: Variant
) -> None:
    """Run the texts of a variant through the model, and probe them."""
    asked = [data for data in sets if variant in designs[data.name]]
    if all(is_probed(work, scores_file(data, variant)) for data in asked):
        return
    texts = {data.name: _texts(designs[data.name][variant].data, variant) for data in asked}
    with residual_vectors(work, work.model, list(texts.values()), variant.file) as (store, captured):
        rows = {name: np.array(captured.rows_of(data)) for name, data in texts.items()}
        parts = [_part(work, data, variant, designs[data.name][variant], (store, rows[data.name])) for data in asked]
        work.turns.each(parts, on=probe_kind(work))


def _texts(data: Dataset, variant: Variant) -> Dataset:
    number = _OTHER_TEXTS[variant]
    return data.reworded(number) if number else data


def _part(work: Workspace, data: Dataset, variant: Variant, design: Design, vectors: tuple[Store, np.ndarray]) -> Part:
    store, rows = vectors
    asked = Probing(store=store, component=RESIDUAL, rows=rows, design=design, methods=[methods_for(work, data)[0]])
    return scores_part(work, scores_file(data, variant), asked)


def _table(work: Workspace, sets: Sequence[Dataset], designs: Mapping[str, Mapping[Variant, Design]]) -> pl.DataFrame:
    names = {data.name for data in sets}
    own = {p.design.data.name: p for p in reversed(list(load_probed(work))) if p.component == RESIDUAL}
    levels: dict[str, dict[Variant, list[Probed]]] = {}
    for data in sets:
        for variant, design in designs[data.name].items():
            tensors, _ = load_shard(work.folder / scores_file(data, variant), work.key)
            probed = Probed(
                design=design,
                component=RESIDUAL,
                method=methods_for(work, data)[0],
                scores=tensors[SCORES],
                shuffled=own[data.name].shuffled[:, :1],
                baseline=own[data.name].baseline,
            )
            levels.setdefault(data.level, {}).setdefault(variant, []).append(probed)
    # A level with some data sets left out cannot be compared with the run's own curve.
    whole = {data.level for data in work.material} - {data.level for data in work.material if data.name not in names}
    return variant_table({level: levels[level] for level in levels if level in whole}, work.spec.seed)
