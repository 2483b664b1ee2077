"""What attention (or another mixer) and MLP add to the stream: the residual sum selects one of a few readings."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from layeratlas.core.errors import IdentityError, ModelError
from layeratlas.models.anatomy import Contribution, Skeleton
from layeratlas.models.precision import Precision
from layeratlas.models.readings import ABSENT, Option, Options, TapRule, options_of
from layeratlas.models.trace import BlockTrace, Trace


@dataclass(frozen=True)
class _Choice:
    attn: TapRule
    mlp: TapRule
    scales: tuple[float, ...]
    error: float


@dataclass(frozen=True)
class _Part:
    """One block: the values of its attention and MLP taps, and the residual stream before and after it."""

    attn: tuple[Tensor, ...]
    mlp: tuple[Tensor, ...]
    before: Tensor
    after: Tensor

    def error(self, scales: Sequence[float], precision: Precision) -> float:
        scaled = [value * scale for value, scale in zip((*self.attn, *self.mlp), scales, strict=True)]
        zero = torch.zeros_like(self.before)
        attn, mlp = sum(scaled[: len(self.attn)], zero), sum(scaled[len(self.attn) :], zero)
        return sum_error(attn, mlp, self.before, self.after, precision)


def find_sublayers(
    skeleton: Skeleton, trace: Trace, precision: Precision
) -> tuple[dict[str, tuple[Contribution, ...]], dict[str, str]]:
    """Return the contributions of every block, by component, and a description in words of how each is read.

    For each kind of block, the simplest pair of readings (attention or another mixer, MLP) is chosen whose sum is the
    stream after each block minus the stream before it, in scale too. A block may lack one of the two. Raises
    IdentityError if no pair fits, ModelError if no block reads other positions.
    """
    contributions: dict[int, tuple[Contribution, Contribution]] = {}
    words: dict[str, dict[str, set[str]]] = {"attn": defaultdict(set), "mlp": defaultdict(set)}
    floats = _config_floats(skeleton.config)
    for layers in _kinds(trace):
        attn, mlp = ([options_of(trace.blocks[layer], role) for layer in layers] for role in ("attn", "mlp"))
        choice = _choose(attn, mlp, [trace.blocks[layer] for layer in layers], floats, precision)
        if choice.error > precision.sum_limit:
            raise _no_reading(choice.error, layers[0], trace.blocks[layers[0]], floats, precision)
        for place, layer in enumerate(layers):
            first, second = attn[place][choice.attn], mlp[place][choice.mlp]
            cut = len(first.taps)
            pair = _contribution(first, choice.scales[:cut]), _contribution(second, choice.scales[cut:])
            contributions[layer] = pair
            for role, rule, contribution in zip(words, (choice.attn, choice.mlp), pair, strict=True):
                words[role][_how(rule, contribution)].add("+".join(tap.name for tap in contribution.taps))
    sublayers = {
        "attn": tuple(contributions[layer][0] for layer in range(len(contributions))),
        "mlp": tuple(contributions[layer][1] for layer in range(len(contributions))),
    }
    if all(contribution.absent for contribution in sublayers["attn"]):
        raise ModelError("no block has attention or another mixer", "a model that reads its context")
    return sublayers, {role: _described(groups) for role, groups in words.items()}


def _kinds(trace: Trace) -> list[list[int]]:
    """Group the blocks by the names and classes of the modules that they call."""
    kinds: dict[object, list[int]] = defaultdict(list)
    for layer, block in enumerate(trace.blocks):
        kinds[tuple((name, type(call.module)) for name, call in block.calls.items())].append(layer)
    return list(kinds.values())


def _choose(
    attn: list[Options], mlp: list[Options], blocks: list[BlockTrace], floats: list[float], precision: Precision
) -> _Choice:
    """Return the simplest pair of readings that adds up in all these blocks, or else the closest pair."""
    best: _Choice | None = None
    for a, m in sorted(itertools.product(_common(attn), _common(mlp)), key=_effort):
        parts = [
            _Part(options_a[a].values, options_m[m].values, block.before, block.after)
            for options_a, options_m, block in zip(attn, mlp, blocks, strict=True)
        ]
        for scales in _scales(parts, floats, precision.snap):
            error = max(part.error(scales, precision) for part in parts)
            if best is None or error < best.error:
                best = _Choice(a, m, scales, error)
        if best is not None and best.error <= precision.sum_limit:
            return best
    return best or _Choice(ABSENT, ABSENT, (), float("inf"))


def _no_reading(
    error: float, layer: int, block: BlockTrace, floats: list[float], precision: Precision
) -> IdentityError:
    """Return the error; it says so if the block replaces the stream by the output of one of its modules."""
    why = ""
    attn, mlp = [options_of(block, "attn")], [options_of(block, "mlp")]
    for name, call in block.calls.items():
        if any(torch.equal(value, block.before) for value in call.inputs.values()):
            moved = replace(block, before=call.output)
            if _choose(attn, mlp, [moved], floats, precision).error <= precision.sum_limit:
                why = f": it replaces the stream by the output of its {name}"
    return IdentityError(
        f"no reading of the sublayers of block {layer} adds up to the residual stream (best relative error "
        f"{error:.1e}, limit {precision.sum_limit:.0e}){why}",
        "resid[l] + attn[l] + mlp[l] = resid[l+1] at every block",
        "this architecture is not supported",
    )


def _contribution(option: Option, scales: tuple[float, ...]) -> Contribution:
    if len(set(scales)) <= 1:
        return Contribution(option.taps, scales[0] if scales else 1.0, option.sources)
    taps = tuple(replace(tap, scale=scale) for tap, scale in zip(option.taps, scales, strict=True))
    return Contribution(taps, 1.0, option.sources)


def _how(rule: TapRule, contribution: Contribution) -> str:
    if rule.absent:
        return "none"
    scales = [contribution.scale * tap.scale for tap in contribution.taps]
    shown = ", ".join(f"{scale:g}" for scale in dict.fromkeys(scales))
    return rule.words + (f" times {shown}" if set(scales) != {1.0} else "")


def _described(groups: dict[str, set[str]]) -> str:
    present = [f"{' or '.join(sorted(names))}: {how}" for how, names in groups.items() if how != "none"]
    if "none" not in groups:
        return "; ".join(present)
    return "; ".join([*present, "none in other blocks"]) if present else "none"


def sum_error(attn: Tensor, mlp: Tensor, before: Tensor, after: Tensor, precision: Precision) -> float:
    """Return the error of a block's residual sum, relative to the smaller of its two contributions.

    The denominator has a lower bound set by the rounding of the stream, so that rounding does not count as an error;
    dividing by the smaller contribution keeps its error visible.
    """
    sizes = [float(tensor.norm()) for tensor in (attn, mlp, before, after)]
    # An absent sublayer contributes zeros.
    scale = max(min(filter(None, sizes[:2]), default=0.0), precision.visible * max(sizes), 1e-30)
    return float((after - before - attn - mlp).norm()) / scale


def _common(options: list[Options]) -> list[TapRule]:
    return [reading for reading in options[0] if all(reading in block for block in options)]


def _effort(pair: tuple[TapRule, TapRule]) -> int:
    return sum(reading.after + (reading.minus is not None) + (reading.which or 0) for reading in pair)


def _config_floats(config: Any) -> list[float]:
    values = config.to_dict().values()
    return [1.0, *(value for value in values if isinstance(value, float) and value not in (0.0, 1.0))]


def _scales(parts: list[_Part], known: list[float], snap: float) -> list[tuple[float, ...]]:
    """Return the multipliers to try: the config's values nearest to the least-squares fit, or else ones and the fit."""
    taps = len(parts[0].attn) + len(parts[0].mlp)
    left, right = torch.zeros(taps, taps, dtype=torch.float64), torch.zeros(taps, dtype=torch.float64)
    for part in parts:
        change = (part.after - part.before).flatten().cpu()
        size = max(float(change.norm()), 1e-30)
        basis = torch.stack([value.flatten() for value in (*part.attn, *part.mlp)]).cpu() / size
        left += basis @ basis.T
        right += basis @ (change / size)
    fit = (torch.linalg.pinv(left) @ right).tolist()
    near = [min(known, key=lambda v: abs(v - x)) for x in fit]
    if all(abs(v - x) <= snap * abs(v) for v, x in zip(near, fit, strict=True)):
        return [tuple(near)]
    return [(1.0,) * taps, tuple(fit)]
