"""The table of baselines: accuracy of surface rules, of choices without their question, and of the exits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.runs.study import Exhibit
from layeratlas.studies.exits.curves import ExitCurve
from layeratlas.studies.exits.measures import accuracy, chance_levels
from layeratlas.studies.exits.names import ACCURACY, ALL, TIES
from layeratlas.studies.exits.scores import Rule, ScoredSet
from layeratlas.studies.exits.settings import ExitSettings

# Columns of the table that the chart of the first exit reads too.
LEVEL, SET, CHANCE, BARE_LAST = "Ability", "Set", "Chance", "Without the question, last exit"


def rule_column(rule: Rule) -> str:
    """Return the column of a rule's accuracy."""
    return rule.capitalize()


def baseline_table(sets: Sequence[ScoredSet], curves: Sequence[ExitCurve], settings: ExitSettings) -> pl.DataFrame:
    """Return one row per question set: the accuracy of every surface rule and of the exits."""
    whole = {(c.task, c.metric): c for c in curves if c.stratum == ALL and c.method == settings.score}
    rows = [
        _row(scored, whole[scored.data.name, ACCURACY], whole[scored.data.name, TIES].estimate, settings)
        for scored in sets
    ]
    return pl.DataFrame(rows)


def _row(scored: ScoredSet, curve: ExitCurve, tied: Floats, settings: ExitSettings) -> dict[str, Any]:
    """Return a set's row from its accuracy and its share of ties at each exit, (P,); null for exits not read out."""
    right, layers, first = curve.estimate, curve.layers, scored.place_of_exit_1
    bare = accuracy(scored.scores(settings.score, bare=True), scored.key, settings.strict).mean(-1)
    rules = {rule_column(rule): _rule_accuracy(scored, rule) for rule in Rule}
    return {
        LEVEL: scored.data.level,
        SET: scored.data.name,
        "n": len(scored.data.items),
        CHANCE: float(chance_levels(ACCURACY, scored.key).mean()),
        **rules,
        "Fewest tokens, ties wrong": _rule_accuracy(scored, Rule.FEWEST_TOKENS, strict=True),
        BARE_LAST: float(bare[-1]),
        "Exit 1": None if first is None else float(right[first]),
        "Best exit": float(right.max()),
        "Its layer": layers[int(np.argmax(right))],
        "Last but one": float(right[-2]) if layers[-1] - 1 in layers else None,
        "Last exit": float(right[-1]),
        "Tied at exit 1": None if first is None else float(tied[first]),
        "Tied at the last": float(tied[-1]),
    }


def _rule_accuracy(scored: ScoredSet, rule: Rule, *, strict: bool = False) -> float:
    return float(accuracy(scored.rule_scores(rule), scored.key, strict).mean())


def exhibits(table: pl.DataFrame) -> list[Exhibit]:
    """Return the table with its explanation."""
    text = (
        "Accuracy of choosing the option with the fewest tokens, with the fewest or the most bytes, or with the words "
        "that are most often the truth of other questions, and of scoring each choice without its question. An exit "
        "that does not exceed them shows no ability. “Best exit” is biased upward by selection; the findings choose "
        "the exit on one half of the groups and read it on the other. Ties share their credit unless the column "
        "says that they are wrong."
    )
    return [Exhibit(name="baselines", title="Baselines", text=text, table=table)]
