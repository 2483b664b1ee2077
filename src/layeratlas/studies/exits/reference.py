"""The published curves of LLaMA 2, for a reader who asks such a model: his own over them.

Numbers of Chen et al. (2023), arXiv 2312.04333, as their result tables give them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import altair as alt
import polars as pl

from layeratlas.data.choices import MIXED
from layeratlas.data.lists import read_list
from layeratlas.runs.study import Exhibit
from layeratlas.studies.exits.prompts import ExitSettings

# Published task, the ability that our own sets ask in its place, and what differs.
_PLACES = {
    "MPS-Cal": "calculation",
    "MPS-Rea": "reasoning",
    "LAMA": "facts",
    "TFQA-MC1": "truthfulness",
    "Reclor": "logic",
}
# Languages of the published cross-lingual sets, and of the task xmps_paper, which imitates them.
_MIXED = ("es", "fr", "zh", "th")
# How many worked examples the published numbers had: ReClor 3, MPS and LAMA 4, TruthfulQA 6.
_SHOTS = (3, 6)
# Share of the published questions whose truth has strictly the fewest LLaMA tokens.
_FEWEST = {
    "MPS-Cal": 0.0801, "TFQA-MC1": 0.1983, "Reclor": 0.1440,
    "xMPS-Cal es": 0.1713, "xMPS-Cal fr": 0.1966, "xMPS-Cal zh": 0.1213, "xMPS-Cal th": 0.0351,
}  # fmt: skip
_LLAMA = re.compile(r"llama[-_ ]?2", re.IGNORECASE)
_SERIES = {"7B": "series-3", "13B": "series-5", "70B": "series-4"}


def published() -> pl.DataFrame:
    """Return the published accuracies: task, language (empty but for xMPS), size, layer (1-based), depth, accuracy."""
    made = []
    for row in read_list("chen2023"):
        layers = [int(x) for x in row["layers"].split()]
        last = {"7B": 32, "13B": 40, "70B": 80}[row["model"]]
        for layer, percent in zip(layers, row["percent"].split(), strict=True):
            made.append((row["task"], row["language"], row["model"], layer, layer / last, float(percent) / 100))
    return pl.DataFrame(made, schema=["task", "language", "size", "layer", "depth", "accuracy"], orient="row")


def reference(
    curves: pl.DataFrame, model: str, settings: ExitSettings, sets: Sequence[Mapping[str, Any]]
) -> list[Exhibit]:
    """Return the run's levels over the published curves, where the model is a LLaMA 2; nothing for others.

    `sets` are the data sets of `run.json`, with the level, the language and the worked examples of each.
    """
    if not _LLAMA.search(model):
        return []
    own = curves.filter(component="resid", method=settings.score, metric="accuracy", stratum="all")
    drawn = [one for one in sets if one.get("level") in (*_PLACES.values(), MIXED)]
    text = (
        "Published accuracies of LLaMA 2 by relative depth (Chen et al. 2023, arXiv 2312.04333; ties wrong, summed "
        "scores, no final norm but at the last layer), and in black this run's, "
        f"{_asked(settings, [one.get('shots', settings.shots) for one in drawn])} "
        "Dotted: always choosing the fewest LLaMA tokens, which needs no model, on the published questions: where "
        "the published curves begin. The questions of this run are others unless the published files were given. "
        "The published 13B curve of LAMA repeats that of 70B up to layer 29, which is an error of the source."
    )
    made = [Exhibit("published", "Over the published curves", text, chart=partial(_grid, own, drawn))]
    if "arithmetic" in own["level"]:
        text = (
            "Accuracy of LLaMA 2 at the best layer of each cell (Chen et al. 2023, read off their plots by others, to "
            "about 3 points). This run's own curves of arithmetic stand by digits, operation and kind of number."
        )
        made.append(Exhibit("published-arithmetic", "Published arithmetic", text, table=published_arithmetic()))
    return made


def published_arithmetic() -> pl.DataFrame:
    """Return the published accuracies at the best layer, estimates from plots: numbers, digits, operation, by size."""
    sizes = [pl.col(size).cast(pl.Float64) for size in _SERIES]
    return pl.DataFrame(read_list("chen2023_arithmetic")).with_columns(*sizes)


def _asked(settings: ExitSettings, shots: Sequence[int]) -> str:
    """Say whether the run was asked as the published curves were, and what else it would take."""
    usual = {"score": "sum", "exit_norm": "none", "strict": True}
    lacks = [f"--set {name}={str(value).lower()}" for name, value in usual.items() if getattr(settings, name) != value]
    lacks += [] if settings.format in ("text", "free") else ["--set format=text"]
    low, high = _SHOTS
    few = sorted({n for n in shots or [settings.shots] if not low <= n <= high})
    said = [f"it takes {' '.join(lacks)} to be asked so too"] if lacks else []
    said += [f"it had {' and '.join(map(str, few))} worked examples where they had {low} to {high}"] if few else []
    return f"asked otherwise: {', and '.join(said)}." if said else "asked in the same way."


def _grid(own: pl.DataFrame, sets: Sequence[Mapping[str, Any]], colour: Callable[[str], str]) -> Any:
    known = published()
    panels = [(task, known.filter(task=task), own.filter(task="all", level=place)) for task, place in _PLACES.items()]
    for language in _MIXED:
        same = [one["name"] for one in sets if (one["level"], one.get("language")) == (MIXED, language)]
        mine = own.filter(pl.col("task").is_in(same), level=MIXED)
        if len(mine):
            panels.append((f"xMPS-Cal {language}", known.filter(task="xMPS-Cal", language=language), mine))
    return alt.concat(*(_panel(*panel, colour) for panel in panels), columns=3, spacing=18)


def _panel(task: str, known: pl.DataFrame, own: pl.DataFrame, colour: Callable[[str], str]) -> Any:
    x = alt.X("depth:Q", title="relative depth", scale=alt.Scale(domain=[0, 1]))
    scale = alt.Scale(domain=list(_SERIES), range=[colour(name) for name in _SERIES.values()])
    lines = (
        alt.Chart(alt.InlineData(known.select("size", "depth", "accuracy").to_dicts()))
        .mark_line(strokeWidth=1.3)
        .encode(x=x, y=alt.Y("accuracy:Q", title=None), color=alt.Color("size:N", scale=scale, title="published"))
    )
    mine = alt.Chart(alt.InlineData(own.select("task", "depth", "estimate").to_dicts())).mark_line(
        color=colour("ink"), strokeWidth=2.4
    )
    layers = [lines, mine.encode(x=x, y="estimate:Q", detail="task:N")]
    if task in _FEWEST:
        counted = alt.Chart(alt.InlineData([{"rate": _FEWEST[task]}]))
        layers.append(
            counted.mark_rule(color=colour("soft"), strokeDash=[1.5, 2.5], strokeWidth=1.6).encode(y="rate:Q")
        )
    return alt.layer(*layers).properties(width=200, height=130, title=task)
