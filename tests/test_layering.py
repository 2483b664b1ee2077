"""Imports follow the graph of allowed edges; heavy packages load only when they are needed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import layeratlas

ROOT = Path(layeratlas.__file__).parent
# What a folder may import, at run time through the registry too. A study is a folder of its own, and imports no other.
BELOW_STUDIES = frozenset(
    {"core", "data", "stats", "models", "store", "capture", "probes", "metrics", "directions", "runs", "report"}
)
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "core": frozenset(),
    "data": frozenset({"core"}),
    "stats": frozenset({"core"}),
    "store": frozenset({"core"}),
    "models": frozenset({"core"}),
    "metrics": frozenset({"core"}),
    "probes": frozenset({"core", "data", "stats"}),
    "capture": frozenset({"core", "models", "store"}),
    "directions": frozenset({"core", "models", "probes"}),
    "runs": frozenset({"core", "data", "stats", "models", "store"}),
    "report": frozenset({"core", "data", "stats", "runs"}),
    "studies.hierarchy": BELOW_STUDIES,
    "studies.exits": BELOW_STUDIES,
    "studies.segments": BELOW_STUDIES,
    "studies.causal": BELOW_STUDIES,
    "comparison": frozenset({"core", "data", "stats", "store", "runs", "report", "studies"}),
    "planning": frozenset({"core", "data", "models", "store", "capture", "studies"}),
    "validation": frozenset({"core", "data", "stats", "store", "probes", "runs", "studies"}),
    "api": frozenset({"core", "store", "directions", "runs", "report", "comparison", "planning", "studies"}),
    "sweeps": frozenset(
        {"core", "models", "store", "runs", "report", "comparison", "planning", "api", "studies", "data"}
    ),
    "cli": frozenset(
        {"core", "directions", "runs", "report", "api", "planning", "comparison", "validation", "studies", "sweeps"}
    ),
    "__main__": frozenset({"cli", "models"}),
}
# `registry.get("studies", ...)` is an import of the studies; of claims too, which lie in their folders.
PLUGINS = {"studies": "studies", "claims": "studies", "tasks": "data", "probes": "probes", "metrics": "metrics"}
NEVER = {"data": {"torch", "transformers", "sklearn"}} | {
    part: {"torch", "transformers"} for part in ("core", "stats", "probes", "metrics", "report", "comparison")
}
HEAVY = {"torch", "transformers", "sklearn", "polars"}


@cache
def modules() -> dict[str, str]:
    """Return the text of every module, by its name below the package."""
    texts = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts != ("__init__",):
            texts[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return texts


def part_of(module: str) -> str:
    """Return the folder that a module belongs to; each study is one."""
    first, *rest = module.split(".")
    return f"{first}.{rest[0]}" if first == "studies" and rest else first


def imported_by(text: str) -> set[str]:
    """Return the full name of everything that a text imports, inside functions and for type checkers too."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {"." * node.level} if node.level else {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def plugins_in(text: str) -> set[str]:
    """Return the kinds of plug-ins that a text asks the registry for by name."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and node.args]
    kinds = set()
    for call in calls:
        asked = isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "registry"
        if asked and isinstance(call.args[0], ast.Constant):
            kinds.add(str(call.args[0].value))
    return kinds & set(PLUGINS)


def offences(module: str, text: str) -> list[str]:
    """Return what a module imports though it may not."""
    part, wrong = part_of(module), []
    allowed = MAY_IMPORT.get(part, frozenset())
    for name in sorted(imported_by(text)):
        if name.startswith("."):
            wrong.append(f"{module}: relative import")
        if name.split(".")[0] in NEVER.get(part, ()):
            wrong.append(f"{module} imports {name}")
        if name.split(".")[0] == "layeratlas":
            target = part_of(name.removeprefix("layeratlas").lstrip("."))
            if target != part and not {target, target.split(".")[0]} & allowed:
                wrong.append(f"{module} imports {name}")
            private = any(piece.startswith("_") and piece != "__init__" for piece in name.split(".")[1:])
            if private and ".".join(name.split(".")[1:-1]).rpartition("._")[0] != module.rpartition(".")[0]:
                wrong += [f"{module} imports {name}, which is private"] if _is_foreign(module, name) else []
    wrong += [
        f"{module} asks the registry for {kind}"
        for kind in sorted(plugins_in(text))
        if PLUGINS[kind] != part and PLUGINS[kind] not in allowed
    ]
    return wrong


def _is_foreign(module: str, imported: str) -> bool:
    """Tell whether a name with a leading underscore belongs to another folder's module."""
    pieces = imported.split(".")[1:]
    at = next(i for i, piece in enumerate(pieces) if piece.startswith("_"))
    home = ".".join(pieces[:at])
    return home in FOLDERS and home != module.rpartition(".")[0] and home != module


FOLDERS = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.rglob("__init__.py")}


def file_graph(texts: Mapping[str, str]) -> dict[str, set[str]]:
    """Return which modules each module imports."""
    graph = {}
    for module, text in texts.items():
        names = {name.removeprefix("layeratlas.") for name in imported_by(text) if name.startswith("layeratlas.")}
        found = {name if name in texts else name.rpartition(".")[0] for name in names}
        graph[module] = (found & set(texts)) - {module}
    return graph


