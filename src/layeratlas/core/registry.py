"""Plug-ins by name: built-in modules by file name, others by entry point; imported on first use.

A built-in task, probe or metric is a module with an attribute `PLUGIN`. A study is a folder whose module `study` has
that attribute; a claim is a module in the folder `claims` of its study. A plug-in of another package is an entry point
in the group `layeratlas.<kind>` that resolves to the same kind of object.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from layeratlas.core.errors import unknown_name

KINDS = ("studies", "tasks", "probes", "metrics", "claims")
_FOLDERS = {"tasks": "layeratlas.data.tasks", "probes": "layeratlas.probes", "metrics": "layeratlas.metrics"}
_STUDIES = "layeratlas.studies"


@cache
def _outside(kind: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"layeratlas.{kind}")}


@cache
def _built_in(kind: str) -> dict[str, str]:
    """Return the module of every built-in plug-in, by name."""
    if kind == "studies":
        return {name: f"{_STUDIES}.{name}.study" for name in _modules(_STUDIES)}
    if kind == "claims":
        folders = [f"{_STUDIES}.{study}.claims" for study in _modules(_STUDIES)]
        return {name: f"{folder}.{name}" for folder in folders for name in _modules(folder)}
    return {name: f"{_FOLDERS[kind]}.{name}" for name in _modules(_FOLDERS[kind])}


def _modules(package: str) -> list[str]:
    path = importlib.import_module(package).__path__
    return [module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_")]


@cache
def names(kind: str) -> list[str]:
    """Return the sorted names of every plug-in of a kind (one of KINDS)."""
    return sorted({*_built_in(kind), *_outside(kind)})


def get(kind: str, name: str) -> Any:
    """Return the plug-in of that kind and name; a misspelt name raises SpecError with the nearest one."""
    known = names(kind)
    if name not in known:
        raise unknown_name(_singular(kind), name, known, f"'layeratlas list {kind}' shows them all")
    outside = _outside(kind)
    if name in outside:
        return outside[name].load()
    return importlib.import_module(_built_in(kind)[name]).PLUGIN


def claims_of(study: str) -> list[Any]:
    """Return the claims about a study: those in its own folder and those of other packages, by name."""
    folder = f"{_STUDIES}.{study}.claims"
    own = [name for name, module in _built_in("claims").items() if module.startswith(f"{folder}.")]
    outside = [name for name, point in _outside("claims").items() if point.load().study == study]
    return [get("claims", name) for name in sorted({*own, *outside})]


def _singular(kind: str) -> str:
    return "study" if kind == "studies" else kind[:-1]
