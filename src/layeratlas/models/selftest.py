"""The self-tests at load: check every identity on three short texts, and refuse a model that fails one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from layeratlas.core.errors import IdentityError, ModelError
from layeratlas.models.identities import (
    TEXTS,
    Identity,
    MiddleText,
    causal_and_mixing,
    observed,
    one_bos,
    padding,
    position_wise,
    readout,
    residual_sum,
)
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.precision import precision_of
from layeratlas.models.rotary import switch_of

_MOST_TOKENS = 24
_SMALL = 500_000_000


def sample_ids(loaded: LoadedModel) -> list[list[int]]:
    """Return the built-in texts' token ids, cut to the model's context; at least four tokens each.

    They stay below the length at which rotary frequencies change; packing is tested separately.
    """
    switch = switch_of(loaded.model.config.get_text_config())
    most = min([_MOST_TOKENS, *(n for n in (loaded.context, switch) if n)])
    texts = [loaded.encode(text)[:most] for text in TEXTS]
    if min(map(len, texts)) == 0:
        raise ModelError(f"the tokenizer of '{loaded.spec.id}' gives no tokens for '{TEXTS[0]}'", "a working tokenizer")
    return [ids if len(ids) >= 4 else (ids * 4)[:4] for ids in texts]


def self_test(loaded: LoadedModel) -> list[Identity]:
    """Check every identity on three short texts and return them all, failed ones included.

    The identities are: the residual sum at every block; attention mixes positions and the MLP does not; the logits; a
    text gives the same alone as padded on either side; exactly one BOS; causality. This takes about seven short forward
    passes.
    """
    precision = precision_of(next(loaded.model.parameters()).dtype)
    texts = sample_ids(loaded)
    with few_threads(loaded.model):
        alone = [observed(loaded, torch.tensor([ids])) for ids in (texts[0], texts[2])]
        middle = MiddleText(loaded, texts[1])
        alone.insert(1, middle.seen)
        return [
            residual_sum(alone, precision),
            readout(loaded, middle, precision),
            position_wise(middle, precision),
            *causal_and_mixing(loaded, texts[1], precision),
            *padding(loaded, texts, alone, precision),
            one_bos(loaded),
        ]


def demand(loaded: LoadedModel, identities: list[Identity]) -> None:
    """Raise IdentityError for the first required identity that failed."""
    for identity in identities:
        if identity.required and not identity.passed:
            raise IdentityError(
                f"'{loaded.spec.id}' failed the self-test '{identity.name}': error {identity.error:.1e}, "
                f"limit {identity.limit:.0e} ({identity.detail})",
                "what is recorded to be what the model computes",
                "this model cannot be measured; try attention='eager' or dtype='float32'",
            )


@contextmanager
def few_threads(model: Any) -> Iterator[None]:
    """Use one CPU thread for a small model's short texts: on a busy machine, more threads wait for each other."""
    threads = torch.get_num_threads()
    small = sum(weight.numel() for weight in model.parameters()) < _SMALL
    try:
        torch.set_num_threads(1 if small else threads)
        yield
    finally:
        torch.set_num_threads(threads)
