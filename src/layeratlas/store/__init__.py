"""Stores of vectors: in memory (the reference) or on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layeratlas.core.lazy import lazy
from layeratlas.store.contract import Shape, Store

if TYPE_CHECKING:
    from layeratlas.store.disk import DiskStore
    from layeratlas.store.memory import MemoryStore

__all__ = ["DiskStore", "MemoryStore", "Shape", "Store"]
# The contract of a store does not need torch.
__getattr__ = lazy(__name__, {"disk": ["DiskStore"], "memory": ["MemoryStore"]})
