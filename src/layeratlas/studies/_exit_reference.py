"""The published curves of LLaMA 2, for a reader who asks such a model: his own over them.

Numbers of Chen et al. (2023), arXiv 2312.04333, as their result tables give them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import altair as alt
import polars as pl

from layeratlas.contracts import Exhibit
from layeratlas.tasks._data import rows

# Published task, the ability that our own sets ask in its place, and what differs.
_PLACES = {
    "MPS-Cal": "calculation",
    "MPS-Rea": "reasoning",
    "LAMA": "facts",
    "TFQA-MC1": "truthfulness",
    "Reclor": "logic",
}
_LLAMA = re.compile(r"llama[-_ ]?2", re.IGNORECASE)
_SERIES = {"7B": "series-3", "13B": "series-5", "70B": "series-4"}


def published() -> pl.DataFrame:
    """Return the published accuracies: task, language (empty but for xMPS), size, layer (1-based), depth, accuracy."""
    made = []
    for row in rows("chen2023"):
        layers = [int(x) for x in row["layers"].split()]
        last = {"7B": 32, "13B": 40, "70B": 80}[row["model"]]
        for layer, percent in zip(layers, row["percent"].split(), strict=True):
            made.append((row["task"], row["language"], row["model"], layer, layer / last, float(percent) / 100))
    return pl.DataFrame(made, schema=["task", "language", "size", "layer", "depth", "accuracy"], orient="row")


def reference(curves: pl.DataFrame, model: str, score: str) -> list[Exhibit]:
    """Return the run's levels over the published curves, where the model is a LLaMA 2; nothing for others."""
    if not _LLAMA.search(model):
        return []
    own = curves.filter(component="resid", method=score, metric="accuracy", task="all", stratum="all")
    text = (
        "Published accuracies of LLaMA 2 by relative depth (Chen et al. 2023, arXiv 2312.04333; ties wrong, summed "
        "scores, no final norm but at the last layer), and in black this run's. The questions are others unless the "
        "published files were given; scores are those of --set strict=true exit_norm=none only where the run says so. "
        "The published 13B curve of LAMA repeats that of 70B up to layer 29, which is an error of the source."
    )
    return [Exhibit("published", "Over the published curves", text, chart=partial(_grid, own))]


def _grid(own: pl.DataFrame, colour: Callable[[str], str]) -> Any:
    known = published().filter(language="")
    charts = [_panel(task, known.filter(task=task), own.filter(level=level), colour) for task, level in _PLACES.items()]
    return alt.concat(*charts, columns=3, spacing=18)


def _panel(task: str, known: pl.DataFrame, own: pl.DataFrame, colour: Callable[[str], str]) -> Any:
    x = alt.X("depth:Q", title="relative depth", scale=alt.Scale(domain=[0, 1]))
    scale = alt.Scale(domain=list(_SERIES), range=[colour(name) for name in _SERIES.values()])
    lines = (
        alt.Chart(alt.InlineData(known.to_dicts()))
        .mark_line(strokeWidth=1.3)
        .encode(x=x, y=alt.Y("accuracy:Q", title=None), color=alt.Color("size:N", scale=scale, title="published"))
    )
    mine = alt.Chart(alt.InlineData(own.select("depth", "estimate").to_dicts())).mark_line(
        color=colour("ink"), strokeWidth=2.4
    )
    return (lines + mine.encode(x=x, y="estimate:Q")).properties(width=200, height=130, title=task)
