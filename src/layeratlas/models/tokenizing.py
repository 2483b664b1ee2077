"""Which BOS token a tokenizer has, the same for one model in two formats."""

from __future__ import annotations

from typing import Any

from layeratlas.core.spec import ModelSpec


def settle_bos(tokenizer: Any, spec: ModelSpec) -> Any:
    """Return the tokenizer, without its BOS token where that is none that texts begin with.

    GGUF files name a BOS token for every model, also for those that have none (Qwen names the padding): one that is
    padding too, and that the tokenizer does not put first by itself (`add_bos_token`), is no BOS token. With
    `bos="tokenizer"`, no token is that the tokenizer does not put first by itself.
    """
    bos = tokenizer.bos_token_id
    if (
        bos is not None
        and not puts_first(tokenizer, bos)
        and (spec.bos == "tokenizer" or bos == tokenizer.pad_token_id)
    ):
        tokenizer.bos_token = None
    return tokenizer


def puts_first(tokenizer: Any, token: int) -> bool:
    """Return whether the tokenizer begins every text with a token by its own rules."""
    ids: list[int] = tokenizer("a", verbose=False)["input_ids"]
    plain: list[int] = tokenizer("a", add_special_tokens=False, verbose=False)["input_ids"]
    return ids[:1] == [token] != plain[:1]


def appends_eos(tokenizer: Any) -> bool:
    """Return whether the tokenizer ends every text with its EOS token by its own rules."""
    eos = tokenizer.eos_token_id
    ids: list[int] = tokenizer("a", verbose=False)["input_ids"]
    plain: list[int] = tokenizer("a", add_special_tokens=False, verbose=False)["input_ids"]
    return eos is not None and ids[-1:] == [eos] != plain[-1:]
