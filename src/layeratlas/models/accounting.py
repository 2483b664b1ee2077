"""Match each tensor of a checkpoint to a weight of a model; refuse missing, unused and misshapen tensors."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from layeratlas.core.errors import ModelError
from layeratlas.models.checkpoint import Checkpoint

# Masks that older transformers kept as buffers: a 4-d causal triangle, and the value written at masked positions.
_MASK, _MASKED = re.compile(r"(^|\.)(cross)?(attn|attention)\.bias$"), re.compile(r"\.masked_bias$")
_FREQUENCIES, _POSITIONS = re.compile(r"rotary_emb\.inv_freq$"), re.compile(r"(^|\.)position_ids$")
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Account:
    """How each tensor of a checkpoint is used by a model.

    `target_of` maps each used tensor to a parameter or buffer of the model (the first one, if the tensor is split over
    several). `unused` tensors match no name in the model. `harmless` tensors match none either, but are known to carry
    no weight. `missing` are names in the model that no tensor fills. `misfits` describe all other mismatches in words.
    """

    target_of: Mapping[str, str]
    unused: tuple[str, ...]
    harmless: tuple[str, ...]
    missing: tuple[str, ...]
    misfits: tuple[str, ...]


def account_of(model: Any, checkpoint: Checkpoint) -> Account:
    """Return the account of a checkpoint under transformers' own conversions for a model."""
    from transformers.conversion_mapping import get_model_conversion_mapping

    return account(model, checkpoint, get_model_conversion_mapping(model))


def account(model: Any, checkpoint: Checkpoint, mapping: Iterable[Any]) -> Account:
    """Rename every tensor of a checkpoint as transformers' loader does, and record which weight it fills.

    `mapping` holds the loader's conversions for this model. The model may be on the meta device.
    """
    from transformers.core_model_loading import WeightConverter, WeightRenaming, dot_natural_key, rename_source_key

    renamings = [entry for entry in mapping if isinstance(entry, WeightRenaming)]
    converters = [entry for entry in mapping if isinstance(entry, WeightConverter)]
    by_pattern = {pattern: entry for entry in converters for pattern in entry.source_patterns}
    state = model.state_dict()
    target_of: dict[str, str] = {}
    sources: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    covered: set[str] = set()
    left: list[str] = []
    for name in sorted(checkpoint, key=dot_natural_key):
        target, pattern = rename_source_key(name, renamings, converters, model.base_model_prefix, state)
        if target not in state and name in state:
            target, pattern = name, None
        if target not in state:
            left.append(name)
            continue
        target_of[name] = target
        sources[target, pattern].append(name)
        covered |= _targets(target, by_pattern.get(pattern))
    harmless = tuple(name for name in left if _is_harmless(model, name, checkpoint))
    return Account(
        target_of=target_of,
        unused=tuple(name for name in left if name not in harmless),
        harmless=harmless,
        missing=tuple(sorted(set(state) - _with_tied(model, covered) - _optional(model))),
        misfits=(*_misshapen(sources, checkpoint, state), *_miscounted(sources)),
    )


def _targets(target: str, converter: Any) -> set[str]:
    if converter is None:
        return {target}
    first, *others = converter.target_patterns
    return {target, *(target.replace(first, other) for other in others)}


def _with_tied(model: Any, covered: set[str]) -> set[str]:
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    pairs = [set(pair) for pair in tied.items()]
    return covered.union(*(pair for pair in pairs if pair & covered))


def _optional(model: Any) -> set[str]:
    """Return the buffers that transformers computes itself if the checkpoint lacks them."""
    patterns = [re.compile(pattern) for pattern in model._keys_to_ignore_on_load_missing or ()]
    return {name for name, _ in model.named_buffers() if any(pattern.search(name) for pattern in patterns)}


def _misshapen(
    sources: Mapping[tuple[str, str | None], list[str]], checkpoint: Checkpoint, state: Mapping[str, Any]
) -> list[str]:
    misfits = []
    for (target, pattern), names in sources.items():
        if pattern is not None:
            shapes = {checkpoint.shapes[name] for name in names}
            if len(shapes) > 1:
                misfits.append(f"the tensors of {target} have the shapes {sorted(map(list, shapes))}")
        elif len(names) > 1:
            misfits.append(f"{names[0]} and {names[1]} are both {target}")
        elif checkpoint.shapes[names[0]] != tuple(state[target].shape):
            shape, wanted = list(checkpoint.shapes[names[0]]), list(state[target].shape)
            misfits.append(f"{names[0]} has the shape {shape} where the config says {wanted}")
    return misfits


