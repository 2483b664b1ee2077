"""Steer a model with a direction, and compare its text with that under a random direction of equal norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import kl_div

from layeratlas.core.edits import Edit
from layeratlas.core.errors import SpecError
from layeratlas.core.spec import ModelSpec
from layeratlas.directions.direction import Direction
from layeratlas.models import LoadedModel, intervene, load
from layeratlas.models.decoding import greedy

DEFAULT_STRENGTHS = (0.5, 1.0, 2.0)
# The smallest shift of the prediction, in nats, and change of a token's probability that are told.
LEAST = 0.01
_TOKENS = 3


class SteerKind(StrEnum):
    """What was added to the stream."""

    NONE = "none"
    DIRECTION = "direction"
    RANDOM = "random"


@dataclass(frozen=True, kw_only=True)
class Steered:
    """The text that a model generates under an edit.

    `strength` is in units of the distance between the two class means; `shift` is KL(unsteered | steered) of the
    next-token prediction, in nats. `raised` and `lowered` are the next tokens whose probability changes most in each
    direction, at most three, without changes below 0.01.
    """

    kind: SteerKind
    strength: float
    shift: float
    text: str
    raised: tuple[str, ...] = ()
    lowered: tuple[str, ...] = ()


def steer(
    direction: Direction,
    prompt: str,
    *,
    spec: ModelSpec | None = None,
    edit: Edit | None = None,
    strengths: Sequence[float] = DEFAULT_STRENGTHS,
    new_tokens: int = 24,
) -> list[Steered]:
    """Return the continuation of a prompt without steering, and at each strength with the direction and a random one.

    The model is the direction's unless `spec` names another; `edit` is by default `direction.edit()`. The random
    direction has the same norm and a fixed seed. Position 0 is not edited. Raises SpecError for a model of another
    width.
    """
    edit = edit or direction.edit()
    with load(spec or ModelSpec(id=direction.source.model_id, revision=direction.source.revision)) as model:
        if model.anatomy.width != direction.weight.shape[1]:
            raise SpecError(
                f"a direction of width {direction.weight.shape[1]} in a model of width {model.anatomy.width}",
                f"the model it was fitted on, '{direction.source.model_id}'",
            )
        prompted = _Prompt(model, prompt, new_tokens)
        rows = [prompted.continued(SteerKind.NONE, 0.0, None)]
        for strength in strengths:
            rows.append(prompted.continued(SteerKind.DIRECTION, strength, edit))
            rows.append(prompted.continued(SteerKind.RANDOM, strength, random_like(edit)))
        return rows


def conclusion(rows: Sequence[Steered]) -> str:
    """Return in words at which strengths the direction moves the prediction further than the random one does.

    A shift that exceeds the random one's by less than `LEAST` does not count. The next words that it raises and lowers
    are those of the strongest shift that does, or else of the strongest one.
    """
    shifts = {kind: {row.strength: row.shift for row in rows if row.kind is kind} for kind in SteerKind}
    random = shifts[SteerKind.RANDOM]
    further = [row for row in rows if row.kind is SteerKind.DIRECTION and row.shift - random[row.strength] >= LEAST]
    steered = [row for row in rows if row.kind is SteerKind.DIRECTION]
    words = _words(max(further or steered, key=lambda row: row.shift))
    if not further:
        return (
            "at no strength does the direction move the prediction further than a random one of equal norm "
            f"(by {LEAST:g} nats or more): it is not shown to be used here. {words}Try a prompt that leaves the class "
            "open, a middle layer (layeratlas direction --layer), or layeratlas run causal, which tests steering"
        )
    return (
        f"at strength {', '.join(f'{row.strength:g}' for row in further)} the direction moves the prediction further "
        f"than a random one of equal norm. {words}One prompt and one random direction are no test: "
        "layeratlas run causal tests steering"
    )


def _words(row: Steered) -> str:
    """Return which next words a direction raises and lowers; empty if no word changes by enough."""
    ways = [(way, words) for way, words in (("raises", row.raised), ("lowers", row.lowered)) if words]
    listed = " and ".join(f"{way} {', '.join(map(repr, words))}" for way, words in ways)
    return f"As the next word, strength {row.strength:g} {listed}. " if ways else ""


class _Prompt:
    """A prompt and the model's next-token prediction after it, without any edit."""

    def __init__(self, model: LoadedModel, prompt: str, new_tokens: int) -> None:
        self._model, self._ids, self._new_tokens = model, model.encode(prompt), new_tokens
        self._clean = self._log_probabilities()

    def _log_probabilities(self) -> Tensor:
        return self._model.run(torch.tensor([self._ids]), logits=True)[0, -1].float().log_softmax(-1)

    def continued(self, kind: SteerKind, strength: float, edit: Edit | None) -> Steered:
        """Return the continuation of the prompt under an edit at a strength."""
        with intervene(self._model, [replace(edit, strength=strength)] if edit else []):
            steered = self._log_probabilities()
            ids = greedy(self._model, [self._ids], self._new_tokens)[0]
        shift = float(kl_div(steered, self._clean, log_target=True, reduction="sum"))
        text: str = self._model.tokenizer.decode(ids)
        change = steered.exp() - self._clean.exp()
        return Steered(
            kind=kind,
            strength=strength,
            shift=max(shift, 0.0),
            text=text,
            raised=self._most(change),
            lowered=self._most(-change),
        )

    def _most(self, change: Tensor) -> tuple[str, ...]:
        """Return the tokens with the largest changes of probability (vocabulary,), largest first."""
        top = change.topk(min(_TOKENS, len(change)))
        pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        return tuple(self._model.tokenizer.decode([token]) for token, value in pairs if value >= LEAST)


def random_like(edit: Edit, seed: int = 0) -> Edit:
    """Return an edit with random vectors of the same norms as a translation's vectors."""
    vectors = np.asarray(edit.vectors, np.float64)
    noise = np.random.default_rng([seed, 71]).standard_normal(vectors.shape)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    return replace(edit, vectors=noise * norms)
