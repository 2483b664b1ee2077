"""The names of stores and shards, which tell what two stores of different texts have in common.

A store's key is `ORIGIN-TEXTS`: the model and the settings of its vectors, and the texts. A shard's key is
`CONTENT-ROWS`: all that its bytes depend on besides the origin, and the rows of its texts in the store. A shard whose
name has no such parts is of its own store alone.
"""

from __future__ import annotations

from typing import Any

from layeratlas.core.spec import hash_of


def name_of(shared: Any, own: Any) -> str:
    """Return the name of a store or a shard from what it shares with those of other texts, and from what is its own."""
    return renamed(hash_of(shared), own)


def renamed(name: str, own: Any) -> str:
    """Return the name of the same content, or of a store of the same origin, with another part of its own."""
    return f"{shared_part(name)}-{hash_of(own)}"


def shared_part(name: str) -> str:
    """Return the origin of a store's key, or the content of a shard's."""
    return name.partition("-")[0]
