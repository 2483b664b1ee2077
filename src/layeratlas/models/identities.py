"""The identities that every loaded model must satisfy, one function each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from layeratlas.core.spec import COMPONENTS
from layeratlas.models.anatomy import first_tensor
from layeratlas.models.devices import wide
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.observing import Seen, observe, unflatten
from layeratlas.models.precision import Precision
from layeratlas.models.sublayers import sum_error

TEXTS = (
    "The river rose.",
    "When the committee met, nobody had read it.",
    "In 1969 two people walked on the Moon, far from home.",
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The result of one self-test: its relative error, the limit for the model's dtype, and where the error is largest.

    A test that is not `required` records what the family supports (left padding); a failure does not refuse the model.
    """

    name: str
    error: float
    limit: float
    passed: bool
    detail: str
    required: bool = True

    def record(self) -> dict[str, Any]:
        """Return the identity as a JSON-able dict."""
        return asdict(self)


def observed(loaded: LoadedModel, ids: Tensor, mask: Tensor | None = None, positions: Tensor | None = None) -> Seen:
    """Run one forward pass and return every component at every layer, (batch, tokens, d) each."""
    with observe(loaded.anatomy, COMPONENTS, torch.clone) as seen:
        loaded.run(ids, mask, positions)
    return seen


class _Worst:
    """The largest error so far; NaN counts as infinite."""

    def __init__(self) -> None:
        self.error, self.where = 0.0, "no difference"

    def add(self, error: float, where: str) -> None:
        error = float("inf") if math.isnan(error) else error
        if error > self.error:
            self.error, self.where = error, f"worst at {where}"


def residual_sum(alone: list[Seen], precision: Precision) -> Identity:
    """The stream after each block minus the stream before it must be the sum of the two contributions."""
    worst = _Worst()
    for text, seen in enumerate(alone):
        for layer in range(len(seen["attn"])):
            # Leave out position 0: an attention sink, hundreds of times larger, would hide errors elsewhere.
            before, after, attn, mlp = (
                wide(t[:, 1:])
                for t in (seen["resid"][layer], seen["resid"][layer + 1], seen["attn"][layer], seen["mlp"][layer])
            )
            error = sum_error(attn, mlp, before, after, precision)
            worst.add(error, f"block {layer}, text {text}")
    return _judge("residual sum", worst.error, precision.sum_limit, worst.where)