def circle_in(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """Return a circle of a graph, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_folder_has_a_place_in_the_graph():
    assert {part_of(name) for name in modules()} - {"studies"} == set(MAY_IMPORT)


def test_the_allowed_edges_have_no_circle():
    studies = {part for part in MAY_IMPORT if part.startswith("studies.")}
    assert circle_in({**MAY_IMPORT, "studies": studies}) == []
    assert circle_in({**MAY_IMPORT, "studies": studies, "report": {"studies"}}) != []


@pytest.mark.parametrize("module", modules())
def test_imports_follow_the_graph(module):
    assert offences(module, modules()[module]) == []


def test_no_files_import_each_other():
    # A folder's `__init__` only passes on the names of its modules.
    graph = file_graph(modules())
    assert circle_in({name: found - FOLDERS for name, found in graph.items() if name not in FOLDERS}) == []


def test_files_that_import_each_other_are_reported():
    texts = {
        "stats.one": "from layeratlas.stats.two import x",
        "stats.two": "def f():\n    import layeratlas.stats.one",
    }
    assert set(circle_in(file_graph(texts))) == {"stats.one", "stats.two"}


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("probes.bad", "import torch"),
        ("probes.bad", "def f():\n    from torch import nn"),
        ("probes.bad", "from layeratlas.capture.run import capture"),
        ("metrics.bad", "import torch"),
        ("stats.bad", "from layeratlas import models"),
        ("stats.bad", "from layeratlas.report import page"),
        ("report.bad", "import transformers.utils"),
        ("report.bad", "from layeratlas.models import load"),
        ("report.bad", 'registry.get("studies", name)'),
        ("runs.bad", 'registry.names("claims")'),
        ("data.bad", "from layeratlas.probes import make_folds"),
        ("data.bad", "from sklearn.svm import SVC"),
        ("capture.bad", "from layeratlas.runs.workspace import Workspace"),
        ("store.bad", "from . import memory"),
        ("models.bad", "from layeratlas.cli import main"),
        ("runs.workspace", "from layeratlas.studies.hierarchy import study"),
        ("studies.exits.bad", "from layeratlas.studies.hierarchy.probing import probe_stage"),
        ("studies.exits.bad", "from layeratlas.probes import _dual"),
        ("studies.exits.bad", "from layeratlas.probes._dual import scores"),
        ("core.errors", "from layeratlas.data.items import Item"),
        ("core.spec", "import torch"),
        ("api.bad", "from layeratlas.validation.table import validate"),
        ("planning.bad", "from layeratlas import api"),
        ("probes.bad", "from layeratlas.unheard_of import x"),
    ],
)
def test_an_offending_module_is_reported(module, text):
    assert len(offences(module, text)) == 1


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("probes.good", "from layeratlas.core.arrays import FloatArray\nimport numpy as np"),
        ("probes.good", "from layeratlas.probes._dual import scores"),
        (
            "studies.exits.good",
            "from layeratlas import report\nfrom layeratlas.studies.exits.scores import Rule",
        ),
        ("studies.exits.good", 'registry.get("tasks", name)'),
        ("comparison.good", "from layeratlas.studies.hierarchy import study"),
        ("probes.good", "import torchless"),
    ],
)
def test_a_proper_module_is_not_reported(module, text):
    assert offences(module, text) == []


def loaded_by(statement: str) -> set[str]:
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


NAMED = "[registry.get('studies', name).settings for name in registry.names('studies')]"


@pytest.mark.parametrize(
    "statement",
    ["import layeratlas", "import layeratlas.cli", f"from layeratlas.core import registry\n{NAMED}"],
)
def test_the_command_line_does_not_wait_for_heavy_packages(statement):
    assert loaded_by(statement) & HEAVY == set()


def test_the_names_of_commands_and_kinds_need_no_numbers():
    """`layeratlas --help` and `layeratlas list` compute nothing."""
    found = loaded_by("import layeratlas.cli.app, layeratlas.api.options, layeratlas.core.steps")
    assert found & {*HEAVY, "numpy", "scipy", "psutil", "jinja2"} == set()


@pytest.mark.parametrize("study", ["hierarchy", "exits", "segments", "causal"])
def test_the_first_progress_does_not_wait_for_heavy_packages(study):
    statement = (
        "from layeratlas import api, models\nfrom layeratlas.core import registry\nimport layeratlas.runs.pipeline"
    )
    found = loaded_by(f"{statement}\nregistry.get('studies', '{study}')\nimport layeratlas.models.sources")
    assert found & {"torch", "transformers", "sklearn", "scipy.stats", "altair"} == set()


def test_a_heavy_package_is_noticed():
    assert "polars" in loaded_by("import layeratlas.runs.tables")


@pytest.mark.parametrize(
    "statement", ["import layeratlas.report", "import layeratlas.stats.peaks, layeratlas.probes.svm"]
)
def test_probes_statistics_and_report_work_without_torch(statement):
    found = loaded_by(statement)
    assert {name for name in found if name.startswith(("layeratlas.models", "layeratlas.capture"))} == set()
    assert found & {"torch", "transformers"} == set()


def oversized(name: str, text: str) -> list[str]:
    """Return what of a module is too long, or takes too many parameters; commands have one per flag."""
    large = [name] if len(text.splitlines()) > 250 else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and not name.startswith("cli/"):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            parameters = sum(each.arg not in ("self", "cls") for each in given)
            if node.end_lineno - node.lineno >= 50 or parameters > 6:  # type: ignore[operator]
                large.append(f"{name}: {node.name}")
    return large


def test_modules_and_functions_stay_small():
    large = [each for path in ROOT.rglob("*.py") for each in oversized(str(path.relative_to(ROOT)), path.read_text())]
    assert large == ["api/texts.py: probe"]  # a public call: texts, labels, groups and what names the run


def test_large_modules_and_functions_are_reported():
    assert oversized("a.py", "x = 1\n" * 251) == ["a.py"]
    assert oversized("a.py", "def f():\n" + "    x = 1\n" * 50) == ["a.py: f"]
    assert oversized("a.py", "def f(a, b, c, d, e, *, f, g): ...") == ["a.py: f"]
    assert oversized("a.py", "def f(self, a, b, c, d, e, *, f): ...") == []
