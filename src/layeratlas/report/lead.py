"""The start of a report: a few findings and the model's card."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from layeratlas.core import formatting
from layeratlas.runs.finding import CORRECTED, GATED
from layeratlas.runs.finished import FinishedRun

Row = dict[str, Any]
MOST = 5
_UNDONE = {CORRECTED: "After the correction undecided: ", GATED: "Undecided: "}
_ORDER = ("supported", "not supported", "inconclusive")
_DETAIL = re.compile(r"\s*(?::\s|;\s|\s[(\[])")
# What follows a bracket in the middle of a sentence.
_GOES_ON = re.compile(r" [a-z]")
# A beginning with at most this many words before a colon only names the subject.
_NAMES = 3


def headlines(rows: Sequence[Row], most: int = MOST) -> list[Row]:
    """Return at most `most` findings: supported before other decided ones, and of different kinds if possible.

    Each has its shortened statement as `plain`, and the remainder as `rest`. Otherwise the order of `rows`, by
    importance, is kept.
    """
    seen: Counter[str] = Counter()
    turns = []
    for row in rows:
        turns.append((_ORDER.index(row["verdict"]), seen[row["finding"]]))
        seen[row["finding"]] += 1
    ranked = sorted(zip(turns, rows, strict=True), key=lambda pair: pair[0])
    chosen = [row for _, row in ranked[:most]]
    return [row | in_short(row["statement"]) for row in rows if any(row is one for one in chosen)]


def in_short(statement: str) -> dict[str, str]:
    """Return a statement up to its first detail as `plain`, and the details as `rest`.

    A detail begins with a colon, a semicolon or a bracket. A bracket in the middle of the sentence is left out of it; a
    colon after the subject is skipped. Findings overturned by the correction, or by others of the report, are called
    undecided.
    """
    kept, details, at = "", list[str](), 0
    while match := _detail(statement, at, kept):
        kept += statement[at : match.start()]
        at = _past_bracket(statement, match)
        if not at or not _GOES_ON.match(statement, at):
            details.append(statement[match.start() :].lstrip(" :;,"))
            break
        details.append(statement[match.start() : at].strip())
    else:
        kept += statement[at:]
    undone = next((words for ending, words in _UNDONE.items() if ending in statement), "")
    plain = kept.rstrip() if kept.rstrip().endswith(".") or not details else f"{kept.rstrip()}."
    return {"plain": undone + plain, "rest": "; ".join(map(_in_words, details))}


def _detail(statement: str, start: int, before: str) -> re.Match[str] | None:
    """Return the beginning of the first detail from `start` on, after more words than a subject has."""
    matches = _DETAIL.finditer(statement, start)
    return next((m for m in matches if len((before + statement[start : m.start()]).split()) > _NAMES), None)


def _past_bracket(statement: str, match: re.Match[str]) -> int:
    """Return the place after the bracket that a detail begins with; 0 if it begins with none, or is not closed."""
    depth = 0
    for place in range(match.end() - 1, len(statement)):
        depth += (statement[place] in "([") - (statement[place] in ")]")
        if depth == 0:
            return place + 1 if place >= match.end() else 0
    return 0


def _in_words(detail: str) -> str:
    """Return a detail without the bracket that it begins with, or with the name of an interval."""
    if detail.startswith("["):
        return f"95 % interval {detail}"
    return detail[1:].replace(")", "", 1) if detail.startswith("(") else detail


def card(run: FinishedRun) -> list[tuple[str, str]]:
    """Return the description of the model and the run, as (heading, text)."""
    model, spec = run.manifest.get("model", {}), run.manifest.get("spec", {})
    datasets = run.manifest.get("datasets", [])
    texts = sum(data.get("n", 0) for data in datasets)
    weights = model.get("quantisation")
    facts = [
        ("Model", f"{model.get('layers', formatting.NONE)} blocks, width {model.get('width', formatting.NONE)}"),
        ("Parameters", formatting.size(model.get("parameters"))),
        ("Weights", weights if weights and weights != "none" else str(model.get("dtype", formatting.NONE))),
        ("Run", f"{spec.get('study', '')}, {spec.get('size', '')}, seed {spec.get('seed', 0)}"),
        ("Texts", f"{formatting.count(texts)} in {formatting.counted(len(datasets), 'set')}"),
        ("Time", formatting.duration(run.seconds) if run.seconds else formatting.NONE),
    ]
    return [fact for fact in facts if fact[1] != formatting.NONE]


def source(manifest: Mapping[str, Any]) -> str:
    """Return the source note for copied numbers: the model, the study and the versions."""
    model, spec = manifest.get("model", {}), manifest.get("spec", {})
    version = manifest.get("versions", {}).get("layeratlas", "")
    parts = (
        str(model.get("name", "")),
        f"{spec.get('study', '')} study, size {spec.get('size', '')}, seed {spec.get('seed', 0)}",
        f"Layer Atlas {version}".strip(),
    )
    return ", ".join(part for part in parts if part)
