"""Which BOS token texts begin with, consistently between a model's GGUF and safetensors files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from layeratlas.core.spec import ModelSpec

# Encodes several texts into token ids.
EncodeAll = Callable[[Sequence[str]], list[list[int]]]


def read_tokenizer(spec: ModelSpec, common: dict[str, Any]) -> Any:
    """Return a model's tokenizer with its BOS settled; `common` are the arguments of `from_pretrained`."""
    from transformers import AutoTokenizer

    return settle_bos(AutoTokenizer.from_pretrained(**common), spec)


def settle_bos(tokenizer: Any, spec: ModelSpec) -> Any:
    """Return the tokenizer; remove its BOS token if texts do not begin with it.

    GGUF files name a BOS token for every model, even if it has none (Qwen's files name the padding token). A BOS token
    is removed if the tokenizer does not put it first by default (`add_bos_token`) and it is also the padding token.
    With `bos="tokenizer"`, the first condition is enough.
    """
    bos = tokenizer.bos_token_id
    if (
        bos is not None
        and not puts_first(tokenizer, bos)
        and (spec.bos == "tokenizer" or bos == tokenizer.pad_token_id)
    ):
        tokenizer.bos_token = None
    return tokenizer


def bos_of(tokenizer: Any, spec: ModelSpec) -> int | None:
    """Return the token that every text begins with; None if the settled tokenizer has none or the spec says never."""
    bos: int | None = None if spec.bos == "never" else tokenizer.bos_token_id
    return bos


def with_bos(ids: Sequence[int], bos: int | None) -> list[int]:
    """Return the tokens of a text with exactly one BOS first: a text that spells it out already has one."""
    return list(ids) if bos is None or list(ids[:1]) == [bos] else [bos, *ids]


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
