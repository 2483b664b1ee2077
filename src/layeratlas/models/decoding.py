"""Greedy decoding of prompts, with the model's cache."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from layeratlas.core.errors import ModelError, SpecError
from layeratlas.models.caches import cache_name, knows_length
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.products import multiplying
from layeratlas.models.rotary import forget_lengths, switch_of

# The largest difference by rounding, relative to the largest logit; in float32, and in half precision.
_ROUNDING, _HALF_ROUNDING = 1e-3, 0.05


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
    ends = _end_ids(model)
    steps = Steps(model, ids.shape[1] + new_tokens)
    whole, chosen = ids.to(model.device), []
    done = torch.zeros(len(ids), dtype=torch.bool, device=model.device)
    for _ in range(new_tokens):
        step = steps.logits(whole).argmax(-1)
        whole = torch.cat([whole, step[:, None]], 1)
        chosen.append(step)
        done |= torch.isin(step, ends)
        if bool(done.all()):
            break
    return [_until(line, set(ends.tolist())) for line in torch.stack(chosen, 1).tolist()]


class Steps:
    """The logits after a growing text, from the model's cache where that gives what the whole text gives.

    Names and rules of caches differ between families and versions of transformers. So the first step with a cache is
    compared with a pass over the whole text; if they differ, or if no cache of known length is returned (some recurrent
    models have none), every step runs the whole text. `compare` is how many of the texts are compared, by default all;
    it is 0 once they were alike, and may be 0 where they were alike for another object of the same model.
    """

    def __init__(self, model: LoadedModel, longest: int, compare: int | None = None) -> None:
        self._model, self._takes = model, inspect.signature(model.model.forward).parameters
        forget_lengths(model.model)
        self._name, self._cache, self._seen = cache_name(self._takes), None, 0
        switch = switch_of(model.model.config.get_text_config())
        # Beyond the switch a cache is invalid: it was computed with the rotary frequencies of the shorter text.
        self._keeps = bool(self._name) and (switch is None or longest <= switch)
        self.compare = compare

    @property
    def device(self) -> torch.device:
        """Where the model takes its tokens."""
        return self._model.device

    def logits(self, whole: Tensor) -> Tensor:
        """Return the logits (texts, vocabulary) after texts (texts, tokens), the former ones with one more token."""
        compares = self._cache is not None and self.compare != 0
        # Before the step, so that hooks see the step last, with all texts.
        alone = self._run(whole[: self.compare], None).logits[:, -1] if compares else None
        output = self._run(whole, self._cache)
        if alone is not None:
            self._keeps = _alike(output.logits[: self.compare, -1], alone)
            self.compare = 0 if self._keeps else self.compare
            output = output if self._keeps else self._run(whole, None)
        after: Tensor = output.logits[:, -1]
        cache = getattr(output, self._name, None) if self._keeps else None
        self._cache = cache if knows_length(cache, whole.shape[1]) else None
        self._seen = 0 if self._cache is None else whole.shape[1]
        return after

    def repeat(self, times: int) -> None:
        """Make `times` texts of each one, in the order of `repeat_interleave`; each then has its own next token."""
        cache: Any = self._cache
        try:
            cache.batch_repeat_interleave(times)
        except (AttributeError, NotImplementedError):  # no cache, or one that is partly of states
            self._cache, self._seen = None, 0  # the next step runs the whole texts

    def _run(self, whole: Tensor, cache: Any) -> Any:
        seen = 0 if cache is None else self._seen
        given = whole[:, seen:]
        # Some families count positions from the mask, others need `position_ids`.
        extra = {
            "position_ids": torch.arange(seen, whole.shape[1], device=whole.device).expand(given.shape),
            "attention_mask": torch.ones_like(whole),
            self._name: cache,
            "logits_to_keep": 1,
        }
        kwargs = {name: value for name, value in extra.items() if name in self._takes}
        with multiplying(self._model.products):
            return self._model.model(input_ids=given, use_cache=self._keeps, **kwargs)


def _alike(logits: Tensor, alone: Tensor) -> bool:
    """Tell whether two computations of the same logits differ by rounding alone."""
    bound = _ROUNDING if logits.dtype == torch.float32 else _HALF_ROUNDING
    return bool((logits - alone).abs().max() <= bound * alone.abs().max())


def _end_ids(model: LoadedModel) -> Tensor:
    named = model.model.generation_config.eos_token_id if model.model.can_generate() else None
    ids = named if isinstance(named, list) else [named]
    given = {i for i in (*ids, model.tokenizer.eos_token_id) if i is not None}
    return torch.tensor(sorted(given), dtype=torch.long, device=model.device)


def _until(ids: list[int], ends: set[int]) -> list[int]:
    return next((ids[:i] for i, token in enumerate(ids) if token in ends), ids)
