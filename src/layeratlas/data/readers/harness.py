"""Multiple-choice tasks of lm-evaluation-harness, with the prompts and choices that the harness itself builds."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from typing import Any

from layeratlas.core.errors import DataError
from layeratlas.data.bad_rows import BadRowLog
from layeratlas.data.questions import Question, Written, check_question
from layeratlas.data.readers.files import is_file, resolved
from layeratlas.data.readers.formats.lm_eval import common_start

PREFIX = "lm-eval:"
_KIND = "multiple_choice"
# The seed with which the harness draws worked examples unless it is given another.
_SEED = 1234
_MOST_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HarnessTask:
    """A task as questions: its name, with the number of worked examples if that was asked for."""

    name: str
    level: str
    questions: tuple[Question, ...]
    written: Written


def read_task(path: str, log: BadRowLog) -> HarnessTask:
    """Return the questions of `lm-eval:TASK#SHOTS`, where TASK is a name of the harness or a path to a YAML file.

    `#SHOTS` asks for other worked examples than the task's own number, drawn as the harness draws them. Questions that
    cannot be scored go to the log. Raises DataError, in one line, if the package is missing, if there is no such task,
    if its data cannot be loaded, or if it is not multiple choice over texts.
    """
    name, mark, shots = path.removeprefix(PREFIX).partition("#")
    if mark and not shots.isdecimal():
        raise DataError(f"'{path}' asks for '{shots}' worked examples", "lm-eval:TASK#SHOTS, such as #5", "fix it")
    task = _load(name, path)
    _check_kind(task, path)
    _set_shots(task, int(shots) if mark else None, path)
    questions = []
    for number, (doc, requests) in enumerate(_requests(task, path), 1):
        where = f"'{path}', question {number}"
        try:
            question = _question(task, doc, requests, where)
            check_question(question, where)
            questions.append(question)
        except DataError as error:
            log.add(where, error)
    known = str(task.config.task)
    return HarnessTask(
        name=f"{known}-{shots}" if mark else known,
        level=known,
        questions=tuple(questions),
        written=Written(
            by=f"lm-evaluation-harness {_version()}",
            delimiter=task.config.target_delimiter,
            shots=task.config.num_fewshot,
        ),
    )


def _load(name: str, path: str) -> Any:
    """Return the harness's task."""
    file = resolved(name)
    with _quiet():
        try:
            from lm_eval.tasks import TaskManager
        except ImportError as error:
            raise DataError(
                f"'{path}' needs the package 'lm_eval'", "that package", "pip install 'layeratlas[lm-eval]'"
            ) from error
        manager = TaskManager(include_defaults=not is_file(file))
        if not is_file(file):
            _check_name(manager, name, path)
        try:
            loaded = manager.load(str(file) if is_file(file) else name)
        except Exception as error:
            raise DataError(
                f"'{path}' cannot be loaded ({_first_line(error)})", "a task whose data can be read", "check its data"
            ) from error
    tasks = list(loaded["tasks"].values())
    if len(tasks) != 1:
        raise _not_one(path, f": {', '.join(str(task.config.task) for task in tasks[:_MOST_LISTED])}")
    return tasks[0]


def _check_name(manager: Any, name: str, path: str) -> None:
    """Raise DataError for a name that the harness does not have, and for a group, before any data is loaded."""
    if name not in manager.all_tasks:
        near = get_close_matches(name, manager.all_tasks, n=1)
        raise DataError(
            f"'{path}': lm-evaluation-harness has no task named '{name}'",
            "a name that `lm_eval ls tasks` lists, or the path of a YAML file",
            f"did you mean '{near[0]}'?" if near else "check the name",
        )
    if name not in manager.all_subtasks:
        raise _not_one(path, "")


def _not_one(path: str, tasks: str) -> DataError:
    return DataError(f"'{path}' is a group of tasks{tasks}", "one task (`lm_eval ls subtasks`)", "name each by itself")


