"""Greedy decoding of prompts, with the model's cache."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from layeratlas.core.errors import ModelError, SpecError
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.rotary import forget_lengths, switch_of


@torch.inference_mode()
def greedy(
    model: LoadedModel,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    numbered: Callable[[list[int]], None] = lambda rows: None,
) -> list[list[int]]:
    """Return the continuation of each prompt (token ids): at most `new_tokens` ids, without the end-of-text token.

    Prompts of equal length form one batch, so that none is padded. Before each batch `numbered` receives the indices of
    its prompts, one per row; the noise of `intervene` needs them. Raises ModelError for a streamed model or a context
    that is too short, SpecError for an empty prompt.
    """
    model.demand_whole("decoding")
    longest = max(map(len, prompts)) + new_tokens
    if model.context and longest > model.context:
        raise ModelError(f"prompts and continuations of {longest} tokens", f"at most {model.context}, the context")
    if not all(prompts):
        raise SpecError("an empty prompt", "one token or more")
    out: list[list[int]] = [[] for _ in prompts]
    for length in sorted(set(map(len, prompts))):
        rows = [i for i, prompt in enumerate(prompts) if len(prompt) == length]
        numbered(rows)
        decoded = _continue(model, torch.tensor([list(prompts[i]) for i in rows]), new_tokens)
        for row, ids in zip(rows, decoded, strict=True):
            out[row] = ids
    return out


def _continue(model: LoadedModel, ids: Tensor, new_tokens: int) -> list[list[int]]:
    takes = inspect.signature(model.model.forward).parameters
    ends = _end_ids(model)
    switch = switch_of(model.model.config.get_text_config())
    # Beyond the switch a cache is invalid: it was computed with the rotary frequencies of the shorter text.
    keeps = switch is None or ids.shape[1] + new_tokens <= switch
    forget_lengths(model.model)
    whole = ids.to(model.device)
    cache, given, steps = None, whole, []
    done = torch.zeros(len(ids), dtype=torch.bool, device=model.device)
    for _ in range(new_tokens):
        seen = whole.shape[1] - given.shape[1]
        # Some families count positions from the mask, others need `position_ids`.
        extra = {
            "position_ids": torch.arange(seen, whole.shape[1], device=model.device).expand(given.shape),
            "attention_mask": torch.ones_like(whole),
            "past_key_values": cache,
        }
        kwargs = {name: value for name, value in extra.items() if name in takes}
        output = model.model(input_ids=given, use_cache=keeps, **kwargs)
        step = output.logits[:, -1:].argmax(-1)
        whole = torch.cat([whole, step], 1)
        # Some recurrent models return no cache; every step then runs the whole text.
        cache = getattr(output, "past_key_values", None) if keeps else None
        given = whole if cache is None else step
        steps.append(step[:, 0])
        done |= torch.isin(step[:, 0], ends)
        if bool(done.all()):
            break
    return [_until(line, set(ends.tolist())) for line in torch.stack(steps, 1).tolist()]


def _end_ids(model: LoadedModel) -> Tensor:
    named = model.model.generation_config.eos_token_id if model.model.can_generate() else None
    ids = named if isinstance(named, list) else [named]
    given = {i for i in (*ids, model.tokenizer.eos_token_id) if i is not None}
    return torch.tensor(sorted(given), dtype=torch.long, device=model.device)


def _until(ids: list[int], ends: set[int]) -> list[int]:
    return next((ids[:i] for i, token in enumerate(ids) if token in ends), ids)
