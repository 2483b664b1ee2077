"""The parts of a question set that are reported alone."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Bools
from layeratlas.data.questions import QuestionSet
from layeratlas.studies.exits.names import ALL

# A stratum with fewer questions is not reported alone.
FEWEST = 20


def make_strata(data: QuestionSet) -> dict[str, Bools]:
    """Return which questions, (n,), are in each stratum that has 20 questions or more, and not all of them.

    Where every question's stratum has the same number of words, two or more, and at each place the words differ between
    questions (`1-2 add float`), each word is a stratum of its own. The stratum `all` marks questions that are in none.
    """
    words = [question.stratum.split() for question in data.items]
    crossed = len({len(w) for w in words}) == 1 and len(words[0]) > 1
    crossed = crossed and all(len(set(column)) > 1 for column in zip(*words, strict=True))
    names_of = words if crossed else [[question.stratum] for question in data.items]
    names = dict.fromkeys(name for own in names_of for name in own if name != ALL)
    strata = {name: np.array([name in own for own in names_of]) for name in names}
    return {name: inside for name, inside in strata.items() if FEWEST <= inside.sum() < len(names_of)}
