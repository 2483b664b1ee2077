"""The strata of a question set that are reported separately."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Bools
from layeratlas.data.questions import QuestionSet
from layeratlas.studies.exits.names import ALL

# A stratum with fewer questions is not reported separately.
FEWEST = 20


def make_strata(data: QuestionSet) -> dict[str, Bools]:
    """Return a mask (n,) for each stratum with at least 20 questions that does not contain all questions.

    If all stratum names have the same number of words (two or more) and vary at every position (`1-2 add float`), each
    word is a separate stratum. Questions with the stratum `all` belong to none.
    """
    words = [question.stratum.split() for question in data.items]
    crossed = len({len(w) for w in words}) == 1 and len(words[0]) > 1
    crossed = crossed and all(len(set(column)) > 1 for column in zip(*words, strict=True))
    names_of = words if crossed else [[question.stratum] for question in data.items]
    names = dict.fromkeys(name for own in names_of for name in own if name != ALL)
    strata = {name: np.array([name in own for own in names_of]) for name in names}
    return {name: inside for name, inside in strata.items() if FEWEST <= inside.sum() < len(names_of)}
