"""Question files: the user's own, and published sets in their own formats, recognised by their columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from layeratlas.core.errors import DataError
from layeratlas.data.bad_rows import BadRowLog, BadRows, Dropped
from layeratlas.data.names import safe_name
from layeratlas.data.questions import Question, QuestionSet, check_question, conflicts
from layeratlas.data.readers.files import is_file, resolved, stem_of
from layeratlas.data.readers.formats.catalogue import headings, recognise
from layeratlas.data.readers.formats.format import Format, named
from layeratlas.data.readers.harness import PREFIX as HARNESS
from layeratlas.data.readers.harness import read_task
from layeratlas.data.readers.hub import PREFIX, hub_rows
from layeratlas.data.readers.row import Row, RowFile
from layeratlas.data.readers.rows import read_rows

_MOST_LISTED = 20
# Names of languages in file names, in addition to two-letter codes.
_LANGUAGES = {"english": "en", "chinese": "zh", "spanish": "es", "french": "fr", "german": "de", "thai": "th"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """The source of questions: the path as given, the file (if any), its name and the requested parts."""

    path: str
    file: Path | None
    stem: str
    parts: tuple[str, ...]

    @property
    def where(self) -> str:
        return f"'{self.path}'"


def read_questions(path: str, bad_rows: BadRows = "refuse") -> QuestionSet:
    """Return a file as a question set named after it (`gsm8k-test` for a `test.jsonl` of GSM8K).

    Your own questions are JSON or JSON lines (`question, choices, answer`, and optionally `group`, `stratum` and
    `shot`; `answer` is a 0-based position, a list of positions or the text of a choice, of the same kind in all rows)
    or a table (`question, A, B, ..., answer` as a letter). Rows marked `shot` are worked examples. Published sets are
    read as downloaded, in CSV, TSV, JSON, JSON lines or Parquet (see `formats/`). `FILE#PART,PART` reads parts of a
    file (a language, tasks, relations), `hub:NAME#CONFIG#SPLIT` reads a data set of the hub, and `lm-eval:TASK#SHOTS` a
    task of lm-evaluation-harness (see `harness.py`).

    Raises DataError that names every malformed row by file and line; with `bad_rows="drop"`, these rows are left out
    and listed in `dropped`.
    """
    log = BadRowLog(bad_rows)
    if path.startswith(HARNESS):
        return _harness_set(path, log)
    source, rows = _open(path)
    for where, error in rows.bad:
        log.add(where, error)
    if not rows.rows:
        log.settle()
        raise DataError(f"{source.where} has no row that can be read", "at least one question", "check the file")
    kind = recognise(rows.rows, source.stem, source.parts, source.where)
    prepared = kind.prepare(_uniform(rows.rows, kind, log), source.file)
    selected = prepared if kind.part_name else _select(prepared, kind, source)
    language = _language(selected, kind, source)
    questions, shots = _parse(selected, kind, log)
    items = tuple(question for question, shot in zip(questions, shots, strict=True) if not shot)
    examples = tuple(question for question, shot in zip(questions, shots, strict=True) if shot)
    items, dropped = _kept(items, examples, source.where, log)
    named_kind = [] if kind.name in source.stem else [kind.name]
    return QuestionSet(
        name=safe_name("-".join([*named_kind, source.stem, *source.parts])),
        level=kind.level or safe_name(source.stem),
        items=items,
        shots=examples,
        language=language,
        source=source.where,
        evident=kind.evident,
        confounded=kind.confounded,
        made=kind.made,
        dropped=dropped,
    )


def _harness_set(path: str, log: BadRowLog) -> QuestionSet:
    """Return a task of lm-evaluation-harness, named as the harness's logs are."""
    task, where = read_task(path, log), f"'{path}'"
    items, dropped = _kept(task.questions, (), where, log)
    return QuestionSet(
        name=safe_name(f"lm_eval-{task.name}"),
        level=safe_name(task.level),
        items=items,
        source=where,
        dropped=dropped,
        written=task.written,
    )


