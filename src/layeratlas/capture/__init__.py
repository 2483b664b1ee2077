"""From texts to vectors: which positions are read, how texts are batched, and the forward passes."""

from layeratlas.capture.choices import Continuation, Slots, encode_answers, encode_choices, make_slots
from layeratlas.capture.packing import Packing, choose_plan, expected_tokens, plan_choices
from layeratlas.capture.plan import Batch, Reading, make_plan
from layeratlas.capture.readout import Readout
from layeratlas.capture.run import capture, store_key, store_shape
from layeratlas.capture.trie import make_trie_plan

__all__ = [
    "Batch",
    "Continuation",
    "Packing",
    "Reading",
    "Readout",
    "Slots",
    "capture",
    "choose_plan",
    "encode_answers",
    "encode_choices",
    "expected_tokens",
    "make_plan",
    "make_slots",
    "make_trie_plan",
    "plan_choices",
    "store_key",
    "store_shape",
]
