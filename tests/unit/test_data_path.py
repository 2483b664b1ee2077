"""The tool that counts the files a text passes: those it is handed to, and the chains that enter a file again."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"
FIRST = "import second\ndef start(text):\n    return second.middle([text])\ndef leaf(texts):\n    return texts\n"
SECOND = "import first\nimport third\ndef middle(texts):\n    third.count(len(texts))\n    return first.leaf(texts)\n"


@pytest.mark.parametrize(("text", "passed"), [("a zebra", ["first.py", "second.py"]), ("a horse", [])])
def test_files_that_are_handed_the_text_are_passed_and_chains_back_are_found(tmp_path, monkeypatch, text, passed):
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, code in {"first": FIRST, "second": SECOND, "third": "def count(number):\n    return number\n"}.items():
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.delitem(sys.modules, name, raising=False)
    watch = importlib.import_module("data_path").Watch(package=f"{tmp_path}/", end="Curve")
    start = importlib.import_module("first").start
    sys.setprofile(watch)
    start(text)
    sys.setprofile(None)
    assert sorted(watch.passed) == passed
    # The third file is called, and is handed a number only.
    assert list(watch.again) == ([("first.py", "second.py")] if passed else [])


@pytest.mark.truth
@pytest.mark.thin
def test_the_page_states_the_counts_of_today():
    """What docs/layout.md says is what the tool prints, and nothing is entered again."""
    page = " ".join((TOOLS.parent / "docs" / "layout.md").read_text().split())
    stated = re.search(r"A text passes (\d+) files .*? a question (\d+) files", page)
    run = subprocess.run(
        [sys.executable, TOOLS / "data_path.py"], capture_output=True, text=True, check=True, cwd=TOOLS.parent
    )
    counted = re.findall(r"(\d+) files passed, (\d+) chains", run.stdout)
    assert stated is not None
    assert counted == [(stated[1], "0"), (stated[2], "0")]
