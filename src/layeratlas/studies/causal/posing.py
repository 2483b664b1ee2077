"""Prompts as tokens up to the point where their answers differ, and the next token of each class's answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from layeratlas.core.arrays import Ints
from layeratlas.data.bad_rows import Dropped
from layeratlas.data.prompts import PromptSet
from layeratlas.runs.fitting import begin_fitting, leave_out_unfit
from layeratlas.runs.workspace import Workspace

if TYPE_CHECKING:
    from layeratlas.models import LoadedModel
    from layeratlas.models.tokenizing import EncodeAll


@dataclass(frozen=True, kw_only=True)
class Posed:
    """A set as tokens: `ids[i]` of each prompt, and the next token of each class's answer, `answers` (n, k)."""

    data: PromptSet
    ids: list[tuple[int, ...]]
    answers: Ints

    @property
    def codes(self) -> Ints:
        """The class of each prompt (n,): the column of its right answer."""
        return self.data.dataset.y.astype(np.int64)

    def measured(self, count: int) -> Ints:
        """Return at most `count` prompts to measure under edits, balanced over classes and spread over groups."""
        seen: Counter[tuple[int, str]] = Counter()
        places = []
        for row, (code, item) in enumerate(zip(self.codes.tolist(), self.data.items, strict=True)):
            places.append((seen[code, item.group], row, code))
            seen[code, item.group] += 1
        of_class = [[row for _, row, code in sorted(places) if code == wanted] for wanted in np.unique(self.codes)]
        turns = [rows[turn] for turn in range(len(self.ids)) for rows in of_class if turn < len(rows)]
        return np.array(sorted(turns[:count]), np.int64)


def pose_all(work: Workspace) -> list[Posed]:
    """Return the run's sets as tokens, without prompts that cannot be posed (see `leave_out_unfit`).

    A prompt is read up to the token at which its answers differ, which is usually its end. It cannot be posed if the
    answers do not all differ there, or if it is longer than the context.
    """
    begin_fitting(work)
    unfit: dict[str, dict[int, Dropped]] = {}
    for data in work.material:
        unfit[data.name] = {
            number: Dropped(where=f"{data.source or data.name}, prompt {number + 1}", why=why)
            for number, why in unfit_prompts(work.model.encode_all, work.model.context, data).items()
        }
    leave_out_unfit(work, unfit, "answers that all first differ at the same token, within the context")
    return [_posed(work.model, data) for data in work.material]


def unfit_prompts(encode: EncodeAll, context: int | None, data: PromptSet) -> dict[int, str]:
    """Return why prompts cannot be posed, by their numbers from 0 on."""
    reasons = {number: _why_not(encode, context, data, number) for number in range(len(data.items))}
    return {number: why for number, why in reasons.items() if why}


def _encoded(encode: EncodeAll, data: PromptSet, number: int) -> tuple[tuple[int, ...], list[int]]:
    """Return the tokens shared by all of a prompt's answers, and each answer's next token (-1 if it has none)."""
    prompt = data.items[number]
    whole = encode([f"{prompt.text.rstrip()} {answer.strip()}" for answer in prompt.answers])
    least = min(map(len, whole))
    parted = next((at for at in range(least) if len({ids[at] for ids in whole}) > 1), least)
    return tuple(whole[0][:parted]), [ids[parted] if parted < len(ids) else -1 for ids in whole]


def _why_not(encode: EncodeAll, context: int | None, data: PromptSet, number: int) -> str:
    ids, tokens = _encoded(encode, data, number)
    if -1 in tokens or len(set(tokens)) < len(tokens):
        return "has answers that do not all first differ at the same token"
    if not ids:
        return "has no token of its own"
    return f"has {len(ids)} tokens" if context and len(ids) >= context else ""


def _posed(model: LoadedModel, data: PromptSet) -> Posed:
    ids, answers = zip(*(_encoded(model.encode_all, data, number) for number in range(len(data.items))), strict=True)
    return Posed(data=data, ids=list(ids), answers=np.array(answers, np.int64))
