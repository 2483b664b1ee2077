"""Find the anatomy of a loaded model: trace one forward pass, and choose the readings that reproduce it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from layeratlas.core.errors import IdentityError, ModelError
from layeratlas.models.anatomy import Anatomy, Skeleton, find_skeleton
from layeratlas.models.devices import wide
from layeratlas.models.precision import Precision, precision_of
from layeratlas.models.sublayers import find_sublayers
from layeratlas.models.trace import Trace, Tracer


def find_anatomy(model: Any, input_ids: Tensor, skeleton: Skeleton | None = None) -> tuple[Anatomy, dict[str, str]]:
    """Find the anatomy of a causal language model from its structure and one forward pass over `input_ids` (1, tokens).

    Pass `skeleton` if some blocks are not in memory. Returns the anatomy, and a description in words of how each
    sublayer and the readout are read. Raises ModelError if the structure does not fit, IdentityError if no reading
    reproduces the stream or the logits.
    """
    skeleton = skeleton or find_skeleton(model)
    precision = precision_of(next(model.parameters()).dtype)
    with torch.no_grad(), Tracer(skeleton) as tracer:
        logits = model(input_ids=input_ids, use_cache=False).logits
    _check_all_ran(skeleton, tracer.trace)
    _check_finite(tracer.trace, next(model.parameters()).dtype)
    sublayers, words = find_sublayers(skeleton, tracer.trace, precision)
    plain = Anatomy(skeleton=skeleton, final_norm=_chain(tracer.trace.tail), sublayers=sublayers)
    scale, softcap = _find_readout(plain, tracer.trace, logits, precision)
    if scale != 1.0:
        words["logits"] = f"times {scale:g}"
    if softcap is not None:
        words["logits"] = ", ".join([*filter(None, [words.get("logits")]), f"softcap {softcap:g}"])
    return replace(plain, scale=scale, softcap=softcap), words


def _check_all_ran(skeleton: Skeleton, trace: Trace) -> None:
    if len(trace.blocks) != skeleton.n_layers:
        raise ModelError(
            f"{len(trace.blocks)} of {skeleton.n_layers} blocks run on text alone (cross-attention to images, say)",
            "every block in a pass over text",
            "this architecture is not supported",
        )


def _check_finite(trace: Trace, dtype: torch.dtype) -> None:
    for layer, block in enumerate(trace.blocks):
        if not bool(block.after.isfinite().all()):
            raise IdentityError(
                f"the residual stream is not finite after block {layer} in {str(dtype).removeprefix('torch.')}",
                "finite numbers",
                "use dtype='bfloat16' or 'float32'",
            )


def _chain(tail: list[nn.Module]) -> nn.Module:
    if len(tail) == 1:
        return tail[0]
    return nn.Sequential(*tail)


def _find_readout(plain: Anatomy, trace: Trace, logits: Tensor, precision: Precision) -> tuple[float, float | None]:
    """Return the first scale and softcap, from none and the config's values, that reproduce the model's logits."""
    last = trace.blocks[-1].after
    wanted = wide(logits[:, -last.shape[1] :])
    raw = wide(plain.logits(last))
    best = float("inf")
    for scale, cap in itertools.product(_logit_scales(plain.skeleton, raw, wanted), _softcaps(plain.skeleton)):
        read = raw * scale
        read = read if cap is None else torch.tanh(read / cap) * cap
        error = float((read - wanted).norm() / wanted.norm())
        if error <= precision.logits_limit:
            return scale, cap
        best = min(best, error)
    raise IdentityError(
        f"final norm and unembedding of the last block do not give the model's logits (relative error {best:.1e}, "
        f"limit {precision.logits_limit:.0e})",
        "a readout with at most a scale and a softcap",
        "this architecture is not supported",
    )


def _logit_scales(skeleton: Skeleton, raw: Tensor, wanted: Tensor) -> list[float]:
    named = [v for k, v in skeleton.config.to_dict().items() if "logit" in k and "scal" in k and _number(v)]
    fit = float((raw * wanted).sum() / (raw * raw).sum())
    return [1.0, *(s for v in named for s in (float(v), 1.0 / v)), fit]


def _softcaps(skeleton: Skeleton) -> list[float | None]:
    named = [v for k, v in skeleton.config.to_dict().items() if "logit" in k and "cap" in k and _number(v)]
    return [None, *map(float, named)]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value != 0
