"""The residual stream of every batch between two groups of blocks, in memory up to a budget, then on disk."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from layeratlas.core.own_folders import make_own_folder, remove_abandoned

# Hidden, so that no process takes it for a part of a run.
_PREFIX = ".hidden-"


class HiddenStates:
    """One tensor per batch: up to `budget` bytes stay in memory, the rest goes to a folder that is removed at the end.

    Folders that processes of this machine left in `where` when they were killed are deleted at the start.
    """

    def __init__(self, budget: int, where: Path | None = None) -> None:
        self._free, self.spilled = budget, 0
        where = where or Path(tempfile.gettempdir())
        remove_abandoned(where, _PREFIX)
        self._folder = make_own_folder(where, _PREFIX)
        self._memory: dict[int, Tensor] = {}

    def __enter__(self) -> HiddenStates:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._memory.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def put(self, batch: int, hidden: Tensor) -> None:
        """Store a batch's residual stream; it replaces the one stored before."""
        hidden = hidden.to("cpu")
        size = hidden.numel() * hidden.element_size()
        if batch in self._memory or size <= self._free:
            self._free -= 0 if batch in self._memory else size
            self._memory[batch] = hidden
        else:
            self.spilled += size
            save_file({"hidden": hidden.contiguous()}, self._path(batch))

    def get(self, batch: int, device: torch.device) -> Tensor:
        """Return a batch's residual stream on a device."""
        kept = self._memory.get(batch)
        stream: Tensor = load_file(self._path(batch))["hidden"] if kept is None else kept
        return stream.to(device)

    def _path(self, batch: int) -> Path:
        return self._folder / f"{batch}.safetensors"


def remove_spilled(where: Path) -> None:
    """Remove what processes of any machine have left in a folder; none may be at work there."""
    for left in where.glob(f"{_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
