"""Set a run of the files that go with arXiv 2312.04333 beside the accuracies of LLaMA 2 that the paper prints.

    layeratlas run exits $(for f in DATA/*; do echo --data $f; done) \
        --set questions=6 --set exit_norm=none --set strict=true --out RUN
    python tools/release_curves.py RUN docs/release.png

Prints, as Markdown, the rows of each file and the accuracy by depth; draws the curves. Ships nothing of the release.
"""

from __future__ import annotations

import sys
from pathlib import Path

import altair as alt
import polars as pl
import vl_convert

import layeratlas as la
from layeratlas.data import choices
from layeratlas.studies.exits.reference import BLOCKS, LEVELS, published_curves

DEPTHS = (0.25, 0.5, 0.75, 1.0)


def measured(run: la.Run) -> pl.DataFrame:
    """Return the accuracy of each file at every exit, with the published task and language in its place."""
    curves = run.curves.filter(metric="accuracy", component="resid", method="sum", stratum="all")
    tasks = {level: task for task, level in LEVELS.items()}
    rows = []
    for data in run.manifest["datasets"]:
        mixed = data["level"] == choices.MIXED
        task = "xMPS-Cal" if mixed else tasks.get(data["level"])
        if task is None:
            continue
        curve = curves.filter(task=data["name"]).select("depth", "lo", "hi", accuracy="estimate")
        language = data["language"] if mixed else ""
        rows.append(curve.with_columns(task=pl.lit(task), language=pl.lit(language), size=pl.lit(run.model)))
    return pl.concat(rows)


def at_depths(curve: pl.DataFrame) -> list[str]:
    """Return the accuracy at the layer nearest to each depth."""
    nearest = [curve.sort((pl.col("depth") - depth).abs()).row(0, named=True) for depth in DEPTHS]
    return [f"{row['accuracy']:.2f}" for row in nearest]


def main(folder: str, picture: str) -> None:
    """Print the tables and write the picture."""
    run = la.load(folder)
    assert isinstance(run, la.Run)
    dropped, sampled = run.manifest["dropped"], run.manifest.get("sampled", {})
    print("| file's set | read | left out | asked | language |\n|---|---|---|---|---|")
    for data in run.manifest["datasets"]:
        name, n = data["name"], data["n"]
        out = dropped.get(name, {"n": 0})["n"]
        print(f"| {name} | {sampled.get(name, {'of': n})['of']} | {out} | {n} | {data['language']} |")
    here, published = measured(run), published_curves()
    print("\n| published task | model | " + " | ".join(f"depth {depth}" for depth in DEPTHS) + " |")
    print("|---|---|" + "---|" * len(DEPTHS))
    panels = []
    for task, language in here.select("task", "language").unique(maintain_order=True).iter_rows():
        title = f"{task} {language}".strip()
        curves = [published.filter(task=task, language=language, size=size) for size in BLOCKS]
        curves = [curve for curve in curves if len(curve)] + [here.filter(task=task, language=language)]
        for curve in curves:
            print(f"| {title} | {curve['size'][0]} | " + " | ".join(at_depths(curve)) + " |")
        rows = pl.concat([curve.select("size", "depth", "accuracy") for curve in curves])
        panels.append(
            alt.Chart(alt.InlineData(rows.to_dicts()), title=title, width=190, height=120)
            .mark_line()
            .encode(
                x=alt.X("depth:Q", title="relative depth"),
                y=alt.Y("accuracy:Q", title=None, scale=alt.Scale(domain=[0, 1])),
                color=alt.Color("size:N", title="LLaMA 2, published; this run"),
            )
        )
    chart = alt.concat(*panels, columns=3)
    Path(picture).write_bytes(vl_convert.vegalite_to_png(chart.to_json(), scale=1.5))


if __name__ == "__main__":
    main(*sys.argv[1:])
