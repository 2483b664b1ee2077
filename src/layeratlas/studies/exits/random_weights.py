"""The random-weight control: the stage that asks the first questions of every set, and its curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.spec import CaptureSpec, Size
from layeratlas.data.questions import QuestionSet
from layeratlas.runs.random_weights import random_weight_model
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.curves import Reference, ReferenceKind
from layeratlas.stats.intervals import widened
from layeratlas.stats.resampling import Resampler, Sample, split_draws
from layeratlas.store.shards import load_shard, read_shard, write_shard
from layeratlas.studies.exits.ablation.passes import continuations_of
from layeratlas.studies.exits.ablation.stage import first_groups
from layeratlas.studies.exits.answer_key import AnswerKey
from layeratlas.studies.exits.curves import ExitCurve
from layeratlas.studies.exits.measures import MEASURES
from layeratlas.studies.exits.names import ALL, MINUS_ANSWER
from layeratlas.studies.exits.posing import PosedSet, pose
from layeratlas.studies.exits.reading_out import exits_of
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.scoring import scored_set
from layeratlas.studies.exits.set_curves import weighted_means
from layeratlas.studies.exits.settings import ExitSettings

# The most questions per set (whole groups), and the most exits (evenly spaced). Few exits suffice: the readout takes
# most of the time, and the exits of a random-weight model hardly differ.
_QUESTIONS: dict[Size, int] = {"quick": 12, "standard": 20, "full": 60}
_EXITS = 8
_AFTER, _BARE, _READ = "after", "bare", "exits"


@dataclass(frozen=True, kw_only=True)
class RandomSet:
    """Questions with a random-weight model's log-likelihoods of their choices, (C, E) in nats.

    `exits` (E,) are indices into the exits that the run reads out. `scored.bare` is NaN unless the model was asked the
    choices without their questions (`has_bare`).
    """

    scored: ScoredSet
    exits: np.ndarray
    has_bare: bool = True


def random_weights_stage(work: Workspace) -> list[str]:
    """Ask a random-weight model the first questions of every set, if the run asks for it; one file per set."""
    setting: bool | None = work.settings.random_weights
    wanted = work.spec.size != "quick" if setting is None else setting
    sets = [_asked(work, data) for data in work.material] if wanted else []
    files = [scores_file(data.name) for data in sets]
    if any(read_shard(work.folder / file, work.key) is None for file in files) and not _ask(work, sets):
        files = []
    work.manifest["random_weights"] = {data.name: len(data.items) for data in sets} if files else {}
    return files


def scores_file(name: str) -> str:
    """Return the path of a random-weight model's log-likelihoods of a set's choices."""
    return f"scores/{name}.random_weights.safetensors"


def _asked(work: Workspace, data: QuestionSet) -> QuestionSet:
    return first_groups(data, _QUESTIONS[work.spec.size])


def _ask(work: Workspace, sets: list[QuestionSet]) -> bool:
    """Write the log-likelihoods of every set; False if a second model does not fit in memory."""
    model = random_weight_model(work)
    if model is None:
        return False
    from layeratlas.capture import Readout, capture, choose_plan, make_slots
    from layeratlas.capture.exit_store import ExitStore, exit_shape
    from layeratlas.store import MemoryStore

    settings: ExitSettings = work.settings
    posed_sets = [pose(model, data, settings) for data in sets]
    slots = make_slots(continuations_of(posed_sets, settings))
    readout = Readout(model, settings.normed)
    asked = np.array(exits_of(settings.exits, readout.points))
    exits = np.unique(np.linspace(0, len(asked) - 1, _EXITS).round().astype(int))
    read: list[int] = asked[exits].tolist()
    store = ExitStore(MemoryStore(exit_shape(readout, slots, read)), readout, slots, read)
    spec = CaptureSpec(components=("resid",), batch_tokens=work.spec.capture.batch_tokens)
    packing = choose_plan(model, slots.readings, spec)
    capture(model, packing.batches, store, work.progress, packing.form)
    _write(work, posed_sets, store.log_likelihoods(), exits)
    return True


def _write(work: Workspace, posed_sets: Sequence[PosedSet], values: Floats, exits: np.ndarray) -> None:
    """Write what `continuations_of` asked: all choices after their questions, then those without, if there are any."""
    total, end = sum(len(posed.after) for posed in posed_sets), 0
    for posed in posed_sets:
        start, end = end, end + len(posed.after)
        tensors = {_AFTER: values[start:end], _READ: exits}
        if len(values) > total:
            tensors[_BARE] = values[total + start : total + end]
        write_shard(work.folder / scores_file(posed.data.name), work.key, tensors)


def load_random(work: Workspace) -> dict[str, RandomSet]:
    """Return the random-weight model's results by set name, for the sets that it was asked."""
    measured = {}
    for data in work.material:
        if data.name in work.manifest.get("random_weights", {}):
            tensors, _ = load_shard(work.folder / scores_file(data.name), work.key)
            after, has_bare = tensors[_AFTER], _BARE in tensors
            bare = tensors[_BARE] if has_bare else np.full_like(after, np.nan)
            scored = scored_set(work, _asked(work, data), after, bare)
            measured[data.name] = RandomSet(scored=scored, exits=tensors[_READ], has_bare=has_bare)
    return measured


def with_random_weights(
    curves: Iterable[ExitCurve],
    sets: Mapping[str, ScoredSet],
    random: Mapping[str, RandomSet],
    samplers: Mapping[str, Resampler],
    *,
    strict: bool,
) -> list[ExitCurve]:
    """Return the set curves; those over all questions get their random-weight reference if it was measured."""

    def measured(curve: ExitCurve) -> ExitCurve:
        if curve.stratum != ALL or curve.task not in random or curve.metric not in MEASURES:
            return curve
        if curve.method == MINUS_ANSWER and not random[curve.task].has_bare:
            return curve
        reference = _reference(curve, sets[curve.task], random[curve.task], samplers[curve.level], strict)
        return replace(curve, references={ReferenceKind.RANDOM_WEIGHTS: reference})

    return [measured(curve) for curve in curves]


def _reference(curve: ExitCurve, scored: ScoredSet, random: RandomSet, resampler: Resampler, strict: bool) -> Reference:
    """Return the random-weight model's curve (NaN at exits not read out), and the gain over it on its questions."""
    groups = random.scored.groups
    inside = np.isin(scored.groups, groups)
    weights = resampler.weights(groups)

    def sample(scores: Floats, key: AnswerKey) -> Sample:
        return split_draws(weighted_means(MEASURES[curve.metric](scores, key, strict), weights), resampler)

    own = sample(scored.scores(curve.method)[random.exits][:, inside], scored.key.subset(inside))
    other = sample(random.scored.scores(curve.method), random.scored.key)
    n_groups, points = len(set(groups)), len(curve.estimate)

    def spread(values: Floats) -> Floats:
        full = np.full((*values.shape[:-1], points), np.nan)
        full[..., random.exits] = values
        return full

    gain = own.estimate - other.estimate
    return Reference(
        estimate=spread(other.estimate),
        draws=spread(widened(other.estimate, other.draws, n_groups, times=1.0)),
        gain=spread(gain),
        gain_draws=spread(widened(gain, own.draws - other.draws, n_groups, times=1.0)),
        n=len(groups),
        n_groups=n_groups,
    )
