"""The published curves of LLaMA 2, plotted under the curves of a LLaMA 2 run.

Numbers from the result tables of Chen et al. (2023), arXiv 2312.04333.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from layeratlas.data.choices import MIXED
from layeratlas.data.lists import read_list
from layeratlas.report import vega
from layeratlas.runs.study import Exhibit
from layeratlas.studies.exits.names import ACCURACY, ALL
from layeratlas.studies.exits.settings import ExitSettings, settings_of

# Published task, and the corresponding level of the study's own sets.
LEVELS = {
    "MPS-Cal": "calculation",
    "MPS-Rea": "reasoning",
    "LAMA": "facts",
    "TFQA-MC1": "truthfulness",
    "Reclor": "logic",
}
# Languages of the published cross-lingual sets, and of the task xmps_paper, which imitates them.
LANGUAGES = ("es", "fr", "zh", "th")
BLOCKS = {"7B": 32, "13B": 40, "70B": 80}
# Share of the published questions whose true choice has strictly the fewest LLaMA tokens.
FEWEST_TOKENS = {
    "MPS-Cal": 0.0801,
    "TFQA-MC1": 0.1983,
    "Reclor": 0.1440,
    "xMPS-Cal es": 0.1713,
    "xMPS-Cal fr": 0.1966,
    "xMPS-Cal zh": 0.1213,
    "xMPS-Cal th": 0.0351,
}
# The settings of the published numbers, and their worked examples: ReClor 3, MPS and LAMA 4, TruthfulQA 6.
_PUBLISHED = {"score": "sum", "exit_norm": "none", "strict": True}
_FEWEST_SHOTS, _MOST_SHOTS = 3, 6
_LLAMA_2 = re.compile(r"llama[-_ ]?2", re.IGNORECASE)
_COLOURS = {"7B": "series-3", "13B": "series-5", "70B": "series-4"}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One published task: its curves, and the corresponding curves of the run."""

    title: str
    published: pl.DataFrame
    measured: pl.DataFrame


def published_curves() -> pl.DataFrame:
    """Return the published accuracies: task, language (empty but for xMPS), size, layer (1-based), depth, accuracy."""
    points = []
    for row in read_list("chen2023"):
        shared = {"task": row["task"], "language": row["language"], "size": row["model"]}
        layers = [int(layer) for layer in row["layers"].split()]
        for layer, percent in zip(layers, row["percent"].split(), strict=True):
            depth = layer / BLOCKS[row["model"]]
            points.append(shared | {"layer": layer, "depth": depth, "accuracy": float(percent) / 100})
    return pl.DataFrame(points)


def published_arithmetic() -> pl.DataFrame:
    """Return the published accuracies at the best layer, estimates from plots: numbers, digits, operation, by size."""
    sizes = [pl.col(size).cast(pl.Float64) for size in BLOCKS]
    return pl.DataFrame(read_list("chen2023_arithmetic")).with_columns(*sizes)


def exhibits(run: Mapping[str, Any], curves: pl.DataFrame) -> list[Exhibit]:
    """Return the chart of the run's levels over the published curves; empty if the model is not a LLaMA 2.

    `run` is the content of `run.json`; its data sets give each set's level, language and number of worked examples.
    """
    model, settings = run["model"], settings_of(run)
    if not _LLAMA_2.search(f"{model.get('id', '')} {model.get('name', '')}"):
        return []
    measured = curves.filter(component="resid", method=settings.score, metric=ACCURACY, stratum=ALL)
    sets = [data for data in run.get("datasets", []) if data.get("level") in (*LEVELS.values(), MIXED)]
    text = (
        "Published accuracies of LLaMA 2 by relative depth (Chen et al. 2023, arXiv 2312.04333; ties wrong, summed "
        "scores, final norm at the last layer only), and in black those of this run, "
        f"{_asked(settings, [data.get('shots', settings.shots) for data in sets])} "
        "Dotted: always choosing the fewest LLaMA tokens, which needs no model, on the published questions: where "
        "the published curves begin. This run has other questions unless the published files were given. "
        "The published 13B curve of LAMA repeats that of 70B up to layer 29, which is an error of the source."
    )
    exhibit = Exhibit(
        name="published", title="Over the published curves", text=text, chart=partial(_grid, _panels(measured, sets))
    )
    return [exhibit, _arithmetic()] if "arithmetic" in measured["level"] else [exhibit]


