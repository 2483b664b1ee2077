"""What attention and MLP add to the residual stream: a few readings, of which the residual sum picks one."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from layeratlas.core.errors import IdentityError, ModelError
from layeratlas.models.anatomy import Contribution, Skeleton, Tap
from layeratlas.models.precision import Precision
from layeratlas.models.trace import BlockTrace, Call, Trace

# Names only nominate modules; the residual sum, and the checks that attention mixes positions and the MLP does
# not, decide. Norms and dropouts carry the sublayer's name too (`post_attention_layernorm`) and are left out.
_FRAGMENTS = {
    "attn": re.compile(r"attn|attention|mamba|mixer|^conv$"),
    "mlp": re.compile(r"mlp|ffn|feed_?forward|moe|experts|^fc2$"),
}
_ASIDE = re.compile(r"norm|dropout|^ln_|_ln$|activation|act_fn|gate$|router", re.IGNORECASE)


@dataclass(frozen=True)
class TapRule:
    """One way to read a sublayer, the same in every block.

    `which` numbers the nominated module (None: the sum of all), `after` reads the module that is fed with its output
    (a post-norm), `minus` names the argument whose value the module has already added.
    """

    which: int | None
    after: bool
    minus: int | str | None

    @property
    def words(self) -> str:
        """The reading in words, for errors and `info`."""
        text = "post-norm output" if self.after else "output"
        return text + (" less the residual it was handed" if self.minus is not None else "")


@dataclass(frozen=True)
class _Choice:
    attn: TapRule
    mlp: TapRule
    scales: tuple[float, float]
    error: float


@dataclass(frozen=True)
class _Option:
    taps: tuple[Tap, ...]
    sources: tuple[Tap, ...]
    value: Tensor


_Options = dict[TapRule, _Option]


def find_sublayers(
    skeleton: Skeleton, trace: Trace, precision: Precision
) -> tuple[dict[str, tuple[Contribution, ...]], dict[str, str]]:
    """Return the contributions of every block, by component, and in words how each is read.

    The simplest pair of readings (attention, MLP) is taken for which the stream after each block minus the stream
    before it is the sum of the two, at every block, on magnitude. Raises IdentityError where no pair fits.
    """
    attn = [_options(block, "attn", layer) for layer, block in enumerate(trace.blocks)]
    mlp = [_options(block, "mlp", layer) for layer, block in enumerate(trace.blocks)]
    floats = _config_floats(skeleton.config)
    best: _Choice | None = None
    for a, m in sorted(itertools.product(_common(attn), _common(mlp)), key=_effort):
        parts = [
            (options_a[a].value, options_m[m].value, block.before, block.after)
            for options_a, options_m, block in zip(attn, mlp, trace.blocks, strict=True)
        ]
        for scales in _scales(parts, floats, precision.snap):
            errors = [sum_error(x * scales[0], y * scales[1], pre, post, precision) for x, y, pre, post in parts]
            choice = _Choice(a, m, scales, max(errors))
            if best is None or choice.error < best.error:
                best = choice
        if best is not None and best.error <= precision.sum_limit:
            return _contributions(attn, mlp, best)
    raise IdentityError(
        f"no reading of the sublayers adds up to the residual stream (best relative error "
        f"{best.error if best else float('inf'):.1e}, limit {precision.sum_limit:.0e})",
        "resid[l] + attn[l] + mlp[l] = resid[l+1] at every block",
        "this architecture is not supported",
    )


def _contributions(
    attn: list[_Options], mlp: list[_Options], choice: _Choice
) -> tuple[dict[str, tuple[Contribution, ...]], dict[str, str]]:
    sublayers, words = {}, {}
    sides = (("attn", attn, choice.attn, choice.scales[0]), ("mlp", mlp, choice.mlp, choice.scales[1]))
    for name, options, reading, scale in sides:
        sublayers[name] = tuple(Contribution(block[reading].taps, scale, block[reading].sources) for block in options)
        modules = sorted({"+".join(tap.name for tap in item.taps) for item in sublayers[name]})
        words[name] = f"{' or '.join(modules)}: {reading.words}" + (f" times {scale:g}" if scale != 1.0 else "")
    return sublayers, words


def sum_error(attn: Tensor, mlp: Tensor, before: Tensor, after: Tensor, precision: Precision) -> float:
    """Return how far two contributions are from a block's change, relative to the smaller of the two.

    The scale never falls below what the rounding of the stream itself allows to be seen, so that a small
    contribution cannot hide and rounding is not taken for an error.
    """
    sizes = [float(tensor.norm()) for tensor in (attn, mlp, before, after)]
    scale = max(min(sizes[:2]), precision.visible * max(sizes), 1e-30)
    return float((after - before - attn - mlp).norm()) / scale


def _options(block: BlockTrace, role: str, layer: int) -> _Options:
    calls = {name: call for name, call in block.calls.items() if _nominated(name, call.module, role)}
    if not calls:
        raise ModelError(
            f"block {layer} has no {role} module as wide as the stream among {', '.join(block.calls) or 'nothing'}",
            "attention and an MLP in every block",
            "this architecture is not supported",
        )
    options: _Options = {}
    for number, (name, call) in enumerate(calls.items()):
        source = (Tap(name, call.module),)
        options[TapRule(number, False, None)] = _Option(source, source, call.output)
        for key, value in list(call.inputs.items())[1:]:
            handed = (Tap(name, call.module, key),)
            options[TapRule(number, False, key)] = _Option(handed, source, call.output - value)
        for fed_name, fed in block.calls.items():
            if _is_fed_by(fed, call):
                options[TapRule(number, True, None)] = _Option((Tap(fed_name, fed.module),), source, fed.output)
    if len(calls) > 1:
        taps = tuple(Tap(name, call.module) for name, call in calls.items())
        total = torch.stack([call.output for call in calls.values()]).sum(0)
        options[TapRule(None, False, None)] = _Option(taps, taps, total)
    return options


def _nominated(name: str, module: nn.Module, role: str) -> bool:
    aside = _ASIDE.search(name) or isinstance(module, nn.Dropout) or "norm" in type(module).__name__.lower()
    return not aside and bool(_FRAGMENTS[role].search(name.lower()))


def _is_fed_by(fed: Call, source: Call) -> bool:
    if isinstance(fed.module, nn.Dropout) or fed.module is source.module:
        return False
    return any(
        value.shape == source.output.shape and torch.equal(value, source.output) for value in fed.inputs.values()
    )


def _common(options: list[_Options]) -> list[TapRule]:
    return [reading for reading in options[0] if all(reading in block for block in options)]


def _effort(pair: tuple[TapRule, TapRule]) -> int:
    return sum(reading.after + (reading.minus is not None) + (reading.which or 0) for reading in pair)


def _config_floats(config: Any) -> list[float]:
    values = config.to_dict().values()
    return [1.0, *(value for value in values if isinstance(value, float) and value not in (0.0, 1.0))]


def _scales(
    parts: list[tuple[Tensor, Tensor, Tensor, Tensor]], known: list[float], snap: float
) -> list[tuple[float, float]]:
    """Return the multipliers worth trying: those of the config nearest to the least-squares fit, or the fit."""
    left, right = torch.zeros(2, 2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for attn, mlp, before, after in parts:
        change = (after - before).flatten().cpu()
        size = max(float(change.norm()), 1e-30)
        basis = torch.stack([attn.flatten(), mlp.flatten()]).cpu() / size
        left += basis @ basis.T
        right += basis @ (change / size)
    fit = (torch.linalg.pinv(left) @ right).tolist()
    near = [min(known, key=lambda v: abs(v - x)) for x in fit]
    if all(abs(v - x) <= snap * abs(v) for v, x in zip(near, fit, strict=True)):
        return [(near[0], near[1])]
    return [(1.0, 1.0), (fit[0], fit[1])]
