"""Free answers: greedy decoding from some exits, judged by exact match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.data.questions import Question
from layeratlas.runs.tables import read_table, write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.resampling import Resampler, split_draws
from layeratlas.studies.exits.curves import ExitCurve
from layeratlas.studies.exits.decoding import chosen_exits, decode
from layeratlas.studies.exits.names import ALL, EXACT_MATCH, GREEDY, free_file
from layeratlas.studies.exits.posing import blind_prompt
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.set_curves import weighted_means

if TYPE_CHECKING:
    from layeratlas.capture import Readout
    from layeratlas.studies.exits.posing import PosedSet
    from layeratlas.studies.exits.settings import ExitSettings


def write_free_answers(
    work: Workspace, posed_sets: Sequence[PosedSet], settings: ExitSettings, readout: Readout
) -> list[str]:
    """Decode every question at some exits, and once without a question; return the tables written, one per set."""
    exits = chosen_exits(readout.points, settings.free_exits)
    prompts = [prompt.text for posed in posed_sets for prompt in posed.prompts]
    *answers, blind = decode(work, [*prompts, blind_prompt(work.model)], exits, readout, settings.free_tokens)
    outputs, start = [], 0
    for posed in posed_sets:
        rows = [
            {
                "question": number,
                "layer": point,
                "answer": answer,
                "right": matches(answer, question),
                "blind": matches(blind_answer, question),
            }
            for number, question in enumerate(posed.data.items)
            for point, answer, blind_answer in zip(exits, answers[start + number], blind, strict=True)
        ]
        outputs.append(free_file(posed.data.name))
        write_table(work, outputs[-1], pl.DataFrame(rows))
        start += len(posed.data.items)
    return outputs


def matches(answer: str, question: Question) -> bool:
    """Return whether an answer is one of the true choices, apart from case and a final full stop."""
    return any(_normal(answer) == _normal(question.choices[place]) for place in question.answers)


def _normal(text: str) -> str:
    return text.casefold().rstrip(".").strip()


def free_curve(work: Workspace, scored: ScoredSet, resampler: Resampler) -> ExitCurve:
    """Return a set's share of right free answers, NaN at the exits that were not decoded.

    The control is the answer that is decoded without a question.
    """
    table = read_table(work.folder / free_file(scored.data.name)).sort("layer", "question")
    exits, points = table["layer"].unique().sort().to_list(), scored.after.shape[1]
    weights = resampler.weights(scored.groups)

    def spread(column: str) -> Floats:
        """Return the weighted means of a column at every point, (1 + B + 2H, P)."""
        right = table[column].cast(pl.Float64).to_numpy().reshape(len(exits), -1)
        means = np.full((len(weights), points), np.nan)
        means[:, exits] = weighted_means(right, weights)
        return means

    answers, blind = (split_draws(spread(column), resampler) for column in ("right", "blind"))
    return ExitCurve(
        level=scored.data.level,
        task=scored.data.name,
        stratum=ALL,
        component="resid",
        method=GREEDY,
        metric=EXACT_MATCH,
        estimate=answers.estimate,
        draws=answers.draws,
        half_a=answers.half_a,
        half_b=answers.half_b,
        shuffles=blind.draws,
        chance=0.0,
        baseline=float("nan"),
        n=len(scored.data.items),
        n_groups=len(set(scored.groups)),
        baseline_draws=np.zeros(resampler.bootstrap),
        evident=False,
        control_a=blind.half_a,
        control_b=blind.half_b,
    )
