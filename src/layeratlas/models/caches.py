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


def cache_bytes(config: Any, tokens: int, item: int) -> int:
    """Return the bytes of the keys and values of one text of `tokens` tokens, with `item` bytes per number.

    `config` is that of the text model. Every layer counts as one of full attention with the largest heads that the
    config names, so that other caches are smaller.
    """
    heads = getattr(config, "num_attention_heads", None) or 1
    sizes = [getattr(config, name, None) or 0 for name in ("head_dim", "qk_head_dim", "v_head_dim")]
    width = (getattr(config, "num_key_value_heads", None) or heads) * max(config.hidden_size // heads, *sizes)
    return int(2 * config.num_hidden_layers * width * tokens * item)


def knows_length(cache: Any, tokens: int) -> bool:
    """Tell whether a cache says that it holds so many tokens; one of states alone has no length."""
    try:
        return cache is not None and int(cache.get_seq_length()) == tokens
    except (AttributeError, ValueError):
        return False
