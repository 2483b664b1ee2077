"""Where vectors are kept: in memory (the reference) or on disk."""

from layeratlas.store.disk import DiskStore
from layeratlas.store.memory import MemoryStore

__all__ = ["DiskStore", "MemoryStore"]
