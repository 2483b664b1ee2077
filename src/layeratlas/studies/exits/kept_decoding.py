"""The next tokens of prompts at every exit, with the keys and values of what was read before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.errors import CaptureError

if TYPE_CHECKING:
    from torch import Tensor

    from layeratlas.capture import Readout
    from layeratlas.models.decoding import Steps

TokenIds = tuple[int, ...]
# The tokens decoded so far after a prompt (its number) at an exit (its column).
Said = Mapping[tuple[int, int], TokenIds]


class Kept:
    """Continues prompts of one length at several exits, each with its own text, by one token per call.

    A prompt is read once, for all exits and for all prompts that equal it. From the second token on, every prompt has a
    line per exit, and only the newest tokens are read. Lines that are finished are continued by any token: lines do not
    see each other.
    """

    def __init__(self, readout: Readout, steps: Steps, starts: Sequence[TokenIds], exits: Sequence[int]) -> None:
        import torch

        self._readout, self._steps, self._exits = readout, steps, list(exits)
        self._rows = {ids: row for row, ids in enumerate(dict.fromkeys(starts))}
        self._row_of = [self._rows[ids] for ids in starts]
        self._whole = torch.tensor(list(self._rows), device=steps.device)
        self._begun = False

    def __call__(self, said: Said) -> dict[tuple[int, int], int]:
        """Return the next token of each text in `said`: all texts in the first call, then those that go on."""
        if self._begun:
            self._append({(self._row_of[i], e): ids[-1] for (i, e), ids in said.items()})
        tokens = self._next()
        if not self._begun:
            self._steps.repeat(len(self._exits))
            self._whole = self._whole.repeat_interleave(len(self._exits), 0)
            self._begun = True
        return {(i, e): int(tokens[self._row_of[i], e]) for i, e in said}

    def _append(self, newest: Mapping[tuple[int, int], int]) -> None:
        import torch

        column = [newest.get((row, e), 0) for row in self._rows.values() for e in range(len(self._exits))]
        self._whole = torch.cat([self._whole, torch.tensor(column, device=self._whole.device)[:, None]], 1)

    def _next(self) -> NDArray[np.int64]:
        """Return the likeliest next token of every prompt at every exit, (prompts, exits)."""
        import torch

        from layeratlas.models.devices import to_host
        from layeratlas.models.observing import observe

        with torch.inference_mode(), observe(self._readout.anatomy, ["resid"], _last) as seen:
            self._steps.logits(self._whole)
            stream = torch.stack([seen["resid"][point].float() for point in self._exits], 1)
        if self._begun:  # the line of an exit is read out at that exit alone
            lines = stream.view(len(self._rows), len(self._exits), len(self._exits), -1)
            stream = lines.diagonal(dim1=1, dim2=2).transpose(1, 2)
        values = to_host(stream.contiguous()).numpy()
        if not np.isfinite(values).all():
            raise CaptureError(
                "decoding gave an activation that is not finite",
                "finite numbers",
                "load the model with --dtype float32 (float16 overflows in some models)",
            )
        return np.asarray(self._readout.best(values, self._exits), np.int64)


def _last(hidden: Tensor) -> Tensor:
    """Return the last position of a stream (texts, tokens, d)."""
    return hidden[:, -1]