def _miscounted(sources: Mapping[tuple[str, str | None], list[str]]) -> list[str]:
    """Describe each parameter whose source tensors (one per expert) are not numbered 0, 1, 2, ..."""
    misfits = []
    for (target, pattern), names in sources.items():
        if pattern is None or len(names) == 1:
            continue
        columns = list(zip(*([int(number) for number in re.findall(r"\d+", name)] for name in names), strict=False))
        numbers = next((sorted(column) for column in columns if len(set(column)) == len(names)), None)
        if numbers != list(range(len(names))):
            misfits.append(f"{target} is made of tensors numbered {numbers}")
    return misfits


def _is_harmless(model: Any, name: str, checkpoint: Checkpoint) -> bool:
    shape = checkpoint.shapes[name]
    if _MASK.search(name):
        return len(shape) == 4 and shape[-1] == shape[-2]
    if _MASKED.search(name) or _POSITIONS.search(name):
        return len(shape) <= 2
    if _FREQUENCIES.search(name):
        return _same_frequencies(model, name, checkpoint)
    # transformers' patterns for masks ("attn.bias") also match inside other names ("c_attn.bias_scale").
    patterns = [pattern for pattern in model._keys_to_ignore_on_load_unexpected or () if not pattern.endswith("bias")]
    return any(re.search(pattern, name) for pattern in patterns)


def _same_frequencies(model: Any, name: str, checkpoint: Checkpoint) -> bool:
    """Return whether saved rotary frequencies equal, up to rounding, those that the model computes from its config."""
    with checkpoint.tensors([name]) as tensors:
        saved = tensors[name][...].float()
    computed = [buffer for key, buffer in model.named_buffers() if _FREQUENCIES.search(key)]
    return any(
        buffer.shape == saved.shape and torch.allclose(buffer.float().cpu(), saved, rtol=1e-2) for buffer in computed
    )


def demand_account(model_id: str, model: Any, ledger: Account) -> None:
    """Raise ModelError if a weight has no tensor, a tensor is unused, or a tensor does not fit its weight."""
    demand_complete(model_id, model, ledger.missing)
    demand_used(model_id, model, ledger.unused)
    if ledger.misfits:
        raise ModelError(
            f"'{model_id}' does not match its config: {ledger.misfits[0]}{_others(ledger.misfits, shown=1)}",
            f"weights of {type(model).__name__}",
            "check that config.json belongs to these weights",
        )


def demand_complete(model_id: str, model: Any, missing: Iterable[str]) -> None:
    """Raise ModelError where a parameter has no tensor in the file."""
    absent = sorted(missing)
    if absent:
        raise ModelError(
            f"'{model_id}' lacks {len(absent)} weights of {type(model).__name__} ({_named(absent)})",
            "a checkpoint with every weight, since a missing one would be filled with random numbers",
            "check the download, and that it was saved with its language-model head",
        )


def demand_used(model_id: str, model: Any, unused: Iterable[str]) -> None:
    """Raise ModelError if the file holds a tensor that no weight of the model uses."""
    left = sorted(unused)
    if left:
        raise ModelError(
            f"'{model_id}' holds {len(left)} tensors that {type(model).__name__} under its config does not use "
            f"({_named(left)})",
            "a checkpoint of which every tensor is used",
            _advice(left),
        )


def _advice(names: list[str]) -> str:
    if any(re.search(r"scale|zero_point|qweight|qzeros|g_idx|quant", name) for name in names):
        return "these belong to quantised weights: add the quantization_config to config.json, or dequantise them"
    if any(name.endswith("bias") for name in names):
        return "switch the biases on in config.json (attention_bias, mlp_bias), or name the right architecture"
    if any("lora" in name or "adapter" in name for name in names):
        return "these belong to an adapter: merge it into the weights"
    return "check that config.json belongs to these weights (its number of blocks, its architecture)"


def _named(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + _others(names, shown=_SHOWN)


def _others(names: Iterable[str], shown: int) -> str:
    return ", ..." if len(list(names)) > shown else ""
