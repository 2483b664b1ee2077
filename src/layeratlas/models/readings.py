"""Which modules of a block may be its attention (or another mixer) or its MLP, and how each may be read."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from layeratlas.models.anatomy import Tap
from layeratlas.models.trace import BlockTrace, Call

# Names only nominate modules; the residual sum, and the checks that attention mixes positions and the MLP does
# not, decide. Norms and dropouts carry the sublayer's name too (`post_attention_layernorm`) and are left out.
_FRAGMENTS = {
    "attn": re.compile(r"attn|attention|mamba|mixer|lstm|temporal|^conv$"),
    "mlp": re.compile(r"mlp|ffn|feed_?forward|moe|experts|^fc2$"),
}
_ASIDE = re.compile(r"norm|dropout|^ln_|_ln$|activation|act_fn|gate$|router", re.IGNORECASE)
# Some models have one sublayer per block, always under this name (Nemotron-H); its class shows what it is.
_EITHER = "mixer"


@dataclass(frozen=True)
class TapRule:
    """One way to read a sublayer, the same in all blocks of one kind.

    `which` is the index of the nominated module (None: the sum of all). `after` means: read the post-norm that receives
    the module's output. `minus` names the argument that the module has already added. `absent` means: there is no such
    sublayer.
    """

    which: int | None
    after: bool
    minus: int | str | None
    absent: bool = False

    @property
    def words(self) -> str:
        """The reading in words, for errors and `info`."""
        text = "post-norm output" if self.after else "output"
        return text + (" minus its residual input" if self.minus is not None else "")


ABSENT = TapRule(None, False, None, absent=True)


@dataclass(frozen=True)
class Option:
    """A sublayer read by one rule: its taps, the sublayer modules, and the value of each tap."""

    taps: tuple[Tap, ...]
    sources: tuple[Tap, ...]
    values: tuple[Tensor, ...]


Options = dict[TapRule, Option]


def options_of(block: BlockTrace, role: str) -> Options:
    """Return every way to read a block's sublayer (`attn` or `mlp`); only `ABSENT` if no module is nominated."""
    calls = {name: call for name, call in block.calls.items() if _nominated(name, call.module, role)}
    if not calls:
        return {ABSENT: Option((), (), ())}
    options: Options = {}
    for number, (name, call) in enumerate(calls.items()):
        source = (Tap(name, call.module),)
        options[TapRule(number, False, None)] = Option(source, source, (call.output,))
        for key, value in call.inputs.items():
            handed = (Tap(name, call.module, key),)
            options[TapRule(number, False, key)] = Option(handed, source, (call.output - value,))
        for fed_name, fed in block.calls.items():
            if _is_fed_by(fed, call):
                options[TapRule(number, True, None)] = Option((Tap(fed_name, fed.module),), source, (fed.output,))
    if len(calls) > 1:
        taps = tuple(Tap(name, call.module) for name, call in calls.items())
        options[TapRule(None, False, None)] = Option(taps, taps, tuple(call.output for call in calls.values()))
    return options


def _nominated(name: str, module: nn.Module, role: str) -> bool:
    kind = type(module).__name__.lower()
    if _ASIDE.search(name) or isinstance(module, nn.Dropout) or "norm" in kind:
        return False
    if name == _EITHER and _FRAGMENTS["mlp"].search(kind):
        return role == "mlp"
    return bool(_FRAGMENTS[role].search(name.lower()))


def _is_fed_by(fed: Call, source: Call) -> bool:
    if isinstance(fed.module, nn.Dropout) or fed.module is source.module:
        return False
    return any(
        value.shape == source.output.shape and torch.equal(value, source.output) for value in fed.inputs.values()
    )
