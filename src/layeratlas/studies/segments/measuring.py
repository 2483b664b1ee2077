"""The measuring stage: runs passages through the model in batches and computes every metric on each passage.

It writes only the values of every signal, and the mean states and a few tokens for whole-set metrics. Each batch is one
shard, so an interrupted run loses at most one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from layeratlas.core.spec import Size
from layeratlas.core.turns import ALONE, Check, Part
from layeratlas.runs.random_weights import random_weight_model
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.segmentation import shortest_segment
from layeratlas.store.shards import Tensors, load_shard, read_shard, write_shard
from layeratlas.studies.segments.intervention.plan import sites_of
from layeratlas.studies.segments.passages import (
    characters_per_token,
    dataset_record,
    encode_copies,
    encode_passages,
    in_turn,
    kinds_of,
    texts_of,
)
from layeratlas.studies.segments.reading import CopyReader, PassageReader, kept_states
from layeratlas.studies.segments.signals import passage_signals

if TYPE_CHECKING:
    from layeratlas.capture.recomputing import Recomputed
    from layeratlas.models import LoadedModel

FOLDER = "signals"
# The number of passages that are run again alone; few, because they are long.
_AGAIN = 4
# The prefixes of the shards' names, by kind of measurement.
TRAINED, UNTRAINED, VIEWS = "trained", "untrained", "views"
_BATCH = 4
_UNTRAINED_PASSAGES: dict[Size, int] = {"quick": 0, "standard": 12, "full": 32}
# The time for a copy as a share of that for a passage; copies are shorter and have fewer metrics.
_COPY_SHARE = 1 / 8

Read = Callable[[Sequence[Sequence[int]], int], Tensors]
Advance = Callable[[float], None]


def measure_stage(work: Workspace) -> list[str]:
    """Measure every passage, noisy copies of some, and a few passages in a model with random weights."""
    from layeratlas.capture.run import kind_of

    settings, model = work.settings, work.model
    _check_model(work, model)
    ids = encode_passages(work, model)
    copied = min(settings.view_passages, len(ids)) if settings.view_passages >= 2 else 0
    copies = encode_copies(work, model, copied)
    control = _untrained_passages(work, len(ids))
    length = len(ids[0]) - int(model.bos_id is not None)
    work.manifest["datasets"] = [dataset_record(passages, len(ids[0])) for passages in work.material]
    with work.progress.stage("measure", len(ids) + len(copies) * _COPY_SHARE + control) as step:
        parts = _parts(work, TRAINED, ids, PassageReader(model, settings), step.advance)
        reader = CopyReader(model, settings.views)
        parts += _parts(
            work, VIEWS, copies, reader, lambda n: step.advance(n * _COPY_SHARE), at_once=reader.views * _BATCH
        )
        work.turns.each(parts, on=kind_of(model))
        outputs = [_shard_name(part.name) for part in parts]
        random = _write_untrained(work, in_turn(ids, kinds_of(work), control), step.advance) if control else []
    work.manifest["segments"] = {
        "passages": len(ids),
        "tokens": length,
        "copied": copied,
        "untrained": control if random else 0,
        "missing": _missing(work, outputs),
        "characters_per_token": characters_per_token(work, model),
    }
    return outputs + random


def recompute(work: Workspace) -> Recomputed:
    """Run a sample of passages again, each alone; return the deviation from the states used for the metrics."""
    from layeratlas.capture.passages import read_passages
    from layeratlas.capture.recomputing import Recomputed, compare_vectors, sample_texts

    model, texts = work.model, texts_of(work)
    length = work.manifest["segments"]["tokens"] + int(model.bos_id is not None)
    lengths = [length] * len(texts)
    sample = sample_texts(lengths, work.spec.seed, most=_AGAIN)
    passages = [read_passages(model, [model.encode(texts[i])[:length]])[0] for i in sample]
    alone = [kept_states(passage.states) for passage in passages]
    values = read_values(work, TRAINED)
    kept = _by_place({name: values[name][sample] for name in alone[0]})
    stacked = _by_place({name: np.stack([states[name] for states in alone]) for name in alone[0]})
    difference = compare_vectors(model, kept, stacked, sample)
    return Recomputed.of(difference, lengths, sample)


def _by_place(states: Tensors) -> Tensors:
    """Split kept states (passages, positions, L+1, d) by name into (passages, L+1, d) by name and position."""
    return {f"{name} {place}": values[:, place] for name, values in states.items() for place in range(values.shape[1])}


def _check_model(work: Workspace, model: LoadedModel) -> None:
    """Raise DataError, SpecError or ModelError if the study cannot run on the model; called before measuring."""
    shortest_segment(model.anatomy.n_layers)
    for intervention in work.settings.interventions:
        sites_of(intervention, model.anatomy.n_layers, {}, controls=0)
    model.demand_whole("the study of segments, which compares every layer of a passage with the next")


def _parts(
    work: Workspace, name: str, ids: list[list[int]], read: Read, advance: Advance, at_once: int = _BATCH
) -> list[Part]:
    """Return batches of `at_once` passages or copies as parts of the stage."""
    batches = {first: ids[first : first + at_once] for first in range(0, len(ids), at_once)}
    return [
        _part(work, _batch_name(name, first), partial(read, batch, first), partial(advance, len(batch)))
        for first, batch in batches.items()
    ]


def _part(work: Workspace, name: str, read: Callable[[], Tensors], advance: Callable[[], None]) -> Part:
    """Return the part that measures a batch unless its shard exists and is intact."""
    path = work.common / _shard_name(name)

    def compute(check: Check) -> None:
        values = read()
        check()
        write_shard(path, work.key, values)
        advance()

    return Part(name=name, is_done=lambda: read_shard(path, work.key) is not None, compute=compute, skip=advance)


def _batch_name(name: str, first: int) -> str:
    return f"{name}-{first:05d}"


def _shard_name(batch: str) -> str:
    return f"{FOLDER}/{batch}.safetensors"


def _untrained_passages(work: Workspace, passages: int) -> int:
    """Return the number of passages to run through a random-weight model."""
    setting = work.settings.untrained
    return min(_UNTRAINED_PASSAGES[work.spec.size] if setting is None else setting, passages)


def _write_untrained(work: Workspace, ids: list[list[int]], advance: Advance) -> list[str]:
    """Write and return the shards of a random-weight model; none if a second model does not fit in memory."""
    files = [_shard_name(_batch_name(UNTRAINED, first)) for first in range(0, len(ids), _BATCH)]
    if all(read_shard(work.common / file, work.key) is not None for file in files):
        advance(len(ids))
        return files
    random = random_weight_model(work)
    if random is None:
        advance(len(ids))
        return []
    ALONE.each(_parts(work, UNTRAINED, ids, PassageReader(random, work.settings), advance), on="")
    return files


def read_values(work: Workspace, name: str, outputs: Sequence[str] | None = None) -> Tensors:
    """Return the measurements of a kind (TRAINED, UNTRAINED, VIEWS), over all batches; may be empty.

    `outputs` are the shards of the stage, by default those recorded by the finished stage.
    """
    files = work.manifest["stages"]["measure"]["outputs"] if outputs is None else outputs
    own = [file for file in files if file.startswith(f"{FOLDER}/{name}-")]
    shards = [load_shard(work.folder / file, work.key)[0] for file in own]
    return {key: np.concatenate([shard[key] for shard in shards]) for key in shards[0]} if shards else {}


def _missing(work: Workspace, outputs: Sequence[str]) -> list[str]:
    """Return the signals that could not be measured in every passage, by name."""
    measured = read_values(work, TRAINED, outputs)
    names = passage_signals()
    return [name for name in names if name not in measured or not np.isfinite(measured[name].mean(0)).all()]
