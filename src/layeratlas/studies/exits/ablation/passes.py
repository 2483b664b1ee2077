"""Forward passes of the same questions through the whole or the edited model, scored at the last exit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.core.edits import Edit
from layeratlas.core.spec import CaptureSpec, Component
from layeratlas.studies.exits.ablation.plan import SUBLAYERS
from layeratlas.studies.exits.names import MINUS_ANSWER
from layeratlas.studies.exits.posing import PosedSet
from layeratlas.studies.exits.settings import ExitSettings

if TYPE_CHECKING:
    from layeratlas.capture import Continuation, Packing, Readout, Slots
    from layeratlas.models import LoadedModel


@dataclass(frozen=True, kw_only=True)
class Pass:
    """Packed continuations that can be run through the model repeatedly; each call is one pass."""

    model: LoadedModel
    readout: Readout
    slots: Slots
    packing: Packing

    @property
    def tokens(self) -> int:
        """The number of tokens that one pass computes."""
        tokens: int = self.packing.record()["tokens_computed"]
        return tokens

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
    """Return the pass over some continuations; each distinct prefix is computed once."""
    from layeratlas.capture import Readout, plan_choices

    spec = CaptureSpec(components=("resid",), batch_tokens=batch_tokens)
    slots, packing = plan_choices(model, continuations, spec)
    return Pass(model=model, readout=Readout(model), slots=slots, packing=packing)


def continuations_of(posed_sets: Sequence[PosedSet], settings: ExitSettings) -> list[Continuation]:
    """Return the scored continuations: choices after their questions, then without a question if the score needs it."""
    after = [continuation for posed in posed_sets for continuation in posed.after]
    if settings.score != MINUS_ANSWER:
        return after
    return after + [continuation for posed in posed_sets for continuation in posed.bare]


def mean_outputs(model: LoadedModel, posed_sets: Sequence[PosedSet]) -> dict[Component, FloatArray]:
    """Return each sublayer's mean output at every block, (L, d), over all questions with their true choice."""
    from layeratlas.models import mean_vectors

    texts = []
    for posed in posed_sets:
        start = 0
        for question in posed.data.items:
            texts.append(np.array(posed.after[start + question.answers[0]].ids, np.int64))
            start += len(question.choices)
    layers = range(model.anatomy.n_layers)
    return {component: mean_vectors(model, texts, component, layers) for component in SUBLAYERS}
