"""The log-normalisers of exits: by the 8-bit screen if it is faster on this machine, else over the whole vocabulary."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from layeratlas.capture.screening import TOLERANCE, Screen
from layeratlas.capture.unembedding import Unembedding
from layeratlas.core.errors import CaptureError

# With fewer words, fewer rows, or fewer rows than twice the width, building the screen does not pay.
_WORDS, _ROWS, _WIDTHS = 16_384, 4096, 2
# Rows on which both methods are timed; rows of each later batch that are also computed exactly, as a check.
TRIED, _CHECKED = 512, 2
_GAIN = 1.25
# Each method's least time counts: its first call prepares the product, and other work slows single calls.
_TURNS = 3


class Normalisers:
    """The log-sum-exp of all logits, with an error of at most `TOLERANCE` nats.

    The faster method is measured once, on the first states. Rows that the screen does not accept are computed exactly.
    As a check, so are two accepted rows of every batch, drawn at random. With `exact` the screen is not used.
    """

    def __init__(self, unembedding: Unembedding, exact: bool = False) -> None:
        self._unembedding, self._exact = unembedding, exact
        self._screen: Screen | None = None
        self._decided = exact or not _can_be_screened(unembedding)
        self._lock = Lock()
        # Rows at fixed places of a batch would always check the same answers of a question.
        self._places = torch.Generator().manual_seed(0)
        self._coming = self._rows = self._again = self._checked = 0
        self._difference = 0.0

    def prepare(self, rows: int, sample: Callable[[], Tensor]) -> None:
        """Choose the method once enough rows have come for it to matter; `sample` returns some normed states (n, d)."""
        self._coming += rows
        if self._decided or self._coming < max(_ROWS, _WIDTHS * self._unembedding.weight.shape[1]):
            return
        self._decided = True
        tried = sample()
        self._screen = Screen(self._unembedding.weight, self._unembedding.scale)
        whole, screened = inf, inf
        for _ in range(_TURNS):
            seconds, _ = _timed(lambda: self._unembedding.normaliser(tried))
            whole = min(whole, seconds)
            seconds, (_, sure) = _timed(lambda: self._screened(tried))
            screened = min(screened, seconds)
        screened += whole * float((~sure).float().mean())
        if whole < _GAIN * screened:
            self._screen = None

    def __call__(self, ready: Tensor, exactly: Tensor | None = None) -> Tensor:
        """Return the normalisers of normed states (n, d), float32 (n,) in nats; rows in `exactly`, bool (n,), exactly.

        Raises CaptureError if the error of an accepted row exceeds `TOLERANCE`.
        """
        if self._screen is None:
            return self._unembedding.normaliser(ready)
        asked = torch.zeros(len(ready), dtype=torch.bool) if exactly is None else exactly
        rows = (~asked).nonzero()[:, 0]
        values = torch.empty(len(ready))
        values[rows], sure = self._screened(ready[rows])
        vouched = rows[sure]
        with self._lock:
            checked = vouched[torch.randperm(len(vouched), generator=self._places)[:_CHECKED]]
        again = torch.cat([asked.nonzero()[:, 0], rows[~sure]])
        exact = self._unembedding.normaliser(ready[torch.cat([again, checked])])
        apart = (values[checked] - exact[len(again) :]).abs()
        self._note(len(rows), len(rows) - len(vouched), apart)
        values[again] = exact[: len(again)]
        return values

    def record(self) -> dict[str, Any]:
        """Return the entry in `run.json`: the method, and the screen's rows, exactly computed rows and checks."""
        if self._screen is None:
            return {"way": "whole vocabulary"}
        return {
            "way": "8-bit screen",
            "rows": self._rows,
            "exactly": self._again,
            "checked": self._checked,
            "largest_difference": self._difference,
        }

    def _screened(self, ready: Tensor) -> tuple[Tensor, Tensor]:
        assert self._screen is not None
        return self._screen(ready)

    def _note(self, rows: int, again: int, apart: Tensor) -> None:
        with self._lock:
            self._rows, self._again, self._checked = self._rows + rows, self._again + again, self._checked + len(apart)
            self._difference = max([self._difference, *apart.tolist()])
            if self._difference > TOLERANCE:
                raise CaptureError(
                    f"the normaliser of an exit is {self._difference:.1e} nats off",
                    f"at most {TOLERANCE:.0e}",
                    "use --set normaliser=exact and another --out",
                )


def _can_be_screened(unembedding: Unembedding) -> bool:
    weight = unembedding.weight
    plain = weight.device.type == "cpu" and weight.dtype is torch.float32 and hasattr(torch, "_int_mm")
    return plain and unembedding.bias is None and unembedding.softcap is None and len(weight) >= _WORDS


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of this thread that a call takes, and its result."""
    start = time.thread_time()
    value = function()
    return time.thread_time() - start, value
