"""Free answers to curves: exact match at the exits that were decoded."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.data.questions import QuestionSet
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.exits.choices import ExitCurve


def answer_curve(
    data: QuestionSet, right: Floats, blind: Floats, exits: list[int], points: int, resampler: Resampler
) -> ExitCurve:
    """Return the share of right free answers, NaN at the exits that were not decoded.

    `right`, `blind`: (E, n), whether the answer at each of the `exits` matches, after the question and without one.
    """
    weights = resampler.weights([q.group for q in data.items])
    values, control = (_spread(part @ weights.T / weights.sum(1), exits, points) for part in (right, blind))
    b, h = resampler.bootstrap, resampler.halves
    return ExitCurve(
        data.level, data.name, "all", "resid", "greedy", "exact_match", values[0], values[1 : 1 + b],
        values[1 + b : 1 + b + h], values[1 + b + h :], control[1 : 1 + b], 0.0, float("nan"), len(data.items),
        len({q.group for q in data.items}), np.zeros(b), False, control[1 + b : 1 + b + h], control[1 + b + h :],
    )  # fmt: skip


def _spread(values: Floats, exits: list[int], points: int) -> Floats:
    out = np.full((values.shape[1], points), np.nan)
    out[:, exits] = values.T
    return out
