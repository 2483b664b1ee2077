"""Rotary frequencies that change with text length (dynamic NTK, longrope), and their state between passes."""

from __future__ import annotations

from typing import Any

_DYNAMIC = "dynamic"


def context_of(config: Any) -> int | None:
    """Return the largest number of positions that a text model's config allows, or None if it sets no bound.

    A dynamic rope allows `factor` times the length of the training texts, which is `max_position_embeddings`.
    """
    context = getattr(config, "max_position_embeddings", None) or getattr(config, "max_seq_len", None)
    rope = _rope(config)
    if context and rope.get("rope_type") == _DYNAMIC:
        return int(context * max(1.0, float(rope.get("factor") or 1.0)))
    return context


def switch_of(config: Any) -> int | None:
    """Return the length in tokens beyond which all positions of a text get other frequencies, or None."""
    rope = _rope(config)
    if rope.get("rope_type") == "longrope":
        original = rope.get("original_max_position_embeddings") or getattr(
            config, "original_max_position_embeddings", None
        )
        return None if original is None else int(original)
    if rope.get("rope_type") == _DYNAMIC:
        return int(config.max_position_embeddings)
    return None


def _rope(config: Any) -> dict[str, Any]:
    rope = getattr(config, "rope_parameters", None)
    return rope if isinstance(rope, dict) else {}


def forget_lengths(model: Any) -> None:
    """Reset dynamic frequencies to those of training, so that a pass does not depend on earlier passes.

    transformers keeps the frequencies of the longest text so far, and uses them for every text longer than those of
    training.
    """
    for module in model.modules():
        if getattr(module, "rope_type", None) == _DYNAMIC and hasattr(module, "max_seq_len_cached"):
            module.inv_freq = module.original_inv_freq.to(module.inv_freq.device)
            module.max_seq_len_cached = module.original_max_seq_len
