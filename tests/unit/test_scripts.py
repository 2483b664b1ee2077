"""Benchmarks, tools and notebooks import what the package still has, inside functions too."""

from __future__ import annotations

import ast
import importlib
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [path for folder in ("benchmarks", "tools", "notebooks") for path in sorted((ROOT / folder).rglob("*.py"))]


def missing_from(text: str) -> list[str]:
    """Return the names that a text imports from the package, and that are not there."""
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.module]
    ours = [(node.module or "", alias.name) for node in found for alias in node.names if is_ours(node.module or "")]
    return [f"{module}.{name}" for module, name in ours if not is_there(module, name)]


def is_ours(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] == "layeratlas"


def is_there(module: str, name: str) -> bool:
    if find_spec(module) is None:
        return False
    return hasattr(importlib.import_module(module), name) or find_spec(f"{module}.{name}") is not None


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_a_script_imports_is_there(path: Path) -> None:
    assert missing_from(path.read_text(encoding="utf-8")) == []


def test_a_name_that_has_gone_is_reported() -> None:
    text = "from layeratlas.probes import bare_design\ndef f():\n    from layeratlas.core import errors, none_of_it\n"
    assert missing_from(text) == ["layeratlas.core.none_of_it"]
