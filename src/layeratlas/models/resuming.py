"""Forward passes over a range of blocks, starting from a residual stream computed before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from layeratlas.models.anatomy import first_tensor, hidden_of
from layeratlas.models.intervening import swapped
from layeratlas.models.loaded import LoadedModel


class Resumable:
    """A resident model that can run only a range of its blocks.

    The blocks run inside the model's own `forward`, which skips the other blocks; masks and position codes are
    therefore the model's own, and the result equals that of a full pass bit for bit. The constructor runs one pass over
    two tokens to learn in what form blocks return the stream. Raises ModelError for a streamed model.
    """

    def __init__(self, model: LoadedModel) -> None:
        model.demand_whole("passes that begin at a block")
        self.model = model
        self._returned: list[int | None] = []
        handles = [block.register_forward_hook(self._note_form) for block in model.anatomy.blocks]
        try:
            model.run(torch.zeros(1, 2, dtype=torch.long))
        finally:
            for handle in handles:
                handle.remove()

    def _note_form(self, module: nn.Module, args: Any, output: Any) -> None:
        self._returned.append(len(output) if isinstance(output, tuple) else None)

    @torch.inference_mode()
    def stream(self, ids: Tensor, start: int = 0, before: Tensor | None = None, stop: int | None = None) -> Tensor:
        """Return the stream before block `stop` (default: after the last), given the stream `before` block `start`.

        `ids`: int64 (lines, tokens), without padding. `before` and the result: (lines, tokens, d). Without `before` the
        pass starts at the embeddings and ignores `start`. Hooks of the blocks that run are called.
        """
        stop = self.model.anatomy.n_layers if stop is None else stop
        start = 0 if before is None else start
        if before is not None and start == stop:
            return before
        first = stop == 0
        with self._only(start, 1 if first else stop), _ends(self.model, start, before, 1 if first else stop) as ends:
            self.model.run(ids)
        return ends[0] if first else ends[1]

    @contextmanager
    def _only(self, start: int, stop: int) -> Iterator[None]:
        blocks = list(self.model.anatomy.blocks)
        aside = [(blocks[i], self._returned[i]) for i in range(len(blocks)) if not start <= i < stop]
        try:
            for block, returned in aside:
                block.forward = _passing(returned)  # type: ignore[method-assign]
            yield
        finally:
            for block, _ in aside:
                block.__dict__.pop("forward", None)


def _passing(returned: int | None) -> Any:
    def forward(*args: Any, **kwargs: Any) -> Any:
        hidden = hidden_of(args, kwargs)
        return hidden if returned is None else (hidden, *[None] * (returned - 1))

    return forward


@contextmanager
def _ends(model: LoadedModel, start: int, before: Tensor | None, stop: int) -> Iterator[list[Tensor]]:
    """Give block `start` its input, and record that input and the output of block `stop - 1`."""
    ends = [torch.empty(0), torch.empty(0)]

    def enter(module: nn.Module, args: Any, kwargs: Any) -> Any:
        given = hidden_of(args, kwargs)
        ends[0] = given.clone() if before is None else before
        # A copy, since some blocks change their input in place.
        return None if before is None else swapped(args, kwargs, given, before.clone())

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        tensor = first_tensor(output)
        assert tensor is not None
        ends[1] = tensor.clone()

    blocks = model.anatomy.blocks
    handles: list[Any] = [
        blocks[start].register_forward_pre_hook(enter, with_kwargs=True, prepend=True),
        blocks[stop - 1].register_forward_hook(leave),
    ]
    try:
        yield ends
    finally:
        for handle in handles:
            handle.remove()
