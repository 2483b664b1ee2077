"""The scoring stage: log-likelihoods of all choices at every exit, written as tables of the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.core.spec import CaptureSpec, hash_of
from layeratlas.core.turns import ALONE
from layeratlas.data.questions import QuestionSet
from layeratlas.report.text_map import curve_line
from layeratlas.runs.chat import note_example
from layeratlas.runs.comparable import FEWER_SHOTS
from layeratlas.runs.precision import as_settled, rounding_of, settle, turns_of
from layeratlas.runs.tables import read_table, write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.store.shards import load_shard, write_shard
from layeratlas.studies.exits.free_answers import write_free_answers
from layeratlas.studies.exits.measures import accuracy
from layeratlas.studies.exits.names import items_file, scores_file
from layeratlas.studies.exits.posing import PosedSet, pose_fitting
from layeratlas.studies.exits.prompts import counted_choices
from layeratlas.studies.exits.reading_out import EXITS_READ, exits_of, read_exits
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.settings import ExitSettings

if TYPE_CHECKING:
    from layeratlas.capture import Continuation, Readout
    from layeratlas.capture.exit_store import ExitStore
    from layeratlas.capture.recomputing import Recomputed
    from layeratlas.models import LoadedModel

EXITS = "exits"
AFTER, BARE = "after", "bare"


def score_stage(work: Workspace) -> list[str]:
    """Score all choices and keep their log-likelihoods; each distinct prefix runs through the model once."""
    from layeratlas.studies.exits.rounding import readout_of, try_both

    settings: ExitSettings = work.settings
    posed_sets = pose_fitting(work)
    wanted = {posed.data.name: min(settings.shots, len(posed.data.shots)) for posed in posed_sets}
    fewer = {posed.data.name: posed.shots for posed in posed_sets if posed.shots < wanted[posed.data.name]}
    work.manifest |= {"datasets": [], FEWER_SHOTS: fewer}
    for data in work.material:
        if data.confounded:
            work.progress.note(f"{data.name} is plotted, excluded from the tests: {data.confounded}")
        if data.made:
            work.progress.note(f"{data.source} has no wrong choices: each true answer is given {data.made}")
    if work.model.chat is not None:
        prompt = posed_sets[0].prompts[0]
        read = f"The choices are scored as the answer; the first is “{prompt.choices[0].strip()}”."
        note_example(work.manifest, prompt.text, read)
    continuations = [continuation for posed in posed_sets for continuation in (*posed.after, *posed.bare)]
    model = settle(work, sum(map(len, work.material)), partial(try_both, work, posed_sets), EXITS)
    readout = readout_of(model, settings)
    exits = exits_of(settings.exits, readout.points)
    if len(exits) < readout.points:
        work.manifest[EXITS_READ] = exits
    log_likelihoods = _run(work, model, continuations, readout, exits)
    # The number of choices with a token that spans the end of the prompt.
    work.manifest["boundaries"] = {posed.data.name: sum(not c.clean for c in posed.after) for posed in posed_sets}
    outputs, start = [], 0
    for posed in posed_sets:
        middle, end = start + len(posed.after), start + len(posed.after) + len(posed.bare)
        outputs.append(_write_items(work, posed))
        outputs.append(_write_scores(work, posed, log_likelihoods[start:middle], log_likelihoods[middle:end]))
        start = end
    for scored in load_scores(work):
        work.progress.preview(first_look(scored, settings))
    if settings.decodes:
        outputs += write_free_answers(work, posed_sets, settings, readout)
    return outputs


def first_look(scored: ScoredSet, settings: ExitSettings) -> str:
    """Return a set's accuracy by exit as one line, from chance to 1."""
    values = accuracy(scored.scores(settings.score), scored.key, settings.strict).mean(-1)
    return curve_line(scored.data.name, values.tolist(), scored.data.chance, scored.read)


def recompute(work: Workspace) -> Recomputed:
    """Score a sample of the run's choices again, each run alone; return the deviation from the kept scores."""
    from layeratlas.capture import Readout
    from layeratlas.capture.recomputing import Recomputed, compare_likelihoods, likelihoods_alone, sample_texts

    posed_sets = pose_fitting(work)
    continuations = [continuation for posed in posed_sets for continuation in (*posed.after, *posed.bare)]
    lengths = [len(continuation.ids) for continuation in continuations]
    sample = sample_texts(lengths, work.spec.seed)
    chosen = [continuations[i] for i in sample]
    shards = [load_shard(work.folder / scores_file(posed.data.name), work.key)[0] for posed in posed_sets]
    kept = np.concatenate([shard[name] for shard in shards for name in (AFTER, BARE)])
    model = as_settled(work)
    readout = Readout(model, work.settings.normed)
    alone = likelihoods_alone(model, readout, chosen)[:, exits_of(work.settings.exits, readout.points)]
    difference = compare_likelihoods(model, kept[sample], alone, chosen, sample, rounding_of(work))
    return Recomputed.of(difference, lengths, sample)


