"""Which questions each exit answers wrongly, from the log-likelihoods that a run kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from layeratlas.data.questions import Question, QuestionSet
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.mistakes import Mistakes, brief, evenly
from layeratlas.store.shards import load_shard
from layeratlas.studies.exits.names import items_file, scores_file
from layeratlas.studies.exits.reading_out import read_exits
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.scoring import AFTER, BARE
from layeratlas.studies.exits.settings import settings_of

# The most questions of a set on a page, and the most letters shown of a choice.
_MOST, _LETTERS = 60, 60


def mistakes(run: FinishedRun) -> list[Mistakes]:
    """Return, for each question set, the questions for which some exit does not rank the first true choice highest.

    A tie counts as a mistake. The user's own questions are left out, because reports do not show them. Empty for a run
    without scores or texts (a shared one).
    """
    if run.manifest["spec"].get("data"):
        return []
    known = {path.name for path in run.outputs("scores")}
    sets = [data for data in run.manifest.get("datasets", []) if Path(scores_file(data["name"])).name in known]
    return [_of_set(run, data) for data in sets if (run.folder / items_file(data["name"])).is_file()]


def _of_set(run: FinishedRun, data: dict[str, Any]) -> Mistakes:
    scored = read_scored(run, data)
    scores = scored.scores(settings_of(run.manifest).score)
    kept = evenly(len(scored.data.items), _MOST)
    questions = [scored.data.items[int(place)] for place in kept]
    best_false = np.where(scored.key.false, scores, -np.inf).argmax(-1)[:, kept]
    right = scored.key.first_true_score(scores) > scored.key.best_false_score(scores)
    wrong: list[list[int] | None] = [None] * (run.blocks + 1)
    said: list[list[int] | None] = [None] * (run.blocks + 1)
    names = [brief(choice, _LETTERS) for question in questions for choice in question.choices]
    first = np.cumsum([0, *(len(question.choices) for question in questions)])
    for column, layer in enumerate(scored.read or range(run.blocks + 1)):
        places = np.flatnonzero(~right[column, kept])
        wrong[layer], said[layer] = places.tolist(), (first[places] + best_false[column, places]).tolist()
    return Mistakes(
        level=data["level"],
        task=data["name"],
        texts=[brief(question.text) for question in questions],
        labels=[brief(question.truth, _LETTERS) for question in questions],
        names=names,
        wrong=wrong,
        said=said,
        of=len(scored.data.items),
        given="answered",
    )


def read_scored(run: FinishedRun, data: dict[str, Any]) -> ScoredSet:
    """Return a built-in question set of a finished run with its log-likelihoods; raises StoreError for damaged ones."""
    items = pl.read_parquet(run.folder / items_file(data["name"]))
    questions = tuple(
        Question(row["text"], tuple(row["choices"]), tuple(row["answers"]), row["group"], row["stratum"])
        for row in items.iter_rows(named=True)
    )
    values, _ = load_shard(run.folder / scores_file(data["name"]), run.manifest["key"])
    tokens, characters, sizes = (
        items[name].explode().to_numpy().astype(float) for name in ("tokens", "characters", "bytes")
    )
    return ScoredSet(
        data=QuestionSet(name=data["name"], level=data["level"], items=questions),
        after=values[AFTER],
        bare=values[BARE],
        tokens=tokens,
        characters=characters,
        bytes=sizes,
        read=read_exits(run.manifest),
    )
