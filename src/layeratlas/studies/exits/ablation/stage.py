"""The stage that asks again with parts of the model taken away: one pass of some questions an ablation.

A folder `ablated/` holds one file per ablation, so that an interrupted stage goes on where it stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.core.edits import Edit, thirds
from layeratlas.core.errors import CaptureError, ModelError, SpecError
from layeratlas.core.spec import CaptureSpec, Component, hash_of
from layeratlas.data.questions import QuestionSet
from layeratlas.runs.workspace import Workspace
from layeratlas.store.shards import load_shard, read_shard, write_shard
from layeratlas.studies.exits.ablation.effects import Ablation, plan_ablations
from layeratlas.studies.exits.posing import Posed, pose
from layeratlas.studies.exits.prompts import ExitSettings

if TYPE_CHECKING:
    from layeratlas.capture import Continuation, Packing, Readout, Slots
    from layeratlas.models import LoadedModel

FOLDER = "ablated"
Means = dict[Component, FloatArray]
_VALUES = "log_likelihoods"
_KINDS: dict[str, tuple[Literal["zero", "mean"], ...]] = {
    "mean": ("mean",),
    "zero": ("zero",),
    "both": ("zero", "mean"),
}


def ablate_stage(work: Workspace) -> list[str]:
    """Ask the first questions of every set without each block and sublayer and return the files made, the whole
    model's first.

    Nothing is made unless `--set ablate=true`. Where the model cannot be edited (streamed) or a question does not fit,
    nothing is made and `run.json` says why under `ablation`.
    """
    settings = work.settings
    if not settings.ablate:
        return []
    try:
        return _ablate(work, settings)
    except (CaptureError, ModelError, SpecError) as error:
        work.manifest["ablation"] = {"missing": str(error)}
        work.progress.note(f"nothing is ablated: {error}")
        return []


def first_groups(data: QuestionSet, count: int) -> QuestionSet:
    """Return the first groups of a set, whole, as far as `count` questions reach, and one group at least.

    What a smaller number takes, a larger one takes too.
    """
    kept: set[str] = set()
    taken = 0
    for group, size in Counter(q.group for q in data.items).items():
        if kept and taken + size > count:
            break
        kept.add(group)
        taken += size
    return replace(data, items=tuple(q for q in data.items if q.group in kept))


@dataclass(frozen=True)
class Pass:
    """Questions ready to go through the model again and again, read at the last exit alone."""

    model: LoadedModel
    readout: Readout
    slots: Slots
    packing: Packing

    def __call__(self, edits: Sequence[Edit]) -> Floats:
        """Return the log-likelihood of every continuation under some edits, (continuations,) in nats."""
        from layeratlas.capture import capture
        from layeratlas.capture.exit_store import ExitStore, exit_shape
        from layeratlas.models import intervene
        from layeratlas.store import MemoryStore

        last = [self.readout.points - 1]
        inner = MemoryStore(exit_shape(self.readout, self.slots, last))
        store: ExitStore = ExitStore(inner, self.readout, self.slots, last)
        with intervene(self.model, edits):
            capture(self.model, self.packing.batches, store, form=self.packing.form)
        return store.log_likelihoods()[:, 0]


def make_pass(model: LoadedModel, continuations: Sequence[Continuation], batch_tokens: int) -> Pass:
    """Return the pass of some continuations, each distinct prefix computed once."""
    from layeratlas.capture import Readout, choose_plan, make_slots

    slots = make_slots(continuations)
    spec = CaptureSpec(components=("resid",), batch_tokens=batch_tokens)
    return Pass(model, Readout(model), slots, choose_plan(model, slots.readings, spec))


def _ablate(work: Workspace, settings: ExitSettings) -> list[str]:
    from layeratlas.models import intervene

    model = work.model
    layers = model.anatomy.n_layers
    spans = {name: span for name, span in thirds(layers).items() if span[0] < span[1]}
    plan = plan_ablations(layers, spans, seed=work.spec.seed, kinds=_KINDS[settings.ablate_to])
    with intervene(model, [one.edit() for one in plan if one.kind != "mean"]):
        pass  # a model that cannot be edited is refused here, before anything is asked
    posed = _pose(work, settings)
    every = continuations(posed, settings)
    key = hash_of([work.key, [[one.ids, one.start] for one in every]])
    names = [f"{FOLDER}/{hash_of([key, asdict(one) if one else 'whole'])}.safetensors" for one in (None, *plan)]
    again = make_pass(model, every, work.spec.capture.batch_tokens)
    tokens = again.packing.record()["tokens_computed"]
    todo = [i for i, name in enumerate(names) if read_shard(work.folder / name, key) is None]
    work.progress.note(
        f"ablations: {len(todo)} of {len(names)} passes (the model whole, and {len(plan)} ablations) of {tokens:,} "
        f"tokens, {len(todo) * tokens:,} in all"
    )
    means = _means(model, posed) if any(i and plan[i - 1].kind == "mean" for i in todo) else {}
    with work.progress.stage("ablate", len(todo) * tokens) as step:
        for i in todo:
            one = plan[i - 1] if i else None
            values = again([one.edit(means.get(one.component))] if one else [])
            write_shard(work.folder / names[i], key, {_VALUES: values}, asdict(one) if one else None)
            step.advance(tokens)
    work.manifest["ablation"] = {
        "key": key,
        "ablations": len(plan),
        "tokens": tokens,
        "shots": min(settings.ablate_shots, settings.shots),
        "questions": {part.data.name: len(part.data.items) for part in posed},
    }
    return names


def _pose(work: Workspace, settings: ExitSettings) -> list[Posed]:
    asked = settings.model_copy(update={"shots": min(settings.ablate_shots, settings.shots)})
    return [pose(work.model, first_groups(data, settings.ablate_questions), asked) for data in work.material]


def continuations(posed: Sequence[Posed], settings: ExitSettings) -> list[Continuation]:
    """Return what is asked: all choices after their questions, and then without them where the score needs that."""
    bare = posed if settings.score == "minus_answer" else ()
    return [one for part in posed for one in part.after] + [one for part in bare for one in part.bare]


def _means(model: LoadedModel, posed: Sequence[Posed]) -> Means:
    """Return the mean of what each block's sublayers add, over all questions with their true choice."""
    from layeratlas.models import mean_vectors

    texts, layers = [], range(model.anatomy.n_layers)
    for part in posed:
        at = 0
        for question in part.data.items:
            texts.append(np.array(part.after[at + question.answers[0]].ids, np.int64))
            at += len(question.choices)
    parts: tuple[Component, ...] = ("attn", "mlp")
    return {part: mean_vectors(model, texts, part, layers) for part in parts}


def load_ablated(work: Workspace) -> tuple[list[Ablation], Floats] | None:
    """Return the ablations and what every continuation got, (1 + ablations, continuations), the whole model first.

    None where nothing was ablated; raises StoreError for a damaged file or one of other questions.
    """
    record: dict[str, Any] = work.manifest.get("ablation", {})
    if "key" not in record or not work.settings.ablate:
        return None
    plan, rows = [], []
    for name in work.manifest["stages"]["ablate"]["outputs"]:
        found, ablated = load_shard(work.folder / name, record["key"])
        plan += [Ablation(**ablated)] if ablated else []
        rows.append(found[_VALUES])
    return plan, np.stack(rows)