def _check_kind(task: Any, path: str) -> None:
    """Raise DataError unless a task is judged by the log-likelihoods of choices, or of an ending after each choice."""
    kind = getattr(task, "OUTPUT_TYPE", None)
    if kind != _KIND:
        raise DataError(f"'{path}' is a task of the kind {kind}", "a multiple-choice task", "choose another task")
    if getattr(task, "MULTIMODAL", False):
        raise DataError(f"'{path}' has images or sound", "text", "choose another task")
    if callable(task.config.process_results):
        raise DataError(
            f"'{path}' judges its answers by code of its own", "the answers that doc_to_target names", "choose another"
        )


def _set_shots(task: Any, asked: int | None, path: str) -> None:
    """Set the number of worked examples, by default the task's own, and the seed that draws them."""
    own = task.config.num_fewshot
    if asked and own == 0:
        raise DataError(f"'{path}' asks for {asked} worked examples", "none, as the task says", "leave them out")
    task.set_config("num_fewshot", (own or 0) if asked is None else asked)
    task.set_fewshot_seed(_SEED)


def _requests(task: Any, path: str) -> list[tuple[Any, list[Any]]]:
    """Return every document with the requests that the harness makes of it."""
    with _quiet():
        try:
            task.build_all_requests()
        except Exception as error:
            raise DataError(
                f"'{path}' has no prompts ({_first_line(error)})", "questions and worked examples", "check the task"
            ) from error
    grouped = [list(requests) for _, requests in groupby(task.instances, key=lambda request: request.doc_id)]
    return [(requests[0].doc, requests) for requests in grouped]


def _question(task: Any, doc: Any, requests: Sequence[Any], where: str) -> Question:
    """Return a document as a question whose text is the whole prompt; equal questions are one group."""
    choices = tuple(map(str, task.doc_to_choice(doc)))
    # A task with the metric acc_mutual_info asks each choice once more, without its context.
    pairs = [request.args[:2] for request in requests[: len(choices)]]
    if getattr(task, "multiple_input", 0):
        return _ended(task, doc, pairs, choices, where)
    expected = [(pairs[0][0], f"{task.config.target_delimiter}{choice}") for choice in choices]
    if pairs != expected:
        raise _other_requests(where)
    return Question(
        text=pairs[0][0],
        choices=choices,
        answers=tuple(_answers(task.doc_to_target(doc), choices, where)),
        group=str(task.doc_to_text(doc)),
        where=where,
    )


def _ended(task: Any, doc: Any, pairs: Sequence[tuple[str, str]], written: Sequence[str], where: str) -> Question:
    """Return a document whose choices are in its contexts, `written`, and whose ending is scored after each context.

    The text is the common beginning of the contexts, and a choice the rest of its context.
    """
    ending = str(task.doc_to_target(doc))
    if not ending.strip():
        raise DataError(f"{where} has nothing after its choices", "a text to score", "drop it")
    if [scored for _, scored in pairs] != [f"{task.config.target_delimiter}{ending}"] * len(written):
        raise _other_requests(where)
    contexts = [context for context, _ in pairs]
    text = common_start(contexts)
    return Question(
        text=text,
        choices=tuple(context[len(text) :] for context in contexts),
        answers=tuple(_answers(task.doc_to_text(doc), written, where)),
        group=common_start(written) or written[0],
        where=where,
        ending=ending,
    )


def _other_requests(where: str) -> DataError:
    return DataError(f"{where} has other choices than are asked", "one request for each choice", "check the task")


def _answers(gold: Any, choices: Sequence[str], where: str) -> Iterator[int]:
    """Yield the positions of the true choices, which a task names by position or by text."""
    for answer in gold if isinstance(gold, list) else [gold]:
        if isinstance(answer, str) and answer not in choices:
            raise DataError(f"{where} has the answer '{answer}'", f"one of {', '.join(choices)}", "drop it")
        yield choices.index(answer) if isinstance(answer, str) else int(answer)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the harness's progress bars and its log, so that an error stays one line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def _version() -> str:
    with contextlib.suppress(PackageNotFoundError):
        return version("lm_eval")
    return ""
