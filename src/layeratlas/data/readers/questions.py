"""Question files of the user's and published sets in their own formats, recognised by what they hold."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from layeratlas.core.errors import DataError
from layeratlas.data.choices import MIXED, TRANSLATED
from layeratlas.data.questions import Question, QuestionSet, check_question
from layeratlas.data.readers import published
from layeratlas.data.readers.formats import facts, gsm8k_reasoning
from layeratlas.data.readers.rows import Row, read_rows

Parse = Callable[[Row], Question]
_HUB = "hub:"
_LISTED = 20


@dataclass(frozen=True, slots=True)
class Format:
    """A file format: what its sets are called, their ability, the fields that tell it, how rows become questions.

    Without a name or an ability, both are the file's name. `begin` takes all rows and returns the parser of one;
    `part` is the field that `FILE#PART` selects by; `language` names the language, of which a set has one.
    """

    name: str
    level: str
    fields: frozenset[str]
    begin: Callable[[Sequence[Row]], Parse]
    part: str = ""
    language: str = ""


def _format(name: str, level: str, fields: str, begin: Callable[[Sequence[Row]], Parse], **more: str) -> Format:
    return Format(name, level, frozenset(fields.split()), begin, **more)


# The first whose fields a row has.
FORMATS = (
    _format("reclor", "logic", "context question answers label", lambda rows: published.reclor),
    _format("truthfulqa", "truthfulness", "question best correct incorrect", lambda rows: published.truthfulqa),
    _format("truthfulqa", "truthfulness", "question mc1_targets mc2_targets", lambda rows: published.targets),
    _format("xmps", MIXED, "question truth_answer error m_truth_answer", lambda rows: published.solutions),
    _format("mps", "calculation", "question truth_answer error", lambda rows: published.solutions),
    _format("", "", "question choices answer", published.own),
    _format("", "", "question A B answer", lambda rows: published.lettered),
    _format("mgsm", "cross-lingual", "question answer_number", published.mgsm, language="lang"),
    _format("mgsm", "cross-lingual", "lang question answer", published.mgsm, part="lang", language="lang"),
    _format("gsm8k", "calculation", "question answer", published.gsm8k),
    _format("bbh", "logic", "input target", lambda rows: published.bbh, part="task"),
    _format("facts", "facts", "subject object", facts.facts, part="relation"),
)
# Their choices are worked solutions whose sums can be checked without the question: those of GSM8K are its own with
# another last result ("5*13=$67"). MGSM's are bare numbers, of which nothing can be told without it.
_EVIDENT = ("gsm8k", "mps", "xmps")
# How files name their language, besides by its two letters.
_LANGUAGES = {"english": "en", "chinese": "zh", "spanish": "es", "french": "fr", "german": "de", "thai": "th"}
_REASONING = _format("gsm8k", "reasoning", "question answer", gsm8k_reasoning.gsm8k)
_BARE_MGSM = _format("mgsm", "cross-lingual", "question answer", published.mgsm)


def read_questions(path: str) -> QuestionSet:
    """Return a file as a question set named after it (`gsm8k-test` for a `test.jsonl` of GSM8K).

    Own questions are JSON lines (`question, choices, answer`, and perhaps `group`, `stratum` and `shot`; `answer`
    is a 0-based place, a list of places or the text of a choice, the same kind throughout) or CSV or TSV
    (`question, A, B, ..., answer` as a letter). Rows marked `shot` are worked examples. Published sets are
    TruthfulQA; GSM8K, whose wrong solutions get another last result, or with `FILE#reasoning` another operation in
    one step; MGSM; BIG-Bench Hard with its options in the text; facts (`subject, object, pattern`, or patterns in
    `patterns.tsv` beside the file), whose candidates are objects of other subjects of the relation; ReClor; MPS and
    xMPS (`question, truth_answer, error`). `FILE#PART,PART` reads parts of a file (a language, tasks, relations),
    and `hub:NAME#CONFIG#SPLIT` a data set of the hub.

    Raises DataError that names every malformed row by file and line; then nothing is returned.
    """
    if path.startswith(_HUB):
        rows, stem, parts = _hub(path)
    else:
        file, parts = _split(path)
        rows, stem = facts.prepared(read_rows(file), file), file.name.split(".")[0]
    kind = _recognised(rows[0], path)
    if kind.begin is published.gsm8k and parts == [_REASONING.level]:
        kind, rows = _REASONING, _reasoned(rows, path)
    else:
        rows = _selected(rows, kind, parts, path)
    language = _language(rows, kind, stem, path)
    questions = _parsed(rows, kind, path)
    shown = [str(row.fields.get("shot", "")).lower() not in {"", "0", "false", "none"} for row in rows]
    items, shots = (tuple(q for q, shot in zip(questions, shown, strict=True) if shot is one) for one in (False, True))
    name = "-".join([*([] if kind.name in stem else [kind.name]), stem, *parts])
    told = TRANSLATED if kind.level == MIXED else ""
    evident = kind.name in _EVIDENT and kind is not _REASONING  # whose sums are all right
    return QuestionSet(name, kind.level or stem, items, shots, "", language, f"'{path}'", evident, told)


def _split(path: str) -> tuple[Path, list[str]]:
    """Part a path from what stands after its last `#`, unless a file has that name."""
    file, mark, parts = path.rpartition("#")
    if not mark or Path(path).is_file():
        return Path(path), []
    return Path(file), [part.strip() for part in parts.split(",") if part.strip()]


def _recognised(row: Row, path: str) -> Format:
    keys = set(row.fields)
    kind = next((kind for kind in FORMATS if kind.fields <= keys), None)
    if kind is None:
        known = "; ".join(dict.fromkeys(" ".join(sorted(kind.fields)) for kind in FORMATS))
        raise DataError(f"'{path}' has the fields {' '.join(sorted(keys))}", f"one of: {known}", "rename the fields")
    if kind.begin is published.gsm8k and published.is_number(row.fields["answer"]):
        return _BARE_MGSM
    return kind


def _reasoned(rows: list[Row], path: str) -> list[Row]:
    """Return the rows whose solutions have enough steps to go wrong in; raises DataError where none has."""
    kept = [row for row in rows if _turns(row) == published.WRONG]
    if not kept:
        raise DataError(
            f"'{path}' has no solution with {published.WRONG} ways to reason wrongly",
            "solutions with steps such as <<2+3=5>>",
            "name the file without '#reasoning'",
        )
    return kept


def _turns(row: Row) -> int:
    return len(gsm8k_reasoning.wrong_paths(row.text("question"), row.text("answer")))


def _selected(rows: list[Row], kind: Format, parts: list[str], path: str) -> list[Row]:
    if not parts:
        return rows
    there = sorted({str(row.fields[kind.part]) for row in rows if kind.part in row.fields})
    for part in parts:
        if part not in there:
            found = f"the parts {', '.join(there[:_LISTED])}" if there else "no parts"
            raise DataError(f"'{path}' asks for '{part}' of a file with {found}", "one of its parts", "mend the name")
    return [row for row in rows if row.fields[kind.part] in parts]


def _language(rows: list[Row], kind: Format, stem: str, path: str) -> str:
    found = sorted({str(row.fields[kind.language]) for row in rows if kind.language in row.fields})
    if len(found) > 1:
        todo = f"write '{path.rpartition('#')[0] or path}#{'en' if 'en' in found else found[0]}'"
        raise DataError(f"'{path}' holds the languages {', '.join(found)}", "one language a set", todo)
    ending = re.search(r"[-_]([A-Za-z]+)$", stem)
    named = ending[1].lower() if ending and kind.level in ("cross-lingual", MIXED) else ""
    # Two letters may be another word of a published name ("mc"), but not of MGSM's.
    short = len(named) == 2 and (kind.level != MIXED or named in _LANGUAGES.values())
    return found[0] if found else _LANGUAGES.get(named, named if short else "en")


def _parsed(rows: list[Row], kind: Format, path: str) -> list[Question]:
    """Parse and check every row, then raise for the first that is wrong, naming the lines of all."""
    parse = kind.begin(rows)
    fields = _lasting(rows[0])
    questions, wrong = [], []
    for row in rows:
        try:
            if _lasting(row) != fields:
                raise DataError(
                    f"{row.where} has the fields {' '.join(sorted(_lasting(row)))}",
                    f"{' '.join(sorted(fields))} as in the first row",
                    "keep to one form a file",
                )
            question = parse(row)
            check_question(question, row.where)
            questions.append(question)
        except DataError as error:
            wrong.append((row.where.rpartition(" ")[2], error))
    if wrong:
        first, others = wrong[0][1], [line for line, _ in wrong[1:]]
        more = f" (malformed rows besides: {len(others)}, at {', '.join(others[:_LISTED])}" if others else ""
        more += (", ..." if len(others) > _LISTED else "") + (")" if others else "")
        raise DataError(first.found + more, first.expected, first.todo)
    return questions


def _lasting(row: Row) -> set[str]:
    """The fields that every row must have; only worked examples need be marked."""
    return set(row.fields) - {"shot"}


def _hub(path: str) -> tuple[list[Row], str, list[str]]:
    """Load `hub:NAME#CONFIG#SPLIT`; without a configuration the data set's own, without a split `test`."""
    try:
        load_dataset = importlib.import_module("datasets").load_dataset
    except ImportError as error:
        raise DataError(f"'{path}' needs the package 'datasets'", "", "pip install 'layeratlas[hub]'") from error
    name, config, split = (*path.removeprefix(_HUB).split("#"), "", "")[:3]
    try:
        loaded = load_dataset(name, config or None, split=split or "test")
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"'{path}' cannot be loaded ({reason})", "hub:NAME#CONFIG#SPLIT", "check the name, or the network"
        ) from error
    rows = [Row(dict(fields), f"'{path}', row {number}") for number, fields in enumerate(loaded, 1)]
    if not rows:
        raise DataError(f"'{path}' holds no rows", "at least one question", "check the split")
    return facts.prepared(rows, None), "-".join(filter(None, [name.split("/")[-1], config])), []
