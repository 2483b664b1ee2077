"""Chats: the tokenizer's template, rendered in transformers' sandbox, and the place of the user's text in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cached_property
from typing import Any, Literal

from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec

# The date given to templates that ask for today's, so that a run gives the same texts on any day.
DATE = datetime(2024, 7, 26)
_MARKS = ("LayerAtlasText", "LayerAtlasAnswer")


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, kw_only=True)
class Framed:
    """The tokens of a chat whose user turn is a given text.

    `offsets` gives for each token the `(start, end)` characters of `text` that it covers; (0, 0) for a token of the
    template.
    """

    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]


class Chat:
    """The chat template of a tokenizer, with the system prompt and the variables of a spec.

    `sha256` is the hash of the template. Raises ModelError if the tokenizer has no template, if the template is not the
    one that the spec names, or if it fails or drops a text.
    """

    def __init__(self, tokenizer: Any, spec: ModelSpec) -> None:
        self._tokenizer, self._spec = tokenizer, spec
        self._as_blocks = False
        self.template = _template_of(tokenizer, spec)
        self.sha256 = hashlib.sha256(self.template.encode(errors="surrogatepass")).hexdigest()
        if spec.chat_template not in (None, self.sha256):
            raise ModelError(
                f"the chat template of '{spec.id}' has the SHA-256 {self.sha256[:12]}...",
                f"{str(spec.chat_template)[:12]}..., the one asked for",
                "choose another --out for a run with this template",
            )
        if _MARKS[0] not in self.render([Turn(role="user", text=_MARKS[0])]):
            self._as_blocks = True  # templates of multimodal models take a list of typed parts
        self._frames = {answer: self._frame(answer) for answer in (False, True)}

    def render(self, turns: Sequence[Turn], answer: bool = False) -> str:
        """Return a chat as text: the spec's system prompt, then `turns`, then with `answer` the opening of an answer.

        Raises ModelError where the template fails.
        """
        system = [Turn(role="system", text=self._spec.system)] if self._spec.system is not None else []
        messages = [{"role": turn.role, "content": self._content(turn.text)} for turn in (*system, *turns)]
        try:
            with _fixed_date(self.template):
                text = self._tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=answer, **self._spec.chat_options
                )
        except Exception as error:
            reason = " ".join(str(error).split())[:160]
            raise ModelError(
                f"the chat template of '{self._spec.id}' fails ({type(error).__name__}: {reason})",
                "a template for these turns",
                "run without --system, with other --chat-option values, or without --chat",
            ) from error
        return str(text)

    def tokens(self, rendered: str) -> list[int]:
        """Return the token ids of a rendered chat; no BOS is added, since the template writes it."""
        ids: list[int] = self._tokenizer(rendered, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def frame(self, text: str, answer: bool = False) -> Framed:
        """Return the tokens of a chat whose only user turn is `text`; with `answer`, include the opening of an answer.

        Raises ModelError if the tokenizer gives no character offsets, or if the template changes the text other than in
        the white space around it.
        """
        if not self._tokenizer.is_fast:
            raise ModelError(
                f"the tokenizer of '{self._spec.id}' ({type(self._tokenizer).__name__}) gives no character offsets",
                "a fast tokenizer (tokenizer.json)",
                "run without --chat",
            )
        rendered = self.render([Turn(role="user", text=text)], answer)
        before, after = self._frames[answer]
        end = len(rendered) - len(after)
        inside = rendered[len(before) : end]
        if not rendered.startswith(before) or not rendered.endswith(after) or inside.strip() != text.strip():
            raise self._changed(text)
        lead = _indent(text) - _indent(inside)
        encoded = self._tokenizer(rendered, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        offsets = tuple(
            (max(0, max(a, len(before)) - len(before) + lead), min(b, end) - len(before) + lead)
            if a < end and b > len(before) and b > a
            else (0, 0)
            for a, b in encoded["offset_mapping"]
        )
        return Framed(ids=tuple(encoded["input_ids"]), offsets=offsets)

    @cached_property
    def before_answer(self) -> str:
        """The white space that the template writes between the opening of an answer and the answer's text."""
        user, reply = Turn(role="user", text=_MARKS[0]), Turn(role="assistant", text=_MARKS[1])
        opened, whole = self.render([user], answer=True), self.render([user, reply])
        between = whole.removeprefix(opened).partition(_MARKS[1])[0]
        return between if whole.startswith(opened) and between.isspace() else ""

    def record(self) -> dict[str, Any]:
        """Return the chat's entry in `run.json`."""
        asks = {"date": DATE.date().isoformat()} if "strftime_now" in self.template else {}
        return {
            "template_sha256": self.sha256,
            "system": self._spec.system,
            "options": self._spec.chat_options,
            **asks,
        }

    def _content(self, text: str) -> Any:
        return [{"type": "text", "text": text}] if self._as_blocks else text

    def _frame(self, answer: bool) -> tuple[str, str]:
        """Return the template's text before and after the user's only turn."""
        parts = self.render([Turn(role="user", text=_MARKS[0])], answer).split(_MARKS[0])
        if len(parts) != 2:
            raise self._changed(_MARKS[0])
        return parts[0], parts[1]

    def _changed(self, text: str) -> ModelError:
        start = text[:40] + ("..." if len(text) > 40 else "")
        return ModelError(
            f"the chat template of '{self._spec.id}' does not write the text '{start}' once and as it is",
            "a template that keeps the user's text",
            "run without --chat",
        )


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _template_of(tokenizer: Any, spec: ModelSpec) -> str:
    try:
        template: str = tokenizer.get_chat_template()
    except ValueError:
        raise ModelError(
            f"the tokenizer of '{spec.id}' has no chat template", "a chat model", "run without --chat"
        ) from None
    return template


@contextmanager
def _fixed_date(template: str) -> Iterator[None]:
    """Give templates that ask for today's date a fixed date."""
    if "strftime_now" not in template:
        yield
        return
    from transformers.utils import chat_template_utils as module

    class Fixed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return DATE

    known = module.datetime
    module.datetime = Fixed
    try:
        yield
    finally:
        module.datetime = known