def _run(
    work: Workspace, model: LoadedModel, continuations: list[Continuation], readout: Readout, exits: list[int]
) -> Floats:
    """Return the log-likelihood of every continuation at every exit read; shards of an interrupted run are reused."""
    from layeratlas.capture import capture, plan_choices, store_key
    from layeratlas.capture.exit_store import ExitStore, exit_shape
    from layeratlas.store import DiskStore

    spec = CaptureSpec(components=("resid",), batch_tokens=work.spec.capture.batch_tokens)
    with work.progress.stage("prepare", 1):  # forward passes that prove the batches
        slots, packing = plan_choices(model, continuations, spec)
    settings: ExitSettings = work.settings
    read = [exits, settings.exit_norm, settings.normaliser]
    key = hash_of([store_key(model, slots.readings, spec), slots.tokens.tolist(), read])
    # The faster normaliser is found by its time, so each process could choose another.
    turns = turns_of(work) if settings.normaliser == "exact" else ALONE
    inner = DiskStore(work.common / EXITS, exit_shape(readout, slots, exits), key, turns=turns)
    inner.check_space()
    store: ExitStore = ExitStore(inner, readout, slots, exits)
    work.manifest["capture"] = packing.record() | {"rows": len(slots.readings), "wanted": len(slots.tokens)}
    capture(model, packing.batches, store, work.progress, packing.form)
    work.manifest["normaliser"] = readout.normalisers.record()
    return store.log_likelihoods()


def _write_items(work: Workspace, posed: PosedSet) -> str:
    """Write a set's questions with the sizes of their choices, and add the set to `run.json`."""
    data, start = posed.data, 0
    rows: list[dict[str, Any]] = []
    for question, prompt in zip(data.items, posed.prompts, strict=True):
        encoded = posed.after[start : start + len(question.choices)]
        counted = counted_choices(data, question, prompt)
        rows.append(
            asdict(question)
            | {
                "task": data.name,
                "level": data.level,
                "language": data.language,
                "prompt": prompt.text,
                "prompt_tokens": encoded[0].start,
                "tokens": [len(continuation.ids) - continuation.start for continuation in encoded],
                "bytes": [len(choice.encode()) for choice in counted],
                "characters": [len(choice) for choice in counted],
            }
        )
        start += len(question.choices)
    name = items_file(data.name)
    write_table(work, name, pl.DataFrame(rows, infer_schema_length=None))
    others = [known for known in work.manifest["datasets"] if known["name"] != data.name]
    work.manifest["datasets"] = [*others, _record(posed)]
    return name


def _record(posed: PosedSet) -> dict[str, Any]:
    """Return the `run.json` entry of a set."""
    data, lengths = posed.data, [len(continuation.ids) for continuation in posed.after]
    places = [question.answers[0] + 1 for question in data.items]
    record = {
        "name": data.name,
        "level": data.level,
        "n": len(data.items),
        "n_groups": len({question.group for question in data.items}),
        "classes": {f"choice {place}": places.count(place) for place in sorted(set(places))},
        "tokens": {"mean": float(np.mean(lengths)), "max": max(lengths)},
        "language": data.language,
        "shots": posed.shots,
    }
    if data.written is not None:
        record["prompts"] = data.written.by
    if any(question.ending for question in data.items):
        record["endings"] = True
    if data.evident:
        record["evident"] = True
    if data.made:
        record["made"] = data.made
    return record | ({"confounded": data.confounded} if data.confounded else {})


def _write_scores(work: Workspace, posed: PosedSet, after: Floats, bare: Floats) -> str:
    name = scores_file(posed.data.name)
    write_shard(work.folder / name, work.key, {AFTER: after, BARE: bare})
    return name


def load_scores(work: Workspace) -> Iterator[ScoredSet]:
    """Yield every question set with its log-likelihoods; raises StoreError for a damaged file or another run's."""
    for data in work.material:
        values, _ = load_shard(work.folder / scores_file(data.name), work.key)
        yield scored_set(work, data, values[AFTER], values[BARE])


def scored_set(work: Workspace, data: QuestionSet, after: Floats, bare: Floats) -> ScoredSet:
    """Return the questions of a set, or of some of its groups, with these log-likelihoods and the choices' sizes."""
    items = read_table(work.folder / items_file(data.name), columns=["group", "tokens", "characters", "bytes"])
    kept = items.filter(pl.col("group").is_in({question.group for question in data.items}))

    def sizes(column: str) -> Floats:
        values: Floats = kept[column].explode().to_numpy().astype(float)
        return values

    return ScoredSet(
        data=data,
        after=after,
        bare=bare,
        tokens=sizes("tokens"),
        characters=sizes("characters"),
        bytes=sizes("bytes"),
        read=read_exits(work.manifest),
    )
