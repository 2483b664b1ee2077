"""Which texts share a forward pass: a trie of prefixes, length-sorted batches, or batches of equal length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from layeratlas.capture.choices import Continuation, Slots, make_slots
from layeratlas.capture.masks import Form, layer_types
from layeratlas.capture.plan import Batch, Reading, make_even_plan, make_riding_plan, plan_by_set
from layeratlas.capture.proofs import Extent, Proof, prove_padding, prove_trie
from layeratlas.capture.trie import make_trie_plan
from layeratlas.core.spec import CaptureSpec
from layeratlas.models import LoadedModel
from layeratlas.store.names import name_of, shared_part

_MASKED = {"full_attention", "sliding_attention"}
TRIE, SORTED, EVEN = "prefix trie", "length-sorted", "equal lengths"


@dataclass(frozen=True, kw_only=True)
class Packing:
    """A plan of batches, and how it was chosen.

    `form` is the form of the masks. `how` and `why` go to `run.json`. `tokens` is the total over all texts.
    """

    batches: list[Batch]
    form: Form
    how: str
    why: str
    tokens: int

    def record(self) -> dict[str, Any]:
        """Return the entry in `run.json`."""
        return {
            "packing": self.how,
            "why": self.why,
            "tokens": self.tokens,
            "tokens_computed": sum(int(b.mask.sum()) for b in self.batches),
            "tokens_padded": sum(int(b.ids.size) for b in self.batches),
        }


def choose_plan(
    model: LoadedModel, readings: Sequence[Reading], spec: CaptureSpec, sizes: Sequence[int] | None = None
) -> Packing:
    """Return the batches for these texts; with the `sizes` of consecutive sets, no batch holds texts of two sets.

    With `packing="auto"` the prefix trie is used if the model passes its proof: in a trie with lines as long and texts
    as deep as these, each text must have the same vector as alone (up to rounding). Otherwise texts of similar length
    share a batch, if batches of the shortest and the longest text pass the same proof. Otherwise only texts of equal
    length share a batch.
    """
    tokens, sizes = sum(len(r.ids) for r in readings), [len(readings)] if sizes is None else sizes
    why = "asked for" if model.remote is None else "the model is on NDIF"
    if spec.packing == "auto" and readings and model.remote is None:
        batches = plan_by_set(make_trie_plan, readings, spec.batch_tokens, sizes)
        form, why = prove(model, _extent(readings, batches))
        if form != "padding":
            batches = [_under(batch, form) for batch in batches]
            return Packing(batches=batches, form=form, how=TRIE, why=why, tokens=tokens)
    batches = plan_by_set(make_riding_plan, readings, spec.batch_tokens, sizes)
    proof = prove_padding(model, _extent(readings, batches)) if readings and model.remote is None else None
    if proof is None or proof.holds:
        return Packing(batches=batches, form="padding", how=SORTED, why=why, tokens=tokens)
    why = f"{why}; in a batch with a longer text, {_difference(model, proof)}"
    batches = plan_by_set(make_even_plan, readings, spec.batch_tokens, sizes)
    return Packing(batches=batches, form="padding", how=EVEN, why=why, tokens=tokens)


def _under(batch: Batch, form: Form) -> Batch:
    """Return a batch whose content includes the form of its masks, if it has any."""
    return batch if batch.parents is None else replace(batch, key=name_of([form, shared_part(batch.key)], batch.rows))


def expected_tokens(config: Any, readings: Sequence[Reading], spec: CaptureSpec) -> int:
    """Return the tokens that these texts take to compute with a model of this config that passes its proof."""
    tries = spec.packing == "auto" and not layer_types(config) - _MASKED
    batches = (make_trie_plan if tries else make_riding_plan)(readings, spec.batch_tokens)
    return sum(int(batch.mask.sum()) for batch in batches)


def plan_choices(model: LoadedModel, continuations: Sequence[Continuation], spec: CaptureSpec) -> tuple[Slots, Packing]:
    """Return the slots needed to score continuations, and their batches.

    The results equal those of one forward pass per continuation. If a text's activations change with its length, each
    prefix is read in a pass over its whole continuation.
    """
    slots = make_slots(continuations)
    packing = choose_plan(model, slots.readings, spec)
    if packing.how != EVEN:
        return slots, packing
    slots = make_slots(continuations, whole=True)
    return slots, choose_plan(model, slots.readings, spec)


def _extent(readings: Sequence[Reading], batches: Sequence[Batch]) -> Extent:
    lengths = [len(reading.ids) for reading in readings]
    line = max((batch.ids.shape[1] for batch in batches if batch.parents is not None), default=0)
    return Extent(line=line, longest=max(lengths), shortest=min(lengths))


def prove(model: LoadedModel, extent: Extent) -> tuple[Form, str]:
    """Return the mask form with which a trie of this size equals its texts alone, or `padding`; and the reason."""
    types = layer_types(model.model.config)
    if types - _MASKED:
        return "padding", f"{model.info['family']} has layers that take no mask per token ({', '.join(sorted(types))})"
    proof = prove_trie(model, extent)
    if proof.holds:
        sizes = f"{max(extent.line, extent.longest)} nodes in a line, {extent.longest} deep"
        return proof.form, f"a trie of this size ({sizes}) equals its texts alone to {proof.error:.0e}"
    return "padding", f"in a trie of this size, {_difference(model, proof)}"


def _difference(model: LoadedModel, proof: Proof) -> str:
    if not np.isfinite(proof.error):
        return f"texts of {model.info['family']} cannot be masked"
    return f"a text of {model.info['family']} differs from the text alone by {proof.error:.0e}"
