"""The cache of keys and values of a model, under the names that versions of transformers give it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

# The name from transformers 5.24 on, and the one before.
_NAMES = ("cache", "past_key_values")


def cache_name(takes: Collection[str]) -> str:
    """Return the name under which a forward pass takes its cache, of the names of its parameters; '' if it takes none.

    A cache that is returned and not taken back must not be used: the next step would read its own token alone.
    """
    return next((name for name in _NAMES if name in takes), "")


def cache_in(arguments: Mapping[str, Any]) -> Any:
    """Return the cache among the arguments of a forward pass; None if there is none."""
    return next((arguments[name] for name in _NAMES if arguments.get(name) is not None), None)


def knows_length(cache: Any, tokens: int) -> bool:
    """Tell whether a cache says that it holds so many tokens; one of states alone has no length."""
    try:
        return cache is not None and int(cache.get_seq_length()) == tokens
    except (AttributeError, ValueError):
        return False
