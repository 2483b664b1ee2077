"""Imports point one way, along the flow of data; heavy packages load only when they are needed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import layeratlas

ROOT = Path(layeratlas.__file__).parent
# A module imports only from rows before its own, from its own part, or (same row) from nothing else.
FLOW = [
    {"errors"},
    {"spec", "files", "records", "progress", "registry", "wording", "questions", "passages"},
    {"draws", "comparable"},
    {"contracts", "claim", "edits"},
    {"tasks"},
    {"models"},
    {"capture"},
    {"store"},
    {"probes", "metrics"},
    {"analysis"},
    {"claims"},
    {"report"},
    {"workspace"},
    {"studies"},
    {"pipeline"},
    {"comparison"},
    {"planning", "planted"},
    {"validation"},
    {"api", "checking", "flags", "terminal"},
    {"cli"},
    {"__main__"},
]
RANK = {part: rank for rank, row in enumerate(FLOW) for part in row}
MODEL_SIDE = {"layeratlas.models", "layeratlas.capture", "torch", "transformers"}
FORBIDDEN = {
    "tasks": {"torch", "transformers", "sklearn"},
    "probes": MODEL_SIDE | {"layeratlas.store"},
    "metrics": MODEL_SIDE | {"layeratlas.store"},
    "analysis": MODEL_SIDE | {"layeratlas.store"},
    "report": MODEL_SIDE | {"layeratlas.store"},
}
BASE = RANK["contracts"]
HEAVY = {"torch", "transformers", "sklearn", "polars"}


def modules() -> dict[str, str]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in sorted(ROOT.rglob("*.py"))
        if path != ROOT / "__init__.py"
    }


def imports_of(text: str) -> set[str]:
    """Return the full names of every module that a text imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                found.add("a relative import")
            # `from layeratlas import registry` imports a module, `from layeratlas.errors import X` a name.
            found |= {f"{node.module}.{alias.name}" for alias in node.names} if node.module else set()
    return found


def covers(name: str, imported: str) -> bool:
    return imported == name or imported.startswith(name + ".")


def offences(module: str, text: str) -> list[str]:
    """Return what a module imports though it may not."""
    part = module.split(".", maxsplit=1)[0]
    wrong = []
    for imported in sorted(imports_of(text)):
        if imported == "a relative import":
            wrong.append(f"{module}: relative import")
        if any(covers(name, imported) for name in FORBIDDEN.get(part, ())):
            wrong.append(f"{module} imports {imported}")
        elif covers("layeratlas", imported):
            target = imported.split(".")[1] if "." in imported else ""
            if target != part and RANK.get(target, len(FLOW)) >= RANK[part]:
                wrong.append(f"{module} imports {imported}")
        elif RANK[part] <= BASE and covers("torch", imported):
            wrong.append(f"{module} imports {imported}")
    return wrong


def test_every_part_has_a_place_in_the_flow():
    assert {name.split(".")[0] for name in modules()} == set(RANK)


@pytest.mark.parametrize("module", modules())
def test_imports_point_backwards(module):
    assert offences(module, modules()[module]) == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("probes.bad", "import torch"),
        ("probes.bad", "def f():\n    from torch import nn"),
        ("probes.bad", "from layeratlas.capture.run import capture"),
        ("metrics.bad", "import torch"),
        ("analysis.bad", "from layeratlas import models"),
        ("analysis.bad", "from layeratlas.report import page"),
        ("report.bad", "import transformers.utils"),
        ("report.bad", "from layeratlas.models import load"),
        ("tasks.bad", "from layeratlas.probes import make_folds"),
        ("tasks.bad", "from sklearn.svm import SVC"),
        ("capture.bad", "from layeratlas.store import DiskStore"),
        ("store.bad", "from . import memory"),
        ("models.bad", "from layeratlas.cli import main"),
        ("workspace", "from layeratlas.studies import hierarchy"),
        ("errors", "from layeratlas.spec import Spec"),
        ("spec", "import torch"),
        ("api", "from layeratlas.checking import describe"),
        ("probes.bad", "from layeratlas.unheard_of import x"),
    ],
)
def test_an_offending_module_is_reported(module, text):
    assert len(offences(module, text)) == 1


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("probes.good", "from layeratlas.contracts import Gram\nimport numpy as np"),
        ("probes.good", "from layeratlas.probes._dual import scores"),
        ("studies.good", "from layeratlas import registry, report"),
        ("probes.good", "import torchless"),
    ],
)
def test_a_proper_module_is_not_reported(module, text):
    assert offences(module, text) == []


def loaded_by(statement: str) -> set[str]:
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("statement", ["import layeratlas", "import layeratlas.cli"])
def test_the_command_line_does_not_wait_for_heavy_packages(statement):
    assert loaded_by(statement) & HEAVY == set()


@pytest.mark.parametrize("study", ["hierarchy", "exits", "segments"])
def test_the_first_progress_does_not_wait_for_heavy_packages(study):
    statement = f"from layeratlas import registry, api, models, pipeline\nregistry.get('studies', '{study}')"
    found = loaded_by(f"{statement}\nimport layeratlas.models.sources")
    assert found & {"torch", "transformers", "sklearn", "scipy.stats", "altair"} == set()


def test_a_heavy_package_is_noticed():
    assert "polars" in loaded_by("import layeratlas\nlayeratlas.run")


@pytest.mark.parametrize(
    "statement", ["import layeratlas.report", "import layeratlas.analysis.peaks, layeratlas.probes.svm"]
)
def test_probes_analysis_and_report_work_without_torch(statement):
    found = loaded_by(statement)
    assert {name for name in found if name.startswith(("layeratlas.models", "layeratlas.capture"))} == set()
    assert found & {"torch", "transformers"} == set()
