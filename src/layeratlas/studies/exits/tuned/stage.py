"""The stage that fits translators on passages and scores some questions again through them, at a few exits.

`translators.safetensors` uses the tensor names of the tuned lens; `--set translators=FILE` loads published ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layeratlas.core import registry
from layeratlas.core.arrays import Floats
from layeratlas.core.errors import ModelError
from layeratlas.core.spec import CaptureSpec
from layeratlas.data.questions import QuestionSet
from layeratlas.data.readers.passages import read_passages
from layeratlas.runs.workspace import Workspace
from layeratlas.store.shards import load_shard, read_shard, write_shard
from layeratlas.studies.exits.ablation.stage import first_groups
from layeratlas.studies.exits.names import TRANSLATORS_FILE
from layeratlas.studies.exits.posing import PosedSet, pose
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.scoring import scored_set
from layeratlas.studies.exits.settings import ExitSettings
from layeratlas.studies.exits.tuned.checking import HELD_OUT, check_count

if TYPE_CHECKING:
    from layeratlas.capture.translating import Translators
    from layeratlas.models import LoadedModel

_AFTER, _BARE = "after", "bare"
_EXITS = 8
_TOKENS = 256
_SHOWS = 1


@dataclass(frozen=True, kw_only=True)
class TunedSet:
    """Questions with the tuned exits' log-likelihoods of their choices at `points` (E,): (C, E) in nats."""

    scored: ScoredSet
    points: list[int]


def tuned_stage(work: Workspace) -> list[str]:
    """Fit or load translators and ask the first questions of every set through them; one file per set.

    Runs only with `--set tuned=true`. Raises ModelError for a streamed model.
    """
    settings: ExitSettings = work.settings
    if not settings.tuned:
        return []
    model = work.model
    if model.streamer is not None:
        raise ModelError(
            f"'{model.spec.id}' is streamed, and translators are fitted text by text",
            "a model whose weights are in memory",
            "use --weights resident or leave out --set tuned=true",
        )
    points, translators = _translators(work, model)
    files = [scores_file(data.name) for data in work.material]
    for data, file in zip(work.material, files, strict=True):
        if read_shard(work.folder / file, work.key) is None:
            _ask(work, asked(work, data), translators, points)
    work.manifest["tuned"] |= {"points": points}
    return [TRANSLATORS_FILE, *files]


def asked(work: Workspace, data: QuestionSet) -> QuestionSet:
    """Return the questions of a set that are asked through translators."""
    return first_groups(data, work.settings.tuned_questions)


def scores_file(name: str) -> str:
    """Return the path of the tuned exits' log-likelihoods of a set's choices."""
    return f"scores/{name}.tuned.safetensors"


def load_tuned(work: Workspace) -> dict[str, TunedSet]:
    """Return the tuned exits' results by set name; empty if nothing was tuned."""
    if not work.settings.tuned:
        return {}
    found = {}
    for data in work.material:
        tensors, _ = load_shard(work.folder / scores_file(data.name), work.key)
        scored = scored_set(work, asked(work, data), tensors[_AFTER], tensors[_BARE])
        found[data.name] = TunedSet(scored=scored, points=work.manifest["tuned"]["points"])
    return found


def _translators(work: Workspace, model: LoadedModel) -> tuple[list[int], Translators]:
    """Return the points read out and their translators; write the held-out losses to `run.json`."""
    from layeratlas.capture.translating import fit_translators, load_translators, save_translators

    last = model.anatomy.n_layers
    points = sorted({round(point) for point in np.linspace(0, last, min(_EXITS, last + 1))})
    ids = _passages(work, model)
    # The passages that chose the penalty would underestimate the loss.
    held_out = ids[_SHOWS::HELD_OUT]
    others = [text for i, text in enumerate(ids) if i % HELD_OUT != _SHOWS]
    given = work.settings.translators
    if given:
        translators = load_translators(given, model.anatomy.width, last)
        points = [*sorted(set(translators) & set(points) or translators)[:_EXITS], last]
    else:
        with work.progress.stage("tune", 1) as step:
            translators = fit_translators(model, others, points[:-1], range(HELD_OUT - 2, len(others), HELD_OUT - 1))
            step.advance()
    save_translators(work.folder / TRANSLATORS_FILE, translators)
    own, tuned = _held_out_losses(model, held_out, translators, points)
    work.manifest["tuned"] = {
        "passages": len(ids),
        "held_out": len(held_out),
        "from": given or "",
        "own": [round(float(value), 4) for value in own],
        "tuned": [round(float(value), 4) for value in tuned],
    }
    return points, translators


def _passages(work: Workspace, model: LoadedModel) -> list[NDArray[np.int64]]:
    """Return the passages as tokens, from the user's file if given; raises SpecError for too few."""
    given = work.settings.tuned_on
    sets = [read_passages(given)] if given else registry.get("tasks", "passages").build(work.spec.size)
    longest = min(_TOKENS + 1, model.context or _TOKENS + 1)
    ids = [np.array(model.encode(text)[:longest], np.int64) for passages in sets for text in passages.texts]
    ids = [text for text in ids if len(text) > 2]
    check_count(len(ids))
    return ids


def _held_out_losses(
    model: LoadedModel, texts: list[NDArray[np.int64]], translators: Translators, points: list[int]
) -> tuple[Floats, Floats]:
    """Return KL(model || exit) in nats at the points, for the model's own readout and for the tuned one."""
    from layeratlas.capture import Readout
    from layeratlas.capture.translating import TunedReadout, divergence, stream_of

    own, tuned = Readout(model), TunedReadout(model, translators)
    values = []
    for text in texts:
        # Every sixteenth position is enough: the logits over the whole vocabulary are large.
        states = [point[8::16] if len(point) > 32 else point for point in stream_of(model, text)]
        values.append([divergence(readout, model, states, points) for readout in (own, tuned)])
    means = np.array(values).mean(0)
    return means[0], means[1]


def _ask(work: Workspace, data: QuestionSet, translators: Translators, points: list[int]) -> None:
    from layeratlas.capture import capture, plan_choices
    from layeratlas.capture.exit_store import ExitStore, exit_shape
    from layeratlas.capture.translating import TunedReadout
    from layeratlas.store import MemoryStore

    posed: PosedSet = pose(work.model, data, _shots(work, data))
    spec = CaptureSpec(components=("resid",), batch_tokens=work.spec.capture.batch_tokens)
    slots, packing = plan_choices(work.model, [*posed.after, *posed.bare], spec)
    readout = TunedReadout(work.model, translators)
    store: ExitStore = ExitStore(MemoryStore(exit_shape(readout, slots, points)), readout, slots, points)
    capture(work.model, packing.batches, store, work.progress, packing.form)
    values = store.log_likelihoods()
    tensors = {_AFTER: values[: len(posed.after)], _BARE: values[len(posed.after) :]}
    write_shard(work.folder / scores_file(data.name), work.key, tensors)


def _shots(work: Workspace, data: QuestionSet) -> ExitSettings:
    """Return the settings with as many worked examples as fitted the context for the whole set."""
    had = {each["name"]: each["shots"] for each in work.manifest["datasets"]}
    settings: ExitSettings = work.settings.with_shots(had[data.name])
    return settings