def _open(path: str) -> tuple[_Source, RowFile]:
    if path.startswith(PREFIX):
        rows, stem = hub_rows(path)
        return _Source(path=path, file=None, stem=stem, parts=()), rows
    name, mark, parts = path.rpartition("#")
    file = resolved(path)
    asked: tuple[str, ...] = ()
    if mark and not is_file(file):
        file = resolved(name)
        asked = tuple(name.strip() for name in parts.split(",") if name.strip())
    rows = read_rows(file, "a file of questions", headings)
    return _Source(path=path, file=file, stem=stem_of(file).split(".")[0], parts=asked), rows


def _select(rows: list[Row], kind: Format, source: _Source) -> list[Row]:
    """Return the rows of the requested parts."""
    if not source.parts:
        return rows
    known = sorted({named(row, kind.part_column) for row in rows if kind.part_column in row.fields})
    for name in source.parts:
        if name not in known:
            parts = f"the parts {', '.join(known[:_MOST_LISTED])}" if known else "no parts"
            raise DataError(
                f"{source.where} asks for '{name}' of a file with {parts}", "one of its parts", "fix the name"
            )
    return [row for row in rows if named(row, kind.part_column) in source.parts]


def _language(rows: list[Row], kind: Format, source: _Source) -> str:
    languages = sorted({named(row, kind.language) for row in rows} - {""}) if kind.language else []
    if len(languages) > 1:
        file = source.path.rpartition("#")[0] or source.path
        todo = f"write '{file}#{'en' if 'en' in languages else languages[0]}'"
        raise DataError(f"{source.where} has the languages {', '.join(languages)}", "one language per set", todo)
    if languages:
        return languages[0]
    ending = re.search(r"[-_]([A-Za-z]+)$", source.stem)
    word = ending[1].lower() if ending and kind.language_in_name else ""
    # Two letters can be another abbreviation in a published name ("mc").
    return _LANGUAGES.get(word, word if word in _LANGUAGES.values() or _is_code(word, kind) else "en")


def _is_code(word: str, kind: Format) -> bool:
    return len(word) == 2 and kind.name == "mgsm"


def _parse(rows: Sequence[Row], kind: Format, log: BadRowLog) -> tuple[list[Question], list[bool]]:
    """Parse and check every row; malformed rows go to the log. Returns the questions, and which are worked examples."""
    parse = kind.parser(rows)
    questions, shots = [], []
    for row in rows:
        unscorable = False
        try:
            question = parse(row)
            unscorable = kind.lenient and len(question.answers) == len(question.choices)
            check_question(question, row.where)
            questions.append(question)
            shots.append(str(row.fields.get("shot") or "").lower() not in {"", "0", "false", "none"})
        except DataError as error:
            log.add(row.where, error, expected=unscorable)
    return questions, shots


def _uniform(rows: Sequence[Row], kind: Format, log: BadRowLog) -> list[Row]:
    """Return the rows that have the columns of the first one of this format; the others go to the log."""
    columns = next(_columns(row, kind) for row in rows if kind.has_columns(row))
    uniform = []
    for row in rows:
        if _columns(row, kind) == columns and kind.fits(row):
            uniform.append(row)
        elif _columns(row, kind) == columns:
            error = DataError(f"{row.where} has another form than the first row", "one form per file", "fix it")
            log.add(row.where, error)
        else:
            problem = f"{row.where} has the columns {' '.join(sorted(map(str, row.fields.keys() - {'shot'})))}"[:500]
            expected = f"{' '.join(sorted(columns))} as in the first row"
            log.add(row.where, DataError(problem, expected, "use the same columns in every row"))
    return uniform


def _columns(row: Row, kind: Format) -> set[str]:
    """Return the columns of a row that every row must have."""
    return row.fields.keys() & (kind.columns | {"group", "stratum", kind.part_column, kind.language})


def _kept(
    items: tuple[Question, ...], shots: tuple[Question, ...], where: str, log: BadRowLog
) -> tuple[tuple[Question, ...], tuple[Dropped, ...]]:
    """Return the items without duplicates, worked examples and contradictions, and all rows that are left out."""
    wrong = dict(conflicts(items, shots, where))
    for number, error in wrong.items():
        log.add(items[number].where, error)
    dropped = log.settle()
    kept = tuple(item for number, item in enumerate(items) if number not in wrong)
    if not kept:
        raise DataError(f"{where} has no question that can be scored", "at least one", "check the file")
    return kept, dropped
