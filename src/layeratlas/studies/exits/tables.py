"""What the exits report adds: a table of what needs no model, and the methods in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from layeratlas.runs.study import Exhibit
from layeratlas.studies.exits.choices import RULES, ExitCurve, Scored, accuracy, chances
from layeratlas.studies.exits.prompts import ExitSettings

_ASKED = {
    "text": "“Q: …”, then “A:”; a choice is one space and its text",
    "letter": "“Q: …” and the choices by letter, then “A:”; a choice is one space and its letter",
    "cloze": "the question is a statement's beginning; a choice is one space and its text",
    "free": "“Q: …”, then “A:”; choices are scored as one space and their text, and answers decoded greedily too",
}


def baselines(scored: Sequence[Scored], curves: Sequence[ExitCurve], settings: ExitSettings) -> pl.DataFrame:
    """Return, for each question set, the accuracy of every rule of thumb beside that of the exits."""
    rows = []
    for one in scored:
        name = (one.data.name, "all", settings.score)
        curve = next(c for c in curves if (c.task, c.stratum, c.method) == name and c.metric == "accuracy")
        tied = next(c for c in curves if (c.task, c.stratum, c.method) == name and c.metric == "ties")
        control = accuracy(one.scores(settings.score, bare=True), one.table, settings.strict).mean(-1)
        rules = {rule: accuracy(one.surface(rule), one.table, False).mean() for rule in (*RULES, "most bytes")}
        strict = accuracy(one.surface(RULES[0]), one.table, True).mean()
        rows.append(
            {
                "Ability": one.data.level,
                "Set": one.data.name,
                "n": len(one.data.items),
                "Chance": float(chances("accuracy", one.table).mean()),
                **{rule.capitalize(): float(value) for rule, value in rules.items()},
                "Fewest tokens, ties wrong": float(strict),
                "Without the question, last exit": float(control[-1]),
                "Exit 1": float(curve.estimate[1]),
                "Best exit": float(curve.estimate.max()),
                "Its layer": int(np.argmax(curve.estimate)),
                "Last but one": float(curve.estimate[-2]),
                "Last exit": float(curve.estimate[-1]),
                "Tied at exit 1": float(tied.estimate[1]),
                "Tied at the last": float(tied.estimate[-1]),
            }
        )
    return pl.DataFrame(rows)


def exhibits(table: pl.DataFrame) -> list[Exhibit]:
    """Return the table of rules of thumb."""
    text = (
        "Accuracy by choosing the option with the fewest tokens, the fewest or most bytes, or the words that are most "
        "often the truth of other questions, and by scoring the choice without its question: none needs an answer. "
        "What an exit does not add to these is no ability. "
        "“Best exit” is flattered by being chosen; the findings choose on one half of the groups and read on the "
        "other. Ties share their credit, but where it says that they are wrong."
    )
    return [Exhibit("baselines", "What needs no ability", text, table=table)]


def _examples(run: Mapping[str, Any], settings: ExitSettings) -> str:
    """Say how many worked examples each set had: one number where they had the same."""
    had = {d["name"]: d["shots"] for d in run.get("datasets", []) if "shots" in d}
    if len(set(had.values())) < 2:
        return str(next(iter(had.values()), f"at most {settings.shots}"))
    return f"{', '.join(f'{name} {n}' for name, n in had.items())}; {settings.shots} where a set has so many"


def methods(run: Mapping[str, Any], settings: ExitSettings, score: str) -> list[tuple[str, str]]:
    """Return what was done, in words."""
    odd = {name: n for name, n in run.get("boundaries", {}).items() if n}
    crossing = ", ".join(f"{name} {n}" for name, n in odd.items()) or "none"
    capture = run.get("capture", {})
    mixed = [f"{d['name']}: {d['confounded']}." for d in run.get("datasets", []) if d.get("confounded")]
    readout = (
        "its own final norm, unembedding, scale and softcap at every point"
        if settings.exit_norm == "final"
        else "the unembedding alone, without the final norm but at the last point, as in the published numbers"
    )
    return [
        (
            "Questions",
            f"One instruction line, worked examples ({_examples(run, settings)}; never scored), the question. "
            f"Format: {_ASKED[settings.format]}.",
        ),
        (
            "Exits",
            f"The residual stream is read out by {readout}; log-softmax in float32. Each distinct prefix goes through "
            f"the model once: {capture.get('rows', 0):,} positions were read out, {capture.get('wanted', 0):,} next "
            "tokens scored at each exit.",
        ),
        (
            "Boundary",
            "Prompt and choice are encoded together and split at the prompt's length, or at the longest common prefix "
            f"where a token spans the boundary. Choices of that kind: {crossing}.",
        ),
        (
            "Scores",
            f"{score} decides the findings. Sum of the choice's log-probabilities; the same per character, byte or "
            "token; or minus the choice's log-likelihood after “A:” alone. "
            + ("Ties are wrong." if settings.strict else "k tied choices share the credit."),
        ),
        (
            "Measures",
            "Accuracy: the first true choice against the false ones (MC1). MC2: probability mass on the true choices. "
            "MC3: share of the true choices above every false one.",
        ),
        (
            "Baselines",
            "Control: the choice scored after “A:” alone, at the same exit. Baseline: the best of the choice "
            "with the fewest tokens, that with the fewest bytes, and that whose words are most often the truth of "
            "other questions; ties split.",
        ),
        (
            "Intervals and findings",
            "95 %, percentile bootstrap over groups (a question's languages, an integer problem and its float twin "
            "together). A best exit is chosen on one half of the groups and read on the other; p-values of many levels "
            "are corrected together (Holm).",
        ),
        *([("Warning", f"{' '.join(mixed)} These are drawn, and no finding is made of them.")] if mixed else []),
    ]
