"""A model whose weights are on NDIF: its structure and tokenizer here, its forward passes there."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import nn

from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.models.anatomy import Anatomy, find_skeleton
from layeratlas.models.chat import Chat
from layeratlas.models.info import Hashes, describe, tokenizer_hash
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.remote import Remote
from layeratlas.models.rotary import context_of
from layeratlas.models.sources import Source


def check_remote(spec: ModelSpec, source: Source) -> None:
    """Refuse, before anything is read, a spec that NDIF cannot serve."""
    if spec.weights == "remote" and (source.kind == "gguf" or spec.adapter is not None):
        raise ModelError("a .gguf file or an adapter with --weights remote", "a model that NDIF serves")


def read_remotely(spec: ModelSpec, source: Source, model: Any, tokenizer: Any) -> LoadedModel:
    """Return a model whose weights are on NDIF; its anatomy is found by structure and cannot be checked here.

    `model` is without weights.
    """
    skeleton = find_skeleton(model)
    path = next(name for name, module in model.named_modules() if module is skeleton.blocks)
    loaded = LoadedModel(
        model,
        tokenizer,
        Anatomy(skeleton=skeleton, final_norm=nn.Identity(), sublayers={}),
        spec,
        torch.device("cpu"),
        context_of(model.config.get_text_config()),
        chat=Chat(tokenizer, spec) if spec.chat else None,
        remote=Remote(spec, path),
    )
    unproved = {"anatomy": "not proved: the weights are on NDIF", "identities": [], "device": "NDIF", "left_out": []}
    # This keeps a run from mixing activations from NDIF with activations from local files.
    made_from = Hashes(files={"NDIF": f"{spec.id}@{spec.revision or 'newest'}"}, tokenizer=tokenizer_hash(tokenizer))
    unread: dict[str, Any] = {"tensors_not_used": [], "files_not_read": []}
    return dataclasses.replace(loaded, info={**describe(loaded, source, None, made_from), **unproved, **unread})