def _arithmetic() -> Exhibit:
    text = (
        "Accuracy of LLaMA 2 at the best layer of each cell (Chen et al. 2023, read off their plots by others, to "
        "about 3 points). The curves of arithmetic of this run are given by digits, operation and kind of number."
    )
    return Exhibit(name="published-arithmetic", title="Published arithmetic", text=text, table=published_arithmetic())


def _asked(settings: ExitSettings, shots: Sequence[int]) -> str:
    """Return whether the run used the settings of the published curves, and which settings would match them."""
    changes = [f"--set {name}={_cli(value)}" for name, value in _PUBLISHED.items() if getattr(settings, name) != value]
    changes += [] if settings.format in ("text", "free", "chain") else ["--set format=text"]
    others = sorted({n for n in shots or [settings.shots] if not _FEWEST_SHOTS <= n <= _MOST_SHOTS})
    differences = []
    if changes:
        differences.append(f"the published way needs {' '.join(changes)}")
    if others:
        differences.append(
            f"it had {' and '.join(map(str, others))} worked examples, the published ones {_FEWEST_SHOTS} to "
            f"{_MOST_SHOTS}"
        )
    return f"asked differently: {', and '.join(differences)}." if differences else "asked in the same way."


def _cli(value: object) -> str:
    return str(value).lower()


def _panels(measured: pl.DataFrame, sets: Sequence[Mapping[str, Any]]) -> list[Panel]:
    known = published_curves()
    panels = [
        Panel(title=task, published=known.filter(task=task), measured=measured.filter(task=ALL, level=level))
        for task, level in LEVELS.items()
    ]
    for language in LANGUAGES:
        names = [data["name"] for data in sets if (data["level"], data.get("language")) == (MIXED, language)]
        same = measured.filter(pl.col("task").is_in(names), level=MIXED)
        if len(same):
            of_language = known.filter(task="xMPS-Cal", language=language)
            panels.append(Panel(title=f"xMPS-Cal {language}", published=of_language, measured=same))
    return panels


def _grid(panels: Sequence[Panel], colour: Callable[[str], str]) -> Any:
    return vega.concat(*(_chart(panel, colour) for panel in panels), columns=3, spacing=18)


def _chart(panel: Panel, colour: Callable[[str], str]) -> Any:
    x = vega.X("depth:Q", title="relative depth", scale=vega.Scale(domain=[0, 1]))
    scale = vega.Scale(domain=list(_COLOURS), range=[colour(name) for name in _COLOURS.values()])
    published = (
        vega.chart(vega.Data(panel.published.select("size", "depth", "accuracy").to_dicts()))
        .mark_line(strokeWidth=1.3)
        .encode(x=x, y=vega.Y("accuracy:Q", title=None), color=vega.Color("size:N", scale=scale, title="published"))
    )
    measured = (
        vega.chart(vega.Data(panel.measured.select("task", "depth", "estimate").to_dicts()))
        .mark_line(color=colour("ink"), strokeWidth=2.4)
        .encode(x=x, y="estimate:Q", detail="task:N")
    )
    layers = [published, measured]
    if panel.title in FEWEST_TOKENS:
        rate = vega.chart(vega.Data([{"rate": FEWEST_TOKENS[panel.title]}]))
        layers.append(rate.mark_rule(color=colour("soft"), strokeDash=[1.5, 2.5], strokeWidth=1.6).encode(y="rate:Q"))
    return vega.layer(*layers).properties(width=200, height=130, title=panel.title)
