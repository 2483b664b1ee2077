"""Facts: subject, object and a pattern, or a prompt with candidates; LAMA, ParaRel, mLAMA, and LRE's relations."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from layeratlas.core.errors import DataError
from layeratlas.data.choices import arrange, positions
from layeratlas.data.questions import Question
from layeratlas.data.readers.formats.format import WRONG, Format, Parse, columns, make, named, rename, shuffled
from layeratlas.data.readers.json_rows import FILE
from layeratlas.data.readers.row import Row
from layeratlas.data.readers.rows import read_rows

_NAMES = {"sub_label": "subject", "obj_label": "object", "predicate_id": "relation", "template": "pattern"}
_MASK = "<mask>"
_TRIES = 60


def facts(rows: Sequence[Row]) -> Parse:
    """Parse facts; candidates are objects of the relation, drawn by frequency, that are not true of the subject."""
    true: dict[tuple[str, str], set[str]] = defaultdict(set)
    objects: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        subject, value = row.fields.get("subject"), row.fields.get("object")
        if isinstance(subject, str) and isinstance(value, str):
            true[_relation(row), subject].add(value)
            objects[_relation(row)].append(value)
    place = positions(WRONG + 1, "facts")

    def parse(row: Row) -> Question:
        pattern, relation = named(row, "pattern"), _relation(row)
        subject, truth = row.text("subject"), row.text("object")
        if not -1 < pattern.find("[X]") < pattern.find("[Y]"):
            pattern_named = f"the pattern '{pattern}'" if pattern else f"no pattern (relation {relation})"
            raise DataError(f"{row.where} has {pattern_named}", "[X] and then [Y] in a sentence", "add one or drop it")
        wrong = _candidates(objects[relation], true[relation, row.fields["subject"]], f"{relation}-{subject}-{truth}")
        text, _, rest = pattern.replace("[X]", subject).partition("[Y]")
        rest = rest.rstrip(" .")
        choices, answers = arrange(truth + rest, [other + rest for other in wrong], min(next(place), len(wrong)))
        return make(row, text.strip(), choices, answers, named(row, "relation"), f"{relation} {subject}")

    return parse


def _relation(row: Row) -> str:
    return named(row, "relation") if "relation" in row.fields else named(row, "pattern")


def _candidates(objects: list[str], true: set[str], seed: str) -> list[str]:
    rng = random.Random(f"facts-{seed}")
    candidates: list[str] = []
    for _ in range(_TRIES if objects else 0):
        candidate = rng.choice(objects)
        if candidate not in true and candidate not in candidates:
            candidates.append(candidate)
        if len(candidates) == WRONG:
            break
    return candidates


def _with_patterns(rows: list[Row], file: Path | None) -> list[Row]:
    """Rename the columns of facts; add patterns from `patterns.tsv` in the same folder; repeated facts count once."""
    rows = rename(_NAMES)(rows, file)
    beside = file.parent / "patterns.tsv" if file else None
    if "pattern" not in rows[0].fields and beside and beside.is_file():
        patterns: dict[str, list[str]] = defaultdict(list)
        for row in read_rows(beside, "columns 'relation' and 'pattern'").rows:
            patterns[named(row, "relation")].append(row.text("pattern"))
        best = {relation: _best(several) for relation, several in patterns.items()}
        rows = [Row({**r.fields, "pattern": best.get(str(r.fields.get("relation")), "")}, r.where) for r in rows]
    names = ("relation", "subject", "object", "pattern")
    return list({tuple(str(row.fields.get(name)) for name in names): row for row in rows}.values())


def _best(patterns: list[str]) -> str:
    """Return the first pattern that ends with the object, or else the first with the object after the subject."""
    good = [pattern for pattern in patterns if -1 < pattern.find("[X]") < pattern.find("[Y]")]
    return next((pattern for pattern in good if not pattern.partition("[Y]")[2].strip(" .")), good[0] if good else "")


def _of_relation_file(rows: list[Row], file: Path | None) -> list[Row]:
    """Add to the samples of an LRE file the name of its relation, and its first template as pattern."""
    named_rows = []
    for row in rows:
        described: dict[str, Any] = row.fields[FILE]
        name = named(Row(described, row.where), "name")
        templates = [t for t in described.get("prompt_templates") or [] if isinstance(t, str) and "{}" in t]
        pattern = f"{templates[0].replace('{}', '[X]')} [Y]" if templates else f"[X], {name}: [Y]"
        fields = {name: value for name, value in row.fields.items() if name != FILE}
        named_rows.append(Row({"relation": name, "pattern": pattern, **fields}, row.where))
    return _with_patterns(named_rows, file)


def _in_relation_file(row: Row) -> bool:
    described = row.fields[FILE]
    return isinstance(described, dict) and "name" in described


def prompts(rows: Sequence[Row]) -> Parse:
    """Parse `Prompt` with a mask, `Ans`, `Candidate Ans`; candidates that are true in other rows are removed."""
    true: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        true[str(row.fields["Prompt"])].add(str(row.fields["Ans"]).strip())

    def parse(row: Row) -> Question:
        before, mask, after = row.text("Prompt").partition(_MASK)
        truth, after = row.text("Ans"), after.rstrip(" .")
        if not mask:
            raise DataError(f"{row.where}: 'Prompt' has no {_MASK}", "one", "fix it")
        candidates = dict.fromkeys(name.strip() for name in row.text("Candidate Ans").split(","))
        known = {"", *true[str(row.fields["Prompt"])]}
        wrong = [name + after for name in candidates if name not in known]
        text, seed = before.strip(), f"facts-{row.text('Prompt')}-{truth}"
        return shuffled(row, text or row.text("Prompt"), [truth + after], wrong, seed, row.text("Subject"))

    return parse


_OBJECTS = f"{WRONG} objects of other facts of its relation"
_facts = partial(Format, name="facts", level="facts")
FORMATS = (
    _facts(
        columns=columns(f"subject object {FILE}"),
        parser=facts,
        fits=_in_relation_file,
        prepare=_of_relation_file,
        made=_OBJECTS,
    ),
    _facts(
        columns=columns("subject object"), parser=facts, prepare=_with_patterns, part_column="relation", made=_OBJECTS
    ),
    _facts(
        columns=columns("sub_label obj_label"),
        parser=facts,
        prepare=_with_patterns,
        part_column="relation",
        made=_OBJECTS,
    ),
    _facts(columns=frozenset(("Prompt", "Ans", "Candidate Ans", "Subject")), parser=prompts, lenient=True),
)
