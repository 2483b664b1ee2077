"""What a report starts with: a few findings and the model's card."""

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
# What has at most so many words before a colon names a subject and says nothing of it.
_NAMES = 3


def headlines(rows: Sequence[Row], most: int = MOST) -> list[Row]:
    """Return at most `most` findings: decided ones before inconclusive ones, and of different kinds if it can be.

    Each has its statement in short as `plain`, and what that leaves out as `rest`. `rows` are in the order of their
    importance, which is kept otherwise.
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
    """Return a statement up to its first number in brackets, colon or semicolon as `plain`, what follows as `rest`.

    The colon after a subject is passed over. What the correction over the report has undone is said to be undecided.
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
    """Return what the model and the run are, as (heading, text)."""
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
        ("Time", formatting.seconds(run.seconds) if run.seconds else formatting.NONE),
    ]
    return [fact for fact in facts if fact[1] != formatting.NONE]


def source(manifest: Mapping[str, Any]) -> str:
    """Return what a copied number is from: the model, the study and the versions."""
    model, spec = manifest.get("model", {}), manifest.get("spec", {})
    version = manifest.get("versions", {}).get("layeratlas", "")
    parts = (
        str(model.get("name", "")),
        f"{spec.get('study', '')} study, size {spec.get('size', '')}, seed {spec.get('seed', 0)}",
        f"Layer Atlas {version}".strip(),
    )
    return ", ".join(part for part in parts if part)
