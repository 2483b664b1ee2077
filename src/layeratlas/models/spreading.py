"""Which models can be spread over processes, and the arguments that make transformers do it."""

from __future__ import annotations

from typing import Any

import torch

from layeratlas.core.errors import ModelError
from layeratlas.core.progress import Progress
from layeratlas.core.spec import ModelSpec
from layeratlas.models.devices import find_device
from layeratlas.models.empty import empty_model
from layeratlas.models.quiet import quiet
from layeratlas.models.sources import find_source
from layeratlas.models.unloaded import read_config


def check_spread(spec: ModelSpec) -> None:
    """Refuse, before any process starts, a spec that cannot be spread over processes."""
    if spec.parallel == 1:
        return
    unlike = {f"{kind} weights": spec.weights == kind for kind in ("streamed", "remote")}
    unlike["an adapter"] = spec.adapter is not None
    source = find_source(spec.id)
    unlike["a .gguf file"] = source.kind == "gguf"
    given = next((name for name, is_given in unlike.items() if is_given), None)
    if given is not None:
        raise ModelError(f"{given} with --parallel {spec.parallel}", "plain weights in memory", "leave out --parallel")
    config, _ = read_config(spec)
    spread(config, [], spec)
    with quiet():
        _demand_plan(spec, empty_model(spec, config, Progress()))
    device = find_device(spec.device)
    if device.type != "cpu" and torch.accelerator.device_count() < spec.parallel:
        raise ModelError(
            f"--parallel {spec.parallel} and {torch.accelerator.device_count()} {device.type} devices",
            "a device for each process",
            "choose fewer",
        )


def spread(config: Any, names: list[str], spec: ModelSpec) -> dict[str, Any]:
    """Return the `from_pretrained` arguments that spread a model; empty if it is not spread.

    `names` are the modules that stay whole because they are read directly: embeddings and unembedding. Raises
    ModelError for a family without a plan, and if the heads cannot be divided among the processes.
    """
    if spec.parallel == 1:
        return {}
    from transformers.distributed.configuration_utils import DistributedConfig

    text = config.get_text_config()
    instead = "use --weights streamed"
    if not getattr(text, "base_model_tp_plan", None):
        name = type(config).__name__.removesuffix("Config")
        raise ModelError(f"transformers has no tensor-parallel plan for {name}", "a family with such a plan", instead)
    for name in ("num_attention_heads", "num_key_value_heads"):
        heads = getattr(text, name, None) or 0
        if heads % spec.parallel:
            raise ModelError(
                f"'{spec.id}' has {heads} of {name}, which {spec.parallel} processes cannot share evenly",
                "a divisor of both numbers of heads",
                f"choose another --parallel, or {instead}",
            )
    return {"distributed_config": DistributedConfig(tp_size=spec.parallel, tp_plan=dict.fromkeys(names, "replicate"))}


def whole_modules(model: Any) -> list[str]:
    """Return the names of the embeddings and the unembedding."""
    whole = {id(module) for module in (model.get_input_embeddings(), model.get_output_embeddings())}
    return [name for name, module in model.named_modules() if id(module) in whole]


def _demand_plan(spec: ModelSpec, bare: Any) -> None:
    """Raise ModelError if the plan of a model without weights names none of them."""
    from transformers.distributed.parallel_utils import replace_layer_number_by_wildcard

    whole = set(whole_modules(bare))
    names = {name for name, _ in bare.named_parameters() if name.rpartition(".")[0] not in whole}
    named = names | {name.rpartition(".")[0] for name in names}
    if not any(replace_layer_number_by_wildcard(name) in bare.tp_plan for name in named):
        raise _shares_none(spec)


def demand_shared(spec: ModelSpec, model: Any) -> None:
    """Raise ModelError if every process holds the whole model, although its plan names some of its weights."""
    from torch.distributed.tensor import DTensor

    if spec.parallel > 1 and not any(isinstance(weight, DTensor) for weight in model.parameters()):
        raise _shares_none(spec)


def _shares_none(spec: ModelSpec) -> ModelError:
    return ModelError(
        f"transformers' tensor-parallel plan for '{spec.id}' shares none of its weights",
        "a plan that shares some",
        "use --weights streamed",
    )
