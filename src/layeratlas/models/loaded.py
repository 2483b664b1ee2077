"""A loaded model: text to token ids, token ids to a forward pass."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.models.anatomy import Anatomy
from layeratlas.models.chat import Chat, Framed
from layeratlas.models.products import EXACT, Products, multiplying
from layeratlas.models.remote import Remote
from layeratlas.models.rotary import forget_lengths
from layeratlas.models.streamed import Streamer
from layeratlas.models.team import Team
from layeratlas.models.tokenizing import bos_of, with_bos
from layeratlas.models.wrappers import wraps_text


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model in evaluation mode, with the anatomy that its self-tests proved.

    `context` is the largest number of positions, or None if the model sets no bound. `info` is a JSON-able record of
    what was loaded, for `run.json`. With a `streamer` the weights of the blocks are not in memory: use `with_blocks` or
    `sample`. With a `remote` this machine holds no weights; only the residual stream can be read, from NDIF. With a
    `team` the weights are spread over processes, and forward passes are announced to the others, which end when the
    model is closed; it is a context manager. With a `chat`, `frame` and `encode_prompt` wrap texts and questions in
    its template. `products` is how float32 matrices are multiplied in forward passes. `like` is the model whose
    architecture a model with random weights has.
    """

    model: Any
    tokenizer: Any
    anatomy: Anatomy
    spec: ModelSpec
    device: torch.device
    context: int | None
    info: dict[str, Any] = field(default_factory=dict)
    streamer: Streamer | None = None
    chat: Chat | None = None
    team: Team | None = None
    remote: Remote | None = None
    products: Products = EXACT
    like: LoadedModel | None = None

    def with_products(self, products: Products) -> LoadedModel:
        """Return the same model with its float32 matrices multiplied in another way."""
        return replace(self, products=products)

    def close(self) -> None:
        """End the processes that hold a share of the weights; a model in one process needs no end."""
        if self.team is not None:
            self.team.close()

    def __enter__(self) -> LoadedModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def demand_here(self, purpose: str) -> None:
        """Raise ModelError if the weights are on NDIF."""
        if self.remote is not None:
            raise ModelError(
                f"the weights of '{self.spec.id}' are on NDIF, which gives the residual stream alone",
                f"weights on this machine for {purpose}",
                "leave out --weights remote, or run the study 'hierarchy'",
            )

    def demand_whole(self, purpose: str) -> None:
        """Raise ModelError if the weights are on NDIF, streamed, or spread over processes."""
        self.demand_here(purpose)
        if self.streamer is not None:
            raise ModelError(
                f"'{self.spec.id}' is streamed, so that no forward pass holds all its blocks",
                f"a model whose weights are in memory for {purpose}",
                "use --weights resident",
            )
        if self.team is not None:
            raise ModelError(
                f"the weights of '{self.spec.id}' are spread over {self.team.count} processes",
                f"a model in one process for {purpose}",
                "leave out --parallel",
            )

    @contextlib.contextmanager
    def with_blocks(self, layers: Sequence[int]) -> Iterator[LoadedModel]:
        """Restrict a streamed model to some blocks, loaded into memory and numbered from 0."""
        if self.streamer is None:
            raise ModelError("a resident model was asked for a part of its blocks", "a streamed model")
        with self.streamer.only(layers) as skeleton:
            sublayers = {c: tuple(whole[layer] for layer in layers) for c, whole in self.anatomy.sublayers.items()}
            yield replace(self, anatomy=replace(self.anatomy, skeleton=skeleton, sublayers=sublayers))

    @contextlib.contextmanager
    def sample(self) -> Iterator[LoadedModel]:
        """Yield a model for trial passes: this one, or, for a streamed model, one block of each kind."""
        if self.streamer is None:
            yield self
            return
        kinds = self.streamer.sample
        self.streamer.load(kinds)
        with self.with_blocks(kinds) as loaded:
            yield loaded

    @property
    def bos_id(self) -> int | None:
        """The BOS token that `encode` puts first; None if the tokenizer has none or the spec says never."""
        return bos_of(self.tokenizer, self.spec)

    def encode(self, text: str) -> list[int]:
        """Return a text's token ids, with exactly one BOS first if the tokenizer has one, whatever its default.

        Raises ModelError if a token id exceeds the model's embedding.
        """
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return self._checked(text, with_bos(ids, self.bos_id))

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """Return `encode(text)` for every text; a fast tokenizer encodes them in parallel on all cores."""
        if not texts:
            return []
        options = {"add_special_tokens": False, "return_attention_mask": False, "verbose": False}
        ids = self.tokenizer(list(texts), **options)["input_ids"]
        return [self._checked(text, with_bos(of_text, self.bos_id)) for text, of_text in zip(texts, ids, strict=True)]

    def encode_with_offsets(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return `encode(text)` and each token's `(start, end)` in characters; a BOS put first gets (0, 0).

        Raises ModelError if the tokenizer is not a fast one, or if a token id exceeds the model's embedding.
        """
        if not self.tokenizer.is_fast:
            raise ModelError(
                f"the tokenizer of '{self.spec.id}' ({type(self.tokenizer).__name__}) gives no character offsets",
                "a fast tokenizer (tokenizer.json)",
                "use position 'last' or 'mean'",
            )
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids = self._checked(text, with_bos(encoded["input_ids"], self.bos_id))
        spans = [(int(start), int(end)) for start, end in encoded["offset_mapping"]]
        return ids, [(0, 0)] * (len(ids) - len(spans)) + spans

    def frame(self, text: str, answer: bool = False) -> Framed:
        """Return the tokens of a chat with `text` as user turn; with `answer`, include the opening of an answer.

        Raises ModelError if the spec asks for no chat, the template changes the text, or a token id exceeds the model's
        embedding.
        """
        if self.chat is None:
            raise ModelError(f"'{self.spec.id}' was loaded without a chat", "chat=True (--chat)")
        framed = self.chat.frame(text, answer)
        self._checked(text, list(framed.ids))
        return framed

    def encode_prompt(self, text: str) -> list[int]:
        """Return the token ids of a prompt, stripped of trailing white space; a rendered chat is encoded unchanged."""
        if self.chat is None:
            return self.encode(text.rstrip())
        return self._checked(text, self.chat.tokens(text))

    def _checked(self, text: str, ids: list[int]) -> list[int]:
        rows = self.model.get_input_embeddings().num_embeddings
        beyond = next((token for token in ids if token >= rows), None)
        if beyond is not None:
            name = self.tokenizer.convert_ids_to_tokens(beyond)
            start = text[:40] + ("..." if len(text) > 40 else "")
            raise ModelError(
                f"the text '{start}' has the token '{name}' ({beyond}), and '{self.spec.id}' embeds {rows} tokens",
                "tokens that the model embeds",
                "leave that token out, or use weights whose embeddings were resized for the tokenizer",
            )
        return ids

    def _decoder(self) -> Any:
        # Where the base model's name is not the one that the class announces, `base_model` is the whole model; that of
        # a multimodal model takes images and other masks.
        base = self.model.base_model
        return self.anatomy.skeleton.decoder if base is self.model or wraps_text(self.model) else base

    @torch.no_grad()
    def run(
        self,
        input_ids: Tensor,
        attention_mask: Any = None,
        position_ids: Tensor | None = None,
        logits: bool = False,
    ) -> Tensor:
        """Run one forward pass without a cache; hooks set by `observe` see it.

        `input_ids`: int64 (batch, tokens). `attention_mask`: (batch, tokens), or a 4-d mask or a dict of masks by
        layer type where the model takes one. `position_ids`: (batch, tokens), passed where the model accepts them.
        Returns the logits (batch, tokens, V); with `logits=False` the unembedding is not computed and the decoder's
        own output (batch, tokens, d or its projection) is returned.
        """
        self.demand_here("a forward pass")
        if self.team is not None:
            self.team.announce_pass(input_ids, attention_mask, position_ids, logits)
        module = self.model if logits else self._decoder()
        given = {"attention_mask": attention_mask, "position_ids": position_ids, "use_cache": False}
        takes = inspect.signature(module.forward).parameters
        kwargs = {name: _to(value, self.device) for name, value in given.items() if value is not None and name in takes}
        forget_lengths(module)
        team = contextlib.nullcontext() if self.team is None else self.team.together()
        with team, multiplying(self.products):
            output = module(input_ids=input_ids.to(self.device), **kwargs)
        result: Tensor = output.logits if logits else output.last_hidden_state
        return result


def _to(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    return {key: _to(item, device) for key, item in value.items()} if isinstance(value, dict) else value
