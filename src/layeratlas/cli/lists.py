"""`layeratlas list`: what can be named on the command line, and the settings of a study."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from layeratlas.cli.errors import one_line
from layeratlas.core import registry
from layeratlas.core.errors import SpecError
from layeratlas.core.fields import accepted

KINDS = {
    "studies": "what to measure: layeratlas run STUDY",
    "tasks": "the texts that studies read: --task",
    "probes": "how activations are probed: --probe",
    "metrics": "what the segments study measures of each layer",
    "claims": "published claims that finished runs are judged on: layeratlas claims",
    "settings": "the settings of a study: --set NAME=VALUE",
}
_BY_STUDY = ("tasks", "settings")


def list_names(
    kind: Annotated[
        str, typer.Argument(help="studies, tasks, probes, metrics, claims or settings. Without it: these kinds.")
    ] = "",
    study: Annotated[str, typer.Argument(help="For tasks and settings: the study. Without it: every study.")] = "",
) -> None:
    """List the studies, tasks, probes, metrics, claims and settings that the command line accepts.

    \b
    layeratlas list tasks
    layeratlas list tasks exits
    layeratlas list settings exits
    """
    with one_line():
        if kind and kind not in KINDS:
            raise SpecError(f"unknown kind '{kind}'", todo=f"choose one of {', '.join(KINDS)}")
        if study and kind not in _BY_STUDY:
            raise SpecError(f"'{kind}' are not listed by study", todo=f"layeratlas list {kind}")
        if not kind:
            _columns(list(KINDS.items()))
        elif kind == "settings":
            for name in [study] if study else registry.names("studies"):
                _settings(name)
        elif kind == "tasks":
            _tasks(study)
        else:
            _columns([(name, getattr(registry.get(kind, name), "summary", "")) for name in registry.names(kind)])


def _tasks(only: str) -> None:
    """Print the tasks with the study that reads each, those of one study if it is named."""
    from layeratlas.runs.pipeline import readers

    if only:
        registry.get("studies", only)  # an unknown one is refused
    rows = []
    every = {study: registry.get("studies", study) for study in registry.names("studies")}
    for name, task, studies in readers(every):
        for study, own in studies.items():
            if only in ("", study):
                rows.append((name, study, task.summary if own else f"{task.summary} (only with --task {name})"))
    _columns(rows)


def _settings(study: str) -> None:
    """Print the settings of a study: name, default, accepted values and meaning."""
    fields = registry.get("studies", study).settings.model_fields
    print(f"{study}: {'layeratlas run ' + study + ' --set NAME=VALUE' if fields else 'no settings'}")
    rows = [("NAME", "DEFAULT", "VALUES", "MEANING")] if fields else []
    for name, field in fields.items():
        bare = isinstance(field.default, str) and field.default
        default = field.default if bare else json.dumps(field.default)
        rows.append((name, default, accepted(field), field.description or ""))
    _columns(rows, indent="  ")


def _columns(rows: Sequence[tuple[str, ...]], indent: str = "") -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)] if rows else []
    for *cells, last in rows:
        text = "  ".join([*(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)), last])
        print(f"{indent}{text}".rstrip())
