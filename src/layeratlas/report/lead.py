"""The start of a report: a few findings and the model's card."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from layeratlas.core import formatting
from layeratlas.runs.finding import CORRECTED
from layeratlas.runs.finished import FinishedRun

Row = dict[str, Any]
MOST = 5
_UNDECIDED = "inconclusive"
_DETAIL = re.compile(r"\s*(?::\s|;\s|\s[(\[])")
# A beginning with at most this many words before a colon only names the subject.
_NAMES = 3


def headlines(rows: Sequence[Row], most: int = MOST) -> list[Row]:
    """Return at most `most` findings: decided ones before inconclusive ones, and of different kinds if possible.

    Each has its shortened statement as `plain`, and the remainder as `rest`. Otherwise the order of `rows`, by
    importance, is kept.
    """
    seen: Counter[str] = Counter()
    turns = []
    for row in rows:
        turns.append((row["verdict"] == _UNDECIDED, seen[row["finding"]]))
        seen[row["finding"]] += 1
    ranked = sorted(zip(turns, rows, strict=True), key=lambda pair: pair[0])
    chosen = [row for _, row in ranked[:most]]
    return [row | in_short(row["statement"]) for row in rows if any(row is one for one in chosen)]


def in_short(statement: str) -> dict[str, str]:
    """Return a statement up to its first bracketed number, colon or semicolon as `plain`, the remainder as `rest`.

    A colon after the subject is skipped. Findings overturned by the correction over the report are called undecided.
    """
    match = next((m for m in _DETAIL.finditer(statement) if len(statement[: m.start()].split()) > _NAMES), None)
    undone = "After the correction undecided: " if CORRECTED in statement else ""
    if match is None:
        return {"plain": undone + statement, "rest": ""}
    rest = statement[match.start() :].lstrip(" :;,")
    if rest.startswith("["):
        rest = f"95 % interval {rest}"
    if rest.startswith("("):
        rest = rest[1:].replace(")", "", 1)
    return {"plain": f"{undone}{statement[: match.start()].rstrip()}.", "rest": rest}


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
        ("Texts", f"{formatting.count(texts)} in {len(datasets)} set{'s' * (len(datasets) != 1)}"),
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
