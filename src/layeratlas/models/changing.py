"""How an edit changes a tensor; its noise depends only on seed, component, layer, text and position."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layeratlas.core.edits import Edit
from layeratlas.core.errors import SpecError
from layeratlas.core.spec import COMPONENTS

Change = Callable[[Tensor], Tensor]


class Lines:
    """The texts in a forward pass: `samples[i]` is the number of the text in row i of the batch (i by default).

    Positions are read from each forward pass: from its `position_ids`, or else by counting columns from the length of
    the cache. Positions before `first` are not edited.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self.samples: Sequence[int] | None = None
        self.positions = torch.zeros(1, 0, dtype=torch.long)

    def numbers(self, batch: int) -> Sequence[int]:
        """Return the number of the text in each row; raises SpecError if their count differs from the batch size."""
        numbers = range(batch) if self.samples is None else self.samples
        if len(numbers) != batch:
            raise SpecError(f"{len(numbers)} text numbers for {batch} lines", "one number per line")
        return numbers

    def late(self, device: torch.device) -> Tensor:
        """Return a mask of the edited positions, bool (lines or 1, tokens, 1)."""
        return (self.positions >= self.first).to(device)[..., None]


def change_of(edit: Edit, place: int, lines: Lines) -> Change:
    """Return the function that applies an edit to values (lines, tokens, d) at block `edit.layers[place]`.

    It keeps the dtype, and leaves positions that are not edited bit-identical.
    """
    strength = 1.0 if edit.strength is None else edit.strength
    vector = torch.zeros(1) if edit.vectors is None else torch.from_numpy(edit.vectors[place].astype(np.float32))
    noise = _Noise((edit.seed, COMPONENTS.index(edit.component), edit.layers[place] + 1), lines)
    sigma = strength / (len(edit.layers) ** 0.5 if edit.shared else 1.0)
    changes: dict[str, Change] = {
        "noise": lambda h: h + sigma * h.square().mean(-1, keepdim=True).sqrt() * noise.like(h),
        "absolute noise": lambda h: h + sigma * noise.like(h),
        "scale": lambda h: h * strength,
        "translate": lambda h: h + strength * vector.to(h.device),
        "mean": lambda h: vector.to(h.device).expand_as(h),
    }
    transform = changes.get(edit.kind, torch.zeros_like)  # zero, and a sublayer's skip

    def apply(values: Tensor) -> Tensor:
        return torch.where(lines.late(values.device), transform(values.float()).to(values.dtype), values)

    return apply


class _Noise:
    """Standard normal numbers (positions, d) for each text. Asking for more positions extends the same sequence."""

    def __init__(self, key: tuple[int, ...], lines: Lines) -> None:
        self._key, self._lines = key, lines
        self._drawn: dict[int, NDArray[np.float32]] = {}

    def like(self, values: Tensor) -> Tensor:
        positions = self._lines.positions.expand(values.shape[:2]).cpu().numpy()
        numbers = self._lines.numbers(len(values))
        rows = [self._text(n, values.shape[2])[at] for n, at in zip(numbers, positions, strict=True)]
        return torch.from_numpy(np.stack(rows)).to(values.device)

    def _text(self, number: int, width: int) -> NDArray[np.float32]:
        length = int(self._lines.positions.max()) + 1
        if len(self._drawn.get(number, ())) < length:
            rng = np.random.default_rng([*self._key, number])
            # The buffer doubles, since decoding asks for one more position per step.
            room = max(64, 1 << (length - 1).bit_length())
            self._drawn[number] = rng.standard_normal((room, width), dtype=np.float32)
        return self._drawn[number]
