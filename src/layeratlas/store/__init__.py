"""Stores of vectors: in memory (the reference) or on disk."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from layeratlas.store.contract import Shape, Store

if TYPE_CHECKING:
    from layeratlas.store.disk import DiskStore
    from layeratlas.store.memory import MemoryStore

__all__ = ["DiskStore", "MemoryStore", "Shape", "Store"]
_HOME = {"DiskStore": "disk", "MemoryStore": "memory"}


def __getattr__(name: str) -> Any:
    # Imported on first use: the contract of a store does not need torch.
    if name not in _HOME:
        raise AttributeError(f"module 'layeratlas.store' has no attribute '{name}'")
    return getattr(importlib.import_module(f"layeratlas.store.{_HOME[name]}"), name)
