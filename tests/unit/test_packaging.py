"""What a wheel holds, that the package's facts agree wherever they stand, and that a package of plug-ins works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from setuptools import find_packages

import layeratlas
from scripts import script

ROOT = Path(__file__).parents[2]
PACKAGE = Path(layeratlas.__file__).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PLUGIN = ROOT / "examples/plugin"
LISTING = """
from layeratlas.core import registry
for kind in ("tasks", "probes", "metrics", "claims"):
    print(kind, *registry.names(kind))
task = registry.get("tasks", "plurals")
sizes = [task.build(size)[0] for size in ("quick", "standard", "full")]
assert all(item in large.items for small, large in zip(sizes, sizes[1:]) for item in small.items)
"""


def packaged(path: Path) -> bool:
    """Tell whether the wheel has a file of the source folder: a module of a package, or a pattern of package-data."""
    name = path.relative_to(PACKAGE).as_posix()
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["layeratlas"]
    packages = find_packages(str(PACKAGE.parent))
    folder = ".".join(path.parent.relative_to(PACKAGE.parent).parts)
    return (path.suffix == ".py" and folder in packages) or any(fnmatch(name, pattern) for pattern in patterns)


def test_every_file_of_the_package_is_in_the_wheel() -> None:
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert [path.relative_to(PACKAGE).as_posix() for path in files if not packaged(path)] == []
    assert not packaged(PACKAGE / "data/readers/list.csv")
    assert {path.suffix for path in files} >= {".py", ".csv", ".html", ".css", ".js"}


def test_version_and_licence_agree_wherever_they_are_written() -> None:
    version = PROJECT["project"]["version"]
    assert layeratlas.__version__ == version
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(rf"^version: {re.escape(version)}$", citation, re.M)
    own, words = PROJECT["project"]["license"].split(" AND ")
    assert (own, words) == ("Apache-2.0", "LicenseRef-WordNet")
    assert re.search(rf"^license: {own}$", citation, re.M)  # the format knows no licences without an SPDX name
    recipe = (ROOT / "packaging/recipe.yaml").read_text(encoding="utf-8")
    assert f'version: "{version}"' in recipe
    assert f"license: {own} AND {words}\n" in recipe
    assert all(f"- ../{file}\n" in recipe for file in PROJECT["project"]["license-files"])


def test_the_lists_taken_from_wordnet_come_with_its_licence() -> None:
    (file,) = (ROOT / file for file in PROJECT["project"]["license-files"] if file != "LICENSE")
    taken = sorted(path.name for path in file.parent.glob("*_wordnet.csv"))
    grammar = [f"grammar_{name}_wordnet.csv" for name in ("number", "pairs", "tense")]
    assert taken == ["analogies_wordnet.csv", *grammar, "items_wordnet.csv", "relations_wordnet.csv"]
    assert packaged(file)
    text = file.read_text(encoding="utf-8")
    assert "WordNet 3.1 Copyright 2011 by Princeton University.  All rights reserved." in text
    assert "Permission to use, copy, modify and distribute" in text
    notice = (file.parent / "README.md").read_text(encoding="utf-8")
    assert all(name in notice for name in [*taken, file.name])


def test_the_conda_recipe_asks_for_what_the_wheel_asks_for() -> None:
    recipe = (ROOT / "packaging/recipe.yaml").read_text(encoding="utf-8")
    run = recipe.partition("  run:\n")[2].partition("\ntests:")[0]
    asked = set(re.findall(r"^ +- (\S+ \S+)$", run, re.M))
    renamed = {"torch": "pytorch", "polars": "polars", "pyarrow": "pyarrow"}
    wanted = set()
    for requirement in PROJECT["project"]["dependencies"]:
        name, bound = re.fullmatch(r"([\w-]+)(>=\S+)", requirement).groups()  # type: ignore[union-attr]
        wanted.add(f"{renamed.get(name, name)} {bound}")
    assert asked == wanted | {f"python {PROJECT['project']['requires-python']}"}


def test_the_lowest_versions_are_those_that_the_package_asks_for() -> None:
    pinned = script("tools/lowest_versions.py").lowest()
    assert all(re.fullmatch(r"[\w-]+==[\d.]+", line) for line in pinned)
    asked = {requirement.split(",")[0] for requirement in PROJECT["project"]["dependencies"]}
    assert {line.replace("==", ">=") for line in pinned} == asked


def test_contributing_shows_the_modules_of_the_example() -> None:
    shown = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.S)
    modules = [path.read_text(encoding="utf-8") for path in (PLUGIN / "src/layeratlas_example").glob("*.py")]
    assert len(shown) == 4
    assert set(shown) <= set(modules)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which the package of plug-ins is installed."""
    target, source = tmp_path_factory.mktemp("plugins"), tmp_path_factory.mktemp("source") / "plugin"
    shutil.copytree(PLUGIN, source, ignore=shutil.ignore_patterns("build", "*.egg-info"))  # pip builds in place
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", str(target), str(source)], capture_output=True, text=True, check=False)
    if "No module named pip" in done.stderr:
        pytest.skip("no pip here")
    assert done.returncode == 0, done.stderr
    paths = [str(target), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def test_a_package_of_plug_ins_is_found_by_name(installed: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", LISTING], env=installed, capture_output=True, text=True, check=True)
    named = {line.split()[0]: set(line.split()[1:]) for line in done.stdout.splitlines()}
    assert {"plurals", "items"} <= named["tasks"]
    assert {"centroid", "ridge"} <= named["probes"]
    assert "largest_share" in named["metrics"]
    assert "P1" in named["claims"]


def test_a_task_probe_and_claim_of_another_package_run(
    installed: dict[str, str], tiny_model_dir: Path, tmp_path: Path
) -> None:
    flags = ["--model", str(tiny_model_dir), "--task", "plurals", "--probe", "centroid", "--size", "quick"]
    command = [sys.executable, "-m", "layeratlas", "run", "hierarchy", *flags, "--out", "out"]
    done = subprocess.run(command, env=installed, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "[" in done.stdout
    page = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "Class means" in page
    assert "At which depth are grammatical numbers of nouns decoded?" in page
    # A tiny random model has no finding that the claim could rest on, so the page counts it and `claims` names it.
    command = [sys.executable, "-m", "layeratlas", "claims", "out"]
    told = subprocess.run(command, env=installed, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "P1" in told
