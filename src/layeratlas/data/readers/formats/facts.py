"""Facts in published forms: names that differ, patterns that stand beside, and candidates of the same relation."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layeratlas.core.errors import DataError
from layeratlas.data.choices import arrange, positions
from layeratlas.data.questions import Question
from layeratlas.data.readers.published import WRONG, Parse, make, truthful
from layeratlas.data.readers.rows import Row, read_rows


def prepared(rows: list[Row], file: Path | None) -> list[Row]:
    """Give TruthfulQA and facts common names and each fact its pattern; a fact said twice is one.

    Patterns stand with the facts, or in `patterns.tsv` beside the file.
    """
    if {"Best Answer", "best_answer"} & set(rows[0].fields):
        return [truthful(row) for row in rows]
    if not ({"subject", "object"} <= set(rows[0].fields) or {"sub_label", "obj_label"} <= set(rows[0].fields)):
        return rows
    names = {"sub_label": "subject", "obj_label": "object", "predicate_id": "relation", "template": "pattern"}
    renamed = [Row({names.get(k, k): v for k, v in row.fields.items()}, row.where) for row in rows]
    beside = file.parent / "patterns.tsv" if file else None
    if "pattern" not in renamed[0].fields and beside and beside.is_file():
        patterns: dict[Any, list[str]] = defaultdict(list)
        for row in read_rows(beside):
            patterns[row.fields.get("relation")].append(row.text("pattern"))
        best = {relation: _handiest(found) for relation, found in patterns.items()}
        renamed = [Row({**r.fields, "pattern": best.get(r.fields.get("relation"), "")}, r.where) for r in renamed]
    once = {tuple(str(row.fields.get(n)) for n in ("relation", "subject", "object", "pattern")): row for row in renamed}
    return list(once.values())


def _handiest(patterns: list[str]) -> str:
    """The first pattern that ends in the object, else the first that has it after the subject."""
    good = [pattern for pattern in patterns if -1 < pattern.find("[X]") < pattern.find("[Y]")]
    return next((pattern for pattern in good if not pattern.partition("[Y]")[2].strip(" .")), good[0] if good else "")


def facts(rows: Sequence[Row]) -> Parse:
    """Parse facts; candidates are objects of the relation, as often as it has them, that the subject never has."""
    true: dict[tuple[Any, Any], set[Any]] = defaultdict(set)
    objects: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        relation = row.fields.get("relation", row.fields.get("pattern"))
        true[relation, row.fields["subject"]].add(row.fields["object"])
        objects[relation].append(row.fields["object"])
    standing = positions(WRONG + 1, "facts")

    def parse(row: Row) -> Question:
        pattern, relation = str(row.fields.get("pattern") or ""), row.fields.get("relation", row.fields.get("pattern"))
        subject, truth = row.text("subject"), row.text("object")
        if not -1 < pattern.find("[X]") < pattern.find("[Y]"):
            found = f"the pattern '{pattern}'" if pattern else f"no pattern (relation {relation})"
            raise DataError(f"{row.where} has {found}", "[X] and then [Y] in a sentence", "add one or drop it")
        wrong = _candidates(objects[relation], true[relation, row.fields["subject"]], f"{relation}-{subject}-{truth}")
        text, _, rest = pattern.replace("[X]", subject).partition("[Y]")
        rest = rest.rstrip(" .")
        choices, answers = arrange(truth + rest, [one + rest for one in wrong], min(next(standing), len(wrong)))
        return make(row, text.strip(), choices, answers, str(row.fields.get("relation", "")), f"{relation} {subject}")

    return parse


def _candidates(objects: list[Any], true: set[Any], seed: str) -> list[str]:
    rng = random.Random(f"facts-{seed}")
    found: list[str] = []
    for _ in range(60):
        drawn = rng.choice(objects)
        if isinstance(drawn, str) and drawn not in true and drawn not in found:
            found.append(drawn)
        if len(found) == WRONG:
            break
    return found
