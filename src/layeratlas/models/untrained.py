"""A model's architecture with new random weights: its layers before any training."""

from __future__ import annotations

import dataclasses
from copy import deepcopy

import torch

from layeratlas.core.progress import Progress
from layeratlas.models.anatomy import find_skeleton
from layeratlas.models.discover import find_anatomy
from layeratlas.models.empty import with_kernel
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.precision import dtype_of
from layeratlas.models.products import EXACT
from layeratlas.models.quiet import quiet
from layeratlas.models.selftest import demand, sample_ids, self_test
from layeratlas.models.wrappers import auto_class, leave_out


def untrained(like: LoadedModel, seed: int) -> LoadedModel:
    """Return a model with the same config, tokenizer, dtype and attention kernel, and newly initialised weights.

    The same seed gives the same weights; the state of torch's generators does not change. Raises the errors of `load`
    if the random model fails a self-test.
    """
    config = deepcopy(like.model.config)
    for name in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(config, name):
            delattr(config, name)
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        spec = like.spec.model_copy(update={"attention": config._attn_implementation or like.spec.attention})
        model = with_kernel(
            spec,
            Progress(),
            lambda attention: auto_class(config).from_config(
                config,
                dtype=dtype_of(like.spec.dtype),
                attn_implementation=attention,
                trust_remote_code=like.spec.trust_remote_code,
            ),
        )
    model = model.to(like.device).eval().requires_grad_(False)
    bare = dataclasses.replace(like, model=model, streamer=None, team=None, products=EXACT)
    ids = torch.tensor([sample_ids(bare)[1]], device=like.device)
    leave_out(model, find_skeleton(model), ids)
    anatomy, _ = find_anatomy(model, ids)
    loaded = dataclasses.replace(bare, anatomy=anatomy, like=like)
    demand(loaded, self_test(loaded))
    return loaded
