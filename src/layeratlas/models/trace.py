"""Trace one forward pass: the inputs and outputs of each block and of its direct children."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from layeratlas.models.anatomy import Skeleton, first_tensor, hidden_of
from layeratlas.models.devices import wide
from layeratlas.models.observing import owned, unflatten

ROWS = 4  # the last positions of one text; with the width they give thousands of equations per block


@dataclass
class Call:
    """One call of a module: its inputs of the stream's width, by position or keyword, and its output."""

    module: nn.Module
    inputs: dict[int | str, Tensor]
    output: Tensor


@dataclass
class BlockTrace:
    """The stream before and after one block, and the calls of its direct children."""

    before: Tensor
    after: Tensor
    calls: dict[str, Call] = field(default_factory=dict)


@dataclass
class Trace:
    """All blocks, and the modules outside them that ran after the last block, in order."""

    blocks: list[BlockTrace]
    tail: list[nn.Module]


class Tracer:
    """Trace one forward pass of a skeleton; use it as a context manager and read `trace` afterwards."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.trace = Trace([], [])
        self._handles: list[Any] = []

    def __enter__(self) -> Tracer:
        for block in self.skeleton.blocks:
            self._handles += [
                block.register_forward_pre_hook(self._enter_block, with_kwargs=True),
                block.register_forward_hook(self._leave_block),
            ]
            for name, child in block.named_children():
                self._handles.append(child.register_forward_hook(self._child(name), with_kwargs=True))
        for child in (*self.skeleton.decoder.children(), *self.skeleton.heads):
            if child is not self.skeleton.blocks and child is not self.skeleton.unembedding:
                self._handles.append(child.register_forward_hook(self._beside))
        return self

    def __exit__(self, *exc: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _enter_block(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        hidden = hidden_of(args, kwargs)
        self._batch = hidden.shape[0]
        self.trace.blocks.append(BlockTrace(_rows(hidden), _rows(hidden)))
        self.trace.tail.clear()

    def _leave_block(self, module: nn.Module, args: Any, output: Any) -> None:
        tensor = first_tensor(output)
        if tensor is not None:
            self.trace.blocks[-1].after = _rows(tensor)

    def _child(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            tensor = first_tensor(output)
            if tensor is None or tensor.dim() not in (2, 3) or tensor.shape[-1] != self.skeleton.width:
                return
            given: dict[int | str, Any] = {**dict(enumerate(args)), **kwargs}
            inputs = {key: self._read(value) for key, value in given.items() if self._is_stream(value)}
            self.trace.blocks[-1].calls[name] = Call(module, inputs, self._read(tensor))

        return hook

    def _beside(self, module: nn.Module, args: Any, output: Any) -> None:
        if self.trace.blocks and first_tensor(output) is not None:
            self.trace.tail.append(module)

    def _is_stream(self, value: Any) -> bool:
        return isinstance(value, Tensor) and value.dim() in (2, 3) and value.shape[-1] == self.skeleton.width

    def _read(self, tensor: Tensor) -> Tensor:
        return _rows(unflatten(tensor, self._batch))


def _rows(tensor: Tensor) -> Tensor:
    return wide(owned(lambda t: t[:, -ROWS:], tensor))
