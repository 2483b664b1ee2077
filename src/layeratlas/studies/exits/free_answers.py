"""Decoded answers: greedy decoding from some exits, after a chain of reasoning or none, judged by exact match."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.data.questions import Question
from layeratlas.runs.tables import read_table, write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.design_effects import effective
from layeratlas.stats.intervals import widened
from layeratlas.stats.resampling import Resampler, split_draws
from layeratlas.studies.exits.chains import final_answer, is_complete, is_number_of
from layeratlas.studies.exits.curves import ExitCurve
from layeratlas.studies.exits.decoding import Asked, chosen_exits, decode
from layeratlas.studies.exits.names import ALL, CHAINS, EXACT_MATCH, free_file
from layeratlas.studies.exits.reading_out import exits_of
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.set_curves import weighted_means

if TYPE_CHECKING:
    from layeratlas.capture import Readout
    from layeratlas.studies.exits.posing import PosedSet
    from layeratlas.studies.exits.settings import ExitSettings


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """When a decoded text needs no more tokens, which part of it is the answer, and whether that is right."""

    is_complete: Callable[[str], bool]
    answer: Callable[[str], str]
    is_right: Callable[[str, Question], bool]


def write_free_answers(
    work: Workspace, posed_sets: Sequence[PosedSet], settings: ExitSettings, readout: Readout
) -> list[str]:
    """Decode every question at some exits, and once without a question; return the tables written, one per set."""
    exits = chosen_exits(exits_of(settings.exits, readout.points), settings.free_exits)
    readers = [_reader(posed.data.language, settings) for posed in posed_sets]
    asked = [
        Asked(prompt=prompt, is_complete=reader.is_complete)
        for posed, reader in zip(posed_sets, readers, strict=True)
        for prompt in (*posed.decoded, posed.blind)
    ]
    texts = iter(decode(work, asked, exits, readout, settings.answer_tokens))
    outputs = []
    for posed, reader in zip(posed_sets, readers, strict=True):
        own = [next(texts) for _ in posed.decoded]
        rows = _rows(posed, reader, exits, own, next(texts))
        outputs.append(free_file(posed.data.name))
        write_table(work, outputs[-1], rows)
        if settings.format == "chain":
            _note_unanswered(work, posed.data.name, rows, settings.chain_tokens)
    return outputs


def _reader(language: str, settings: ExitSettings) -> _Reader:
    if settings.format == "chain":
        return _Reader(
            is_complete=partial(is_complete, language=language),
            answer=partial(final_answer, language=language),
            is_right=lambda answer, question: (
                is_number_of(answer, question, language) if question.final else matches(answer, question)
            ),
        )
    return _Reader(is_complete=lambda text: "\n" in text.lstrip(), answer=first_line, is_right=matches)


def _rows(
    posed: PosedSet, reader: _Reader, exits: Sequence[int], texts: Sequence[Sequence[str]], blind: Sequence[str]
) -> pl.DataFrame:
    """Return a row per question and exit: the decoded text, the answer in it, and whether it and the control's fit."""
    return pl.DataFrame(
        [
            {
                "question": number,
                "layer": point,
                "text": text,
                "answer": reader.answer(text),
                "right": reader.is_right(reader.answer(text), question),
                "blind": reader.is_right(reader.answer(blind_text), question),
            }
            for number, (question, own) in enumerate(zip(posed.data.items, texts, strict=True))
            for point, text, blind_text in zip(exits, own, blind, strict=True)
        ]
    )


def _note_unanswered(work: Workspace, name: str, rows: pl.DataFrame, tokens: int) -> None:
    """Record the share of the last exit's chains that gave an answer; note it if some gave none."""
    last = rows.filter(pl.col("layer") == rows["layer"].max())
    given = int((last["answer"] != "").sum())
    work.manifest[CHAINS] = {**work.manifest.get(CHAINS, {}), name: given / len(last)}
    if given < len(last):
        without = f"{len(last) - given} of {len(last)} chains of the last exit gave no answer within {tokens} tokens"
        work.progress.note(f"{name}: {without}, and count as wrong; --set chain_tokens allows longer ones")


def matches(answer: str, question: Question) -> bool:
    """Return whether an answer is one of the true choices, apart from case and a final full stop."""
    return any(_normal(answer) == _normal(question.choices[place]) for place in question.answers)


def _normal(text: str) -> str:
    return text.casefold().rstrip(".").strip()


def first_line(text: str) -> str:
    """Return the first line of an answer, without surrounding white space."""
    return text.strip().split("\n")[0].strip()


def free_curve(work: Workspace, scored: ScoredSet, resampler: Resampler, method: str) -> ExitCurve:
    """Return a set's share of right decoded answers, NaN at the exits that were not decoded.

    The control is the answer that is decoded without a question. `method` is GREEDY or CHAIN.
    """
    table = read_table(work.folder / free_file(scored.data.name)).sort("layer", "question")
    exits, points = table["layer"].unique().sort().to_list(), scored.after.shape[1]
    columns = np.searchsorted(scored.read or range(points), exits)
    weights = resampler.weights(scored.groups)

    def spread(column: str) -> Floats:
        """Return the weighted means of a column at every point, (1 + B + 2H, P)."""
        right = table[column].cast(pl.Float64).to_numpy().reshape(len(exits), -1)
        means = np.full((len(weights), points), np.nan)
        means[:, columns] = weighted_means(right, weights)
        return means

    answers, blind = (split_draws(spread(column), resampler) for column in ("right", "blind"))
    n_groups = len(set(scored.groups))
    return ExitCurve(
        level=scored.data.level,
        task=scored.data.name,
        stratum=ALL,
        component="resid",
        method=method,
        metric=EXACT_MATCH,
        estimate=answers.estimate,
        draws=widened(answers.estimate, answers.draws, n_groups, times=1.0, least=0.0, most=1.0),
        half_a=answers.half_a,
        half_b=answers.half_b,
        shuffles=blind.draws,
        chance=0.0,
        baseline=float("nan"),
        n=len(scored.data.items),
        n_groups=n_groups,
        effective=effective(np.ones(len(scored.groups)), np.unique(scored.groups, return_inverse=True)[1]),
        baseline_draws=np.zeros(resampler.bootstrap),
        evident=False,
        control_a=blind.half_a,
        control_b=blind.half_b,
        read=scored.read,
    )
