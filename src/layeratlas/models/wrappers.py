"""Language models inside multimodal ones: which class builds them, and which modules text alone never calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from layeratlas.core.errors import ModelError
from layeratlas.models.anatomy import Skeleton


def wrapper_names(kind: str) -> tuple[str, ...]:
    """Return the names of transformers' multimodal classes for a model type; empty if there are none."""
    from transformers.models.auto import modeling_auto

    mappings = ("MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES", "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES")
    named = (getattr(modeling_auto, mapping, {}).get(kind) for mapping in mappings)
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str)))


def is_wrapped(kind: str, architectures: list[str] | None) -> bool:
    """Return whether a checkpoint of this model type and these declared classes is a multimodal model.

    Some types (Llama 4, Qwen 3.5) also have a text-only class; the checkpoint names the class that it was saved from.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    names = wrapper_names(kind)
    if architectures:
        return any(name in names for name in architectures)
    return bool(names) and kind not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def auto_class(config: Any) -> Any:
    """Return the transformers auto class that builds the whole model for a config."""
    import transformers

    if not is_wrapped(config.model_type, config.architectures):
        return transformers.AutoModelForCausalLM
    multimodal = getattr(transformers, "AutoModelForMultimodalLM", None)
    if multimodal is not None and type(config) in multimodal._model_mapping:
        return multimodal
    return transformers.AutoModelForImageTextToText


def wraps_text(model: Any) -> bool:
    """Return whether the language model is a submodel with a separate config."""
    return model.config.get_text_config() is not model.config


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A module of a multimodal model that text alone never calls, by its name in the model."""

    name: str
    tensors: int
    parameters: int

    @property
    def words(self) -> str:
        """A description of the module, for `check`."""
        return f"{self.name} ({self.tensors} tensors, {self.parameters / 1e6:,.1f} M parameters)"


class _StandIn(nn.Module):
    """Placeholder for a module, with the attributes that other modules read: device, dtype and config.

    A call reads the module's weights and runs it; after `part` is removed, a call raises ModelError.
    """

    def __init__(self, name: str, part: nn.Module, like: Tensor, fill: Callable[[str], None]) -> None:
        super().__init__()
        self.device, self.dtype, self.config = like.device, like.dtype, getattr(part, "config", None)
        self.called = False
        self._name, self._fill = name, fill
        self.part: list[nn.Module] = [part]  # in a list, so that torch does not register it

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if not self.part:
            raise ModelError(f"'{self._name}' is called, which text alone leaves out", "text alone")
        if not self.called:
            self.called = True
            self._fill(self._name)
        return self.part[0](*args, **kwargs)


def parts_beside(model: Any, skeleton: Skeleton) -> dict[str, nn.Module]:
    """Return the topmost modules of a multimodal model outside its decoder and unembedding, by name."""
    kept = (skeleton.decoder, skeleton.unembedding)
    if not wraps_text(model):
        return {}

    def walk(owner: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
        for name, child in owner.named_children():
            if any(child is part for part in kept):
                continue
            if any(module is part for module in child.modules() for part in kept):
                yield from walk(child, f"{prefix}{name}.")
            else:
                yield prefix + name, child

    return dict(walk(model, ""))


@torch.no_grad()
def leave_out(
    model: Any, skeleton: Skeleton, input_ids: Tensor, fill: Callable[[str], None] = lambda part: None
) -> list[LeftOut]:
    """Remove the modules of a multimodal model that a pass over text alone does not call, and return them.

    `input_ids`: (1, tokens), text. `fill(name)` reads the weights of a module that is called, if they are not in
    memory. A text-only model is left unchanged. Raises ModelError if the model cannot run on text alone.
    """
    if not wraps_text(model):
        return []
    out = []
    for name, weight in _loose_parameters(model, skeleton).items():
        owner, _, own = name.rpartition(".")
        model.get_submodule(owner)._parameters[own] = None
        out.append(LeftOut(name=name, tensors=1, parameters=weight.numel()))
    like = next(skeleton.decoder.parameters())
    stand_ins = {
        name: _StandIn(name, part, like.new_empty(0, device=input_ids.device), fill)
        for name, part in parts_beside(model, skeleton).items()
    }
    for name, stand_in in stand_ins.items():
        _put(model, name, stand_in)
    _run(model, input_ids)
    for name, stand_in in stand_ins.items():
        part = stand_in.part.pop()
        if stand_in.called:
            _put(model, name, part)
            continue
        parameters = sum(weight.numel() for weight in part.parameters())
        if part.state_dict():
            out.append(LeftOut(name=name, tensors=len(part.state_dict()), parameters=parameters))
    return out


def _put(model: Any, name: str, module: nn.Module) -> None:
    owner, _, child = name.rpartition(".")
    setattr(model.get_submodule(owner), child, module)


def _run(model: Any, input_ids: Tensor) -> None:
    try:
        model(input_ids=input_ids, use_cache=False)
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelError(
            f"{type(model).__name__} does not run on text alone ({type(error).__name__}: {reason})",
            "a language model that takes text without images or sound",
            "this architecture is not supported",
        ) from error


def _loose_parameters(model: Any, skeleton: Skeleton) -> dict[str, nn.Parameter]:
    """Return the parameters held directly by the modules around the decoder, such as an end-of-line embedding."""
    loose: dict[str, nn.Parameter] = {}
    for name, module in model.named_modules():
        if module is skeleton.decoder or module is skeleton.unembedding:
            continue
        if any(inner is skeleton.decoder for inner in module.modules()):
            loose |= {f"{name}.{own}" if name else own: p for own, p in module._parameters.items() if p is not None}
    return loose