class MiddleText:
    """One text's forward pass with logits, in which each MLP is called again on the last position alone."""

    def __init__(self, loaded: LoadedModel, ids: list[int]) -> None:
        self.errors: dict[str, float] = {}
        handles = [
            tap.module.register_forward_hook(self._checker(f"block {layer} ({tap.name})"), with_kwargs=True)
            for layer, contribution in enumerate(loaded.anatomy.sublayers["mlp"])
            for tap in contribution.sources
        ]
        try:
            with observe(loaded.anatomy, COMPONENTS, torch.clone) as self.seen:
                self.logits = loaded.run(torch.tensor([ids]), logits=True)
        finally:
            for handle in handles:
                handle.remove()

    def _checker(self, where: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            try:
                again = module.forward(*map(_last, args), **{key: _last(value) for key, value in kwargs.items()})
            except (RuntimeError, ValueError, TypeError, IndexError):
                # A module that cannot process one position alone is not an MLP.
                self.errors[where] = float("inf")
                return
            whole, alone = first_tensor(output), first_tensor(again)
            if whole is not None and alone is not None:
                self.errors[where] = _distance(unflatten(alone, 1), unflatten(whole, 1)[:, -1:])

        return hook


def _last(value: Any) -> Any:
    if not isinstance(value, Tensor) or value.dim() not in (2, 3):
        return value
    return value[:, -1:] if value.dim() == 3 else value[-1:]


def position_wise(middle: MiddleText, precision: Precision) -> Identity:
    """The MLP must not read other positions: its output for one position alone must be the same."""
    worst = _Worst()
    for where, error in middle.errors.items():
        worst.add(error, where)
    return _judge("MLP is position-wise", worst.error, precision.batch_limit, worst.where)


def readout(loaded: LoadedModel, middle: MiddleText, precision: Precision) -> Identity:
    """Final norm and unembedding of the last block's output must be the model's logits at every token."""
    wanted = wide(middle.logits)
    read = wide(loaded.anatomy.logits(middle.seen["resid"][-1]))
    each = (read - wanted).norm(dim=-1) / wanted.norm(dim=-1).clamp_min(1e-30)
    return _judge("logits", float(each.max()), precision.logits_limit, f"worst at token {int(each.argmax())}")


def padding(loaded: LoadedModel, texts: list[list[int]], alone: list[Seen], precision: Precision) -> list[Identity]:
    """A text must have the same activations alone as in a batch padded on either side."""
    longest = max(map(len, texts))
    identities = []
    for side in ("right", "left"):
        ids = torch.zeros(len(texts), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        starts = [0 if side == "right" else longest - len(text) for text in texts]
        for row, (text, start) in enumerate(zip(texts, starts, strict=True)):
            ids[row, start : start + len(text)] = torch.tensor(text)
            mask[row, start : start + len(text)] = 1
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        seen = observed(loaded, ids, mask, positions)
        worst = _Worst()
        for row, (text, start) in enumerate(zip(texts, starts, strict=True)):
            for name in COMPONENTS:
                for layer, whole in enumerate(alone[row][name]):
                    padded = seen[name][layer][row : row + 1, start : start + len(text)]
                    # Leave out position 0, whose norm would hide the rest.
                    worst.add(_distance(padded[:, 1:], whole[:, 1:]), f"text {row}, {name} {layer}")
        title = f"alone equals {side}-padded"
        identities.append(_judge(title, worst.error, precision.batch_limit, worst.where, required=side == "right"))
    return identities


def _distance(value: Tensor, expected: Tensor) -> float:
    truth = wide(expected)
    return float((wide(value) - truth).norm() / truth.norm().clamp_min(1e-30))


def one_bos(loaded: LoadedModel) -> Identity:
    """Encoding must put exactly one BOS first, or none if the tokenizer has no BOS."""
    bos, ids = loaded.bos_id, loaded.encode(TEXTS[1])
    if bos is None:
        plain = loaded.tokenizer(TEXTS[1], add_special_tokens=False)["input_ids"]
        return _judge("no BOS", float(ids != plain), 0.0, "none is prepended")
    count = ids.count(bos)
    first = ids[0] == bos
    return _judge("one BOS", float(abs(count - 1) + (not first)), 0.0, f"{count} found, first: {first}")


def causal_and_mixing(loaded: LoadedModel, ids: list[int], precision: Precision) -> list[Identity]:
    """A token must not change earlier positions; earlier tokens must change the output of the first attention or mixer.

    At that first mixer the input at the last position is the same in both texts, since all earlier blocks have an MLP
    only. Its output can change only if the module reads other positions, so an MLP mistaken for attention fails.
    """
    vocabulary = int(loaded.anatomy.skeleton.config.vocab_size)
    other = [(token + 1) % vocabulary for token in ids]
    seen = observed(loaded, torch.tensor([ids, [*ids[:-1], other[-1]], [ids[0], *other[1:-1], ids[-1]]]))
    worst = _Worst()
    for layer, resid in enumerate(seen["resid"]):
        worst.add(_distance(resid[1, :-1], resid[0, :-1]), f"resid {layer}")
    first = next(layer for layer, attn in enumerate(loaded.anatomy.sublayers["attn"]) if not attn.absent)
    change = _distance(seen["attn"][first][2, -1], seen["attn"][first][0, -1])
    still = float(not change > precision.mixing)
    return [
        _judge("causality", worst.error, precision.batch_limit, worst.where),
        _judge("attention mixes positions", still, 0.0, f"at block {first} earlier tokens change it by {change:.1e}"),
    ]


def _judge(name: str, error: float, limit: float, detail: str, required: bool = True) -> Identity:
    # `<=` is False for NaN, so a model that overflows fails.
    passed = bool(error <= limit)
    return Identity(name=name, error=error, limit=limit, passed=passed, detail=detail, required=required)
