"""Check the scales of 8-bit float weights: one per weight, with the shape that the block size requires."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from layeratlas.core.errors import ModelError
from layeratlas.models.checkpoint import Checkpoint

_SUFFIXES = ("_scale_inv", "_scale")
_EXPECTED = "a checkpoint of which each 8-bit weight has its own scale"


def demand_scales(model_id: str, checkpoint: Checkpoint, quantised: dict[str, Any]) -> None:
    """Raise ModelError, naming the tensor, if the scale of an 8-bit float weight is missing or has another shape.

    `quantised` is the config's quantisation settings. transformers would multiply by a scale of any shape, and would
    use a weight without a scale unscaled.
    """
    blocks = quantised.get("weight_block_size")
    _demand_method(model_id, str(quantised.get("quant_method")))
    scales = tuple(f"{end}{plural}" for end in _SUFFIXES for plural in ("", "s"))  # some are 8-bit floats themselves
    weights = [name for name, kind in checkpoint.dtypes.items() if kind.startswith("F8") and not name.endswith(scales)]
    if quantised.get("quant_method") == "fp8" and not weights:
        raise ModelError(
            f"the config of '{model_id}' says fp8, and none of its weights is an 8-bit float",
            "the weights that the config describes",
            "remove the quantization_config from config.json if they are plain",
        )
    scaled = {name: [name + end for end in _SUFFIXES if name + end in checkpoint.shapes] for name in weights}
    lacking = [name for name, found in scaled.items() if not found]
    if lacking:
        raise ModelError(
            f"'{model_id}' lacks the scale of {len(lacking)} quantised weights ({lacking[0]}{_SUFFIXES[0]})",
            _EXPECTED,
            "check the download",
        )
    for weight, (scale, *_) in scaled.items():
        shape = checkpoint.shapes[scale]
        wanted = _wanted(checkpoint.shapes[weight], blocks)
        if wanted is not None and shape != wanted:
            misfit = f"{scale} has the shape {list(shape)} where blocks of {blocks} ask for {list(wanted)}"
            raise ModelError(f"'{model_id}' does not match its config: {misfit}", _EXPECTED, "check config.json")
    ends = tuple(f"weight{end}" for end in _SUFFIXES)
    named = {scale for found in scaled.values() for scale in found}
    spare = [name for name in checkpoint if name.endswith(ends) and name not in named]
    if weights and spare:
        raise ModelError(
            f"'{model_id}' holds scales of {len(spare)} weights that are not quantised ({spare[0]})",
            _EXPECTED,
            "check the download",
        )


def _demand_method(model_id: str, method: str) -> None:
    """Raise ModelError for an unknown quantisation, whose weights transformers would use undequantised."""
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING as KNOWN

    known = [name for name in KNOWN if method in (name, "bitsandbytes")]
    if not known:
        raise ModelError(
            f"the config of '{model_id}' names the quantisation '{method}'",
            "one that this transformers knows",
            "update transformers, or dequantise the weights",
        )


def demand_floats(model_id: str, checkpoint: Checkpoint, targets: Mapping[str, str], state: Mapping[str, Any]) -> None:
    """Raise ModelError if integers, booleans or 8-bit floats without scales would be read as plain weights.

    `targets` maps tensors of the checkpoint to names in the model's `state`.
    """
    for name, target in targets.items():
        kind = checkpoint.dtypes[name]
        if state[target].is_floating_point() and not re.fullmatch(r"B?F(16|32|64)", kind):
            raise ModelError(
                f"'{model_id}' holds {name} in {kind}, and its config names no quantisation",
                "plain weights in float32, bfloat16 or float16, or a quantization_config",
                "add the quantization_config to config.json, or dequantise the weights",
            )


def _wanted(weight: tuple[int, ...], blocks: Any) -> tuple[int, ...] | None:
    if not isinstance(blocks, list | tuple) or len(blocks) != 2 or len(weight) < 2:
        return None
    return (*weight[:-2], *(-(-size // int(block)) for size, block in zip(weight[-2:], blocks, strict=True)))
