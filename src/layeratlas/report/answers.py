"""The questions of a report, each with the texts used, the curves, the findings, and their limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from layeratlas.report.overview import main_findings
from layeratlas.report.parts import Part, PartKind
from layeratlas.report.view import View
from layeratlas.runs import question
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.mistakes import brief
from layeratlas.runs.study import Study

Row = dict[str, Any]
_EXAMPLES, _LONGEST = 2, 160


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A question and its answer.

    - `anchor`: its anchor in the page; `level` and `part`: those of its curve, empty and None if it has no curve;
    - `findings`: rows of the main component and method; `small`: parts of the level, for small charts;
    - `like`, `like_title`: an earlier question that was asked in the same way and states the same limits;
    - `datasets`: records of its texts; `examples`: pairs of a text and its label.
    """

    anchor: str
    title: str
    asked: str
    unsaid: str
    level: str = ""
    part: int | None = None
    findings: list[Row] = field(default_factory=list)
    small: list[Part] = field(default_factory=list)
    datasets: list[Row] = field(default_factory=list)
    like: str = ""
    like_title: str = ""
    examples: list[tuple[str, str]] = field(default_factory=list)


def answers(run: FinishedRun, view: View, study: Study | None) -> list[Answer]:
    """Return the questions of a run in reading order: those of levels, those across levels, and all others."""
    rows = main_findings(run.findings, study).to_dicts()
    across = list(study.across) if study else []
    taken = {kind for one in across for kind in one.kinds}
    levels = [part for part in view.of(PartKind.LEVEL) if study is None or study.curves]
    anchors = anchors_of([part.level for part in levels])
    found = [_of_level(run, view, study, part, anchors[part.level]) for part in levels]
    found = [_referring(block, found[:place]) for place, block in enumerate(found)]
    for part, block in zip(levels, found, strict=True):
        block.findings.extend(row for row in rows if row["level"] == part.level and row["finding"] not in taken)
    everywhere = _elsewhere(run.findings, rows)
    for place, one in enumerate(across):
        matching = [row for row in [*rows, *everywhere] if row["finding"] in one.kinds]
        if matching:
            words = [view.names.level.get(level, level) for level in dict.fromkeys(row["level"] for row in matching)]
            found.append(_asked(one.about(words), f"question-{place + 1}", matching))
    told = [id(row) for block in found for row in block.findings]
    rest = [row for row in rows if id(row) not in told]
    if rest:
        found.append(
            _asked(question.Question(title="What else was found?", asked="", unsaid=""), "question-else", rest)
        )
    return found


def _asked(one: question.Question, anchor: str, findings: list[Row]) -> Answer:
    return Answer(anchor=anchor, title=one.title, asked=one.asked, unsaid=one.unsaid, findings=findings)


def _referring(block: Answer, earlier: Sequence[Answer]) -> Answer:
    """Return a question that refers to the first one that was asked in the same way."""
    for other in earlier:
        if (other.asked, other.unsaid) == (block.asked, block.unsaid):
            return replace(block, like=other.anchor, like_title=other.title)
    return block


def _elsewhere(findings: pl.DataFrame, rows: Sequence[Row]) -> list[Row]:
    """Return the first method's findings of kinds that exist only in other components (`coordination` of attention)."""
    kinds = {row["finding"] for row in rows}
    first = findings.filter(pl.col("method") == pl.col("method").first())
    return [row for row in first.to_dicts() if row["finding"] not in kinds]


def anchors_of(levels: Iterable[str]) -> dict[str, str]:
    """Return the unique anchor of each level in the page, such as `level-buried-item`."""
    anchors: dict[str, str] = {}
    for level in levels:
        slug = re.sub(r"[^a-z0-9]+", "-", level.lower()).strip("-")[:40]
        anchor = f"level-{slug}" if slug else "level"
        anchors[level] = anchor if anchor not in anchors.values() else f"{anchor}-{len(anchors)}"
    return anchors


def _of_level(run: FinishedRun, view: View, study: Study | None, part: Part, anchor: str) -> Answer:
    words = view.names.level.get(part.level, "")
    asks = study.question(part.level, words) if study else question.of_level(words or part.level)
    inside = [other for other in view.parts if other.level == part.level and other.kind is not PartKind.LEVEL]
    tasks = [other for other in inside if other.kind is PartKind.TASK]
    small = [other for other in inside if other.kind is PartKind.STRATUM or len(tasks) > 1]
    datasets = [data for data in run.manifest.get("datasets", []) if data.get("level") == part.level]
    return Answer(
        anchor=anchor,
        title=asks.title,
        asked=asks.asked,
        unsaid=asks.unsaid,
        level=part.level,
        part=part.code,
        small=small,
        datasets=datasets,
        examples=_examples(run, datasets),
    )


def _examples(run: FinishedRun, datasets: Sequence[Row]) -> list[tuple[str, str]]:
    """Return example texts of a level with different labels; none from the user's files, which may be private."""
    if run.manifest.get("spec", {}).get("data"):
        return []
    for data in datasets:
        path = run.folder / "items" / f"{data['name']}.parquet"
        if path.is_file():
            table = pl.read_parquet(path)
            if {"text", "label"} <= set(table.columns):
                rows = table.select("text", pl.col("label").cast(pl.String)).unique("label", maintain_order=True)
                return [(brief(text, _LONGEST), label) for text, label in rows.head(_EXAMPLES).iter_rows()]
    return []
