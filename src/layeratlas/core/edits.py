"""Edits of the residual stream, or of a sublayer's contribution to it, as plain data; `models` applies them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.errors import SpecError
from layeratlas.core.spec import COMPONENTS, Component

Kind = Literal["noise", "absolute noise", "scale", "translate", "zero", "mean", "skip"]
# In an edit of `resid`, the block number of the stream before block 0.
EMBEDDINGS = -1
_STRONG = ("noise", "absolute noise", "scale")
_VECTORS = ("translate", "mean")


@dataclass(frozen=True, eq=False)
class Edit:
    """One change of a forward pass, at some blocks (0-based) of one component.

    The edited value h at token t is a block's output for `resid` (block -1: the embeddings), and the contribution of
    the sublayer to the stream for `attn` and `mlp`. It becomes, by kind:

    - `noise`: h + strength rms(h_t) e / sqrt(n), e ~ N(0, I), n the number of blocks, so that the total variance does
      not grow with their number; with `shared=False` without the sqrt(n);
    - `absolute noise`: h + strength e / sqrt(n);
    - `scale`: strength h;
    - `translate`: h + strength v, `vectors` one v per block, (blocks, d); strength 1 if none is given;
    - `zero`: 0; `mean`: the block's row of `vectors`;
    - `skip`: a block's output is its input, a sublayer adds nothing.

    Noise depends only on the seed, the component, the block, the number of the text and the position in it: it is the
    same in any batch, and at every strength. Raises SpecError for arguments that do not fit together.
    """

    kind: Kind
    layers: tuple[int, ...]
    component: Component = "resid"
    _: KW_ONLY
    strength: float | None = None
    vectors: NDArray[np.floating[Any]] | None = None
    seed: int = 0
    shared: bool = True

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise SpecError(f"unknown edit '{self.kind}'", f"one of {', '.join(get_args(Kind))}")
        if self.component not in COMPONENTS:
            raise SpecError(f"unknown component '{self.component}'", f"one of {', '.join(COMPONENTS)}")
        if not isinstance(self.layers, list | tuple | range) or not all(isinstance(n, Integral) for n in self.layers):
            raise SpecError(f"the edit '{self.kind}' has the blocks {self.layers!r}", "whole numbers in a tuple")
        if not self.layers or len(set(self.layers)) < len(self.layers):
            raise SpecError(f"the edit '{self.kind}' has the blocks {self.layers}", "one block or more, each once")
        bare = self.component != "resid" or self.kind == "skip"
        if min(self.layers) < (0 if bare else EMBEDDINGS):
            raise SpecError(f"'{self.kind}' of {self.component} at block {min(self.layers)}", "blocks from 0 on")
        self._check_numbers()

    def _check_numbers(self) -> None:
        takes = self.kind in _STRONG or self.kind == "translate"
        if (self.kind in _STRONG and self.strength is None) or (not takes and self.strength is not None):
            raise SpecError(f"'{self.kind}' with strength {self.strength}", "a number" if takes else "none")
        if self.strength is not None and not (isinstance(self.strength, Real) and np.isfinite(self.strength)):
            raise SpecError(f"'{self.kind}' with strength {self.strength}", "a finite number")
        if (self.kind in _VECTORS) != (self.vectors is not None):
            raise SpecError(
                f"'{self.kind}' {'with' if self.vectors is not None else 'without'} vectors",
                "one vector per block" if self.kind in _VECTORS else "none",
            )
        if self.vectors is not None and not isinstance(self.vectors, np.ndarray):
            raise SpecError(f"vectors that are {type(self.vectors).__name__}", "a numpy array")
        if self.vectors is not None and (self.vectors.ndim != 2 or len(self.vectors) != len(self.layers)):
            raise SpecError(f"vectors of shape {self.vectors.shape}", f"({len(self.layers)}, width)")

    @property
    def name(self) -> str:
        """The edit in words, such as `skip of blocks 3-5`."""
        component = "" if self.component == "resid" else f"{self.component} of "
        strength = "" if self.strength is None else f" {self.strength:g}"
        return f"{self.kind}{strength} of {component}{blocks_named(self.layers)}"


def blocks_named(layers: Sequence[int]) -> str:
    """Return blocks in words: `block 3`, `blocks 3-5`, `blocks 1, 4`, `the embeddings`."""
    if tuple(layers) == (EMBEDDINGS,):
        return "the embeddings"
    if len(layers) == 1:
        return f"block {layers[0]}"
    if tuple(layers) == tuple(range(layers[0], layers[-1] + 1)):
        return f"blocks {layers[0]}-{layers[-1]}"
    return "blocks " + ", ".join(map(str, layers))


def thirds(layers: int) -> dict[str, tuple[int, int]]:
    """Return three equal spans of blocks, as half-open ranges, for a model with unknown segments."""
    first, second = round(layers / 3), round(2 * layers / 3)
    return {"first third": (0, first), "middle third": (first, second), "last third": (second, layers)}
