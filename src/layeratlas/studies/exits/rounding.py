"""What rounded products change in a sample of the run's questions: log-likelihoods, and which choice each exit prefers.

With rounded products exits are read out as with `normaliser=auto`: a sum that is made of rounded products is further
off than the 8-bit screen, and slower.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.spec import CaptureSpec
from layeratlas.data.questions import sample_groups
from layeratlas.runs.precision import ENOUGH, Trial
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.exits.measures import accuracy
from layeratlas.studies.exits.posing import PosedSet
from layeratlas.studies.exits.prompts import counted_choices
from layeratlas.studies.exits.reading_out import exits_of
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.settings import ExitSettings

if TYPE_CHECKING:
    from layeratlas.capture import Continuation, Readout
    from layeratlas.models import LoadedModel

# The share of each set's questions that are asked both ways, if these are enough.
_SHARE = 1 / 8


def readout_of(model: LoadedModel, settings: ExitSettings) -> Readout:
    """Return the readout of exits that goes with a model's products."""
    from layeratlas.capture import Readout
    from layeratlas.models.products import EXACT

    return Readout(model, settings.normed, exact=settings.whole_vocabulary and model.products == EXACT)


def try_both(work: Workspace, posed_sets: Sequence[PosedSet], exact: LoadedModel, rounded: LoadedModel) -> Trial:
    """Ask a sample of each set's questions both ways."""
    from layeratlas.capture.recomputing import compare_likelihoods

    settings: ExitSettings = work.settings
    # Whole groups may be a few questions fewer.
    share = max(_SHARE, 1.25 * ENOUGH / sum(len(posed.data) for posed in posed_sets))
    sampled = [_sampled(posed, share, work.spec.seed) for posed in posed_sets]
    continuations = [each for posed in sampled for each in (*posed.after, *posed.bare)]
    batch_tokens = work.spec.capture.batch_tokens
    before, after = (_likelihoods(model, settings, continuations, batch_tokens) for model in (exact, rounded))
    changes, start = [], 0
    for posed in sampled:
        stop = start + len(posed.after) + len(posed.bare)
        changes.append(_credits(posed, after[start:stop], settings) - _credits(posed, before[start:stop], settings))
        start = stop
    every = [each for posed in posed_sets for each in (*posed.after, *posed.bare)]
    places = {id(each): number for number, each in enumerate(every)}
    rows = [places[id(each)] for each in continuations]
    difference = compare_likelihoods(exact, after, before, continuations, rows)
    return Trial(
        texts=len(continuations),
        total=len(every),
        difference=difference.size,
        unit=difference.unit,
        where=difference.where,
        points=[f"exit {exit}" for exit in exits_of(settings.exits, exact.anatomy.n_layers + 1)],
        changes=changes,
    )


def _sampled(posed: PosedSet, share: float, seed: int) -> PosedSet:
    """Return some whole groups of a set's questions, as they are posed."""
    items = posed.data.items
    data = sample_groups(posed.data, math.ceil(share * len(items)), seed)
    groups = {question.group for question in data.items}
    kept = [question.group in groups for question in items for _ in question.choices]
    asked = [prompt for prompt, question in zip(posed.prompts, items, strict=True) if question.group in groups]
    after, bare = ([c for c, keep in zip(every, kept, strict=True) if keep] for every in (posed.after, posed.bare))
    return replace(posed, data=data, prompts=asked, after=after, bare=bare, decoded=[], lengths=[])


def _likelihoods(
    model: LoadedModel, settings: ExitSettings, continuations: list[Continuation], batch_tokens: int
) -> Floats:
    """Return log-likelihoods (continuations, exits)."""
    from layeratlas.capture import capture, plan_choices
    from layeratlas.capture.exit_store import ExitStore, exit_shape
    from layeratlas.store import MemoryStore

    readout = readout_of(model, settings)
    exits = exits_of(settings.exits, readout.points)
    slots, packing = plan_choices(model, continuations, CaptureSpec(components=("resid",), batch_tokens=batch_tokens))
    store = ExitStore(MemoryStore(exit_shape(readout, slots, exits)), readout, slots, exits)
    capture(model, packing.batches, store, form=packing.form)
    return store.log_likelihoods()


def _credits(posed: PosedSet, values: Floats, settings: ExitSettings) -> Floats:
    """Return each question's credit at every exit by the run's score, (exits, questions)."""
    pairs = zip(posed.data.items, posed.prompts, strict=True)
    counted = [choice for question, prompt in pairs for choice in counted_choices(posed.data, question, prompt)]
    scored = ScoredSet(
        data=posed.data,
        after=values[: len(posed.after)],
        bare=values[len(posed.after) :],
        tokens=np.array([len(each.ids) - each.start for each in posed.after], dtype=float),
        characters=np.array([len(choice) for choice in counted], dtype=float),
        bytes=np.array([len(choice.encode()) for choice in counted], dtype=float),
    )
    return accuracy(scored.scores(settings.score), scored.key, settings.strict)
