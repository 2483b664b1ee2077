"""Greedy decoding from an exit step by step, the whole text again for every token, as a reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

import families
from layeratlas.models import LoadedModel


def decoded(
    loaded: LoadedModel, prompt: Sequence[int], layer: int, tokens: int, ended: Callable[[list[int]], bool]
) -> list[int]:
    """Return at most `tokens` ids after a prompt, read out at a point of a model of `families`, until `ended`."""
    ids = list(prompt)
    while len(ids) < len(prompt) + tokens and not (len(ids) > len(prompt) and ended(ids[len(prompt) :])):
        with torch.no_grad():
            out = loaded.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        last = layer == families.LAYERS
        logits = out.logits if last else loaded.anatomy.logits(out.hidden_states[layer])
        ids.append(int(logits[0, -1].argmax()))
    return ids[len(prompt) :]
