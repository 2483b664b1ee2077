"""Check a model before anything is measured: find its anatomy and run the self-tests on the blocks in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from layeratlas.core.errors import ModelError
from layeratlas.models.anatomy import Anatomy, Skeleton, find_skeleton
from layeratlas.models.discover import find_anatomy
from layeratlas.models.identities import Identity
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.proof_cache import Proof, keep_proof, read_proof, reading_of
from layeratlas.models.selftest import demand, few_threads, sample_ids, self_test
from layeratlas.models.wrappers import LeftOut, leave_out

# Tokens of the text that finds the anatomy of a proved model again: reading its weights then takes most of the time.
_FEWER = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proved:
    """A checked model: its anatomy, how it is read (in words), its passed self-tests and its unused modules.

    `earlier` is True if the self-tests passed at a previous load of the same files and were not run again.
    """

    anatomy: Anatomy
    words: dict[str, str]
    identities: list[Identity]
    left_out: list[LeftOut]
    earlier: bool = False


def prove(
    bare: LoadedModel,
    skeleton: Skeleton | None,
    fill: Callable[[str], None] = lambda part: None,
    key: str | None = None,
) -> Proved:
    """Remove the modules that text does not need, find the anatomy and run the self-tests.

    Pass `skeleton` if some blocks are not in memory; `fill` then reads the weights of another module of a multimodal
    model. Self-tests that passed under the same `key` are skipped. Raises ModelError, naming the model, if no anatomy
    is found; IdentityError if a self-test fails.
    """
    known = read_proof(key)
    ids = torch.tensor([sample_ids(bare)[1]], device=bare.device)
    short = ids if known is None else ids[:, :_FEWER]
    try:
        with few_threads(bare.model):
            skeleton = skeleton or find_skeleton(bare.model)
            left_out = leave_out(bare.model, skeleton, short, fill)
            anatomy, words = find_anatomy(bare.model, short, skeleton)
            if known is not None and reading_of(anatomy, words) != known.reading:  # as where a scale is fitted
                known = None
                anatomy, words = find_anatomy(bare.model, ids, skeleton)
    except ModelError as error:
        raise type(error)(f"'{bare.spec.id}': {error.problem}", error.expected, error.todo) from None
    loaded = dataclasses.replace(bare, anatomy=anatomy)
    identities = known.identities if known else self_test(loaded)
    demand(loaded, identities)
    if known is None:
        keep_proof(key, Proof(identities=identities, reading=reading_of(anatomy, words)))
    return Proved(anatomy=anatomy, words=words, identities=identities, left_out=left_out, earlier=known is not None)
