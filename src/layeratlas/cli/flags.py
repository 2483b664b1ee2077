"""The flags of the commands, each declared once, and pairs such as NAME=VALUE.

The flags of models and runs have the names of the options in `api/options.py`, so that commands pass them on unchanged.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeVar, get_type_hints

import typer

from layeratlas.core.errors import SpecError

MODEL = "Hub id, local directory, .gguf file or built-in alias."
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress, only the path of the report.")]
FamilyOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=PART: models with PART in their name or folder belong to the family NAME; repeatable."),
]
StepOption = Annotated[
    list[str] | None,
    typer.Option(
        "--step",
        help="STEP=PART: the model with PART in its name or folder is the checkpoint at that step of training; "
        "repeatable. Default: the step that a revision or directory names, such as step1000.",
    ),
]
Function = TypeVar("Function", bound=Callable[..., Any])


class LoadFlags(TypedDict):
    """The flags for loading any model."""

    dtype: Annotated[str | None, typer.Option(help="float32 (default), bfloat16, float16, auto (by device).")]
    attention: Annotated[str | None, typer.Option(help="Attention kernel: sdpa (default) or eager.")]
    device: Annotated[str | None, typer.Option(help="auto (default), cpu, cuda, mps, xpu, cuda:1 ...")]
    weights: Annotated[
        str | None,
        typer.Option(help="resident, streamed (a few blocks in memory at a time), remote (on NDIF) or auto (default)."),
    ]
    parallel: Annotated[int | None, typer.Option(help="Processes that share the weights, one per device. Default: 1.")]
    memory: Annotated[float | None, typer.Option(help="GB that the model may take. Default: the free memory.")]
    adapter: Annotated[str | None, typer.Option(help="Directory of a PEFT adapter to merge into the weights.")]
    chat: Annotated[
        bool | None,
        typer.Option("--chat", help="Put texts and questions as the user's turn of the model's own chat template."),
    ]
    system: Annotated[str | None, typer.Option(help="System prompt of the chat. Default: the template's own.")]
    chat_options: Annotated[
        list[str] | None,
        typer.Option("--chat-option", help="NAME=VALUE, a variable of the chat template; repeatable."),
    ]
    trust_remote_code: Annotated[
        bool | None, typer.Option("--trust-remote-code", help="Run Python code from the model's repository.")
    ]


class ModelFlags(LoadFlags):
    """The flags for loading a model at a revision."""

    revision: Annotated[str | None, typer.Option(help="Hub revision of the model.")]


class StudyFlags(TypedDict):
    """The flags for the texts and settings of a study."""

    tasks: Annotated[
        list[str] | None, typer.Option("--task", help="Only this task; repeatable ('layeratlas list tasks').")
    ]
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Your own texts: CSV, JSONL or Parquet with columns text, label and (optional) group. For exits: "
            "questions with choices, or lm-eval:TASK. With --task, both are read."
        ),
    ]
    probe: Annotated[
        list[str] | None, typer.Option(help="Only this probe; repeatable. Default: ridge and svm, at size quick ridge.")
    ]
    position: Annotated[
        str | None,
        typer.Option(
            help="last (default: the last token), mean (without position 0) or span:NAME; in a chat also turn (the "
            "last token of the user's turn) or answer (the last token before the answer)."
        ),
    ]
    components: Annotated[
        list[str] | None,
        typer.Option("--component", help="Only resid, attn or mlp; repeatable. Default: all three."),
    ]
    precision: Annotated[
        str | None,
        typer.Option(
            help="exact (default), or fast: rounded matrix products where they are faster here, and change little in a "
            "sample of the run's texts."
        ),
    ]
    folds: Annotated[int | None, typer.Option(help="Folds of the grouped cross-validation.")]
    repeats: Annotated[int | None, typer.Option(help="Repeats of the cross-validation.")]
    shuffles: Annotated[int | None, typer.Option(help="Label shuffles for the control.")]
    svm_c: Annotated[float | None, typer.Option(help="The SVM's C, the same at every layer. Default: 1.")]
    pca: Annotated[int | None, typer.Option(help="Principal components to probe. Default: all features.")]
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE, a setting of the study ('layeratlas list settings'); repeatable."),
    ]
    seed: Annotated[int | None, typer.Option(help="Seed of folds, shuffles and bootstrap. Default: 0.")]
    bad_rows: Annotated[
        str | None, typer.Option(help="What to do with malformed rows of your own texts: refuse (default) or drop.")
    ]
    label_kind: Annotated[
        str | None,
        typer.Option(
            "--labels",
            help="classes, numbers or auto (default: over ten different numbers are numbers): your own labels.",
        ),
    ]
    bos: Annotated[
        str | None,
        typer.Option(
            help="auto (default: one BOS token where the tokenizer has one), tokenizer (as it does itself) or never."
        ),
    ]


class RunFlags(StudyFlags, LoadFlags):
    """The flags of a run."""

    revision: Annotated[
        list[str] | None,
        typer.Option(
            help="Hub revision of the model; repeatable: revisions that name steps, such as step1000, are one training."
        ),
    ]


def with_flags(flags: type[ModelFlags] | type[RunFlags]) -> Callable[[Function], Function]:
    """Give a command that takes `**flags` a parameter for each flag; its value is None unless the user sets it."""
    kind = inspect.Parameter.KEYWORD_ONLY
    hints = get_type_hints(flags, include_extras=True)
    added = [inspect.Parameter(name, kind, default=None, annotation=hint) for name, hint in hints.items()]

    def decorate(command: Function) -> Function:
        signature = inspect.signature(command, eval_str=True)
        named = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        command.__signature__ = signature.replace(parameters=[*named, *added])  # type: ignore[attr-defined]
        return command

    return decorate


def settings(pairs: list[str]) -> dict[str, Any]:
    """Return `NAME=VALUE` flags as a dict; values that are valid JSON (4, true, null) are parsed, others are text."""
    return {name: _value(text) for name, text in _pairs(pairs, "--set", "NAME=VALUE", "layeratlas list settings")}


def chat_options(pairs: list[str]) -> dict[str, Any] | None:
    """Return `NAME=VALUE` variables of a chat template as a dict, values read as in `settings`; None for no flag."""
    form = "NAME=VALUE, such as enable_thinking=false"
    return {name: _value(text) for name, text in _pairs(pairs, "--chat-option", form, "see --help")} or None


def families(pairs: list[str]) -> dict[str, str]:
    """Return `NAME=PART` flags as a dict; raises SpecError for an empty part."""
    named = _pairs(pairs, "--family", "NAME=PART", "see --help")
    for name, fragment in named:
        if not fragment:
            raise SpecError(f"--family '{name}=' is invalid", "NAME=PART", "see --help")
    return dict(named)


def steps(pairs: list[str]) -> dict[int, str]:
    """Return `STEP=PART` flags as a dict; raises SpecError for a step that is not an integer and for an empty part."""
    named = _pairs(pairs, "--step", "STEP=PART", "see --help")
    for step, fragment in named:
        if not (step.isdecimal() and fragment):
            raise SpecError(f"--step '{step}={fragment}' is invalid", "STEP=PART, such as 1000=early", "see --help")
    return {int(step): fragment for step, fragment in named}


def _pairs(pairs: list[str], flag: str, form: str, todo: str) -> list[tuple[str, str]]:
    split = [pair.partition("=") for pair in pairs]
    for pair, (name, equals, _) in zip(pairs, split, strict=True):
        if not (name and equals):
            raise SpecError(f"{flag} {pair!r} is invalid", form, todo)
    return [(name, value) for name, _, value in split]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
