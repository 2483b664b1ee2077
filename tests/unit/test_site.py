"""The site has every page and name, leads nowhere that is not there, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from layeratlas.core import registry
from scripts import script

ROOT = Path(__file__).parents[2]


site = script("tools/build_site.py")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "pages"
    site.gather(folder)
    return folder


def test_every_page_is_in_the_navigation(pages: Path) -> None:
    listed = [name for names in site.NAV.values() for name in names]
    assert sorted(listed) == sorted(path.name for path in pages.glob("*.md"))


def test_links_between_pages_stay_in_the_site(pages: Path) -> None:
    for page in pages.glob("*.md"):
        for target in re.findall(
            r"\]\(([^)\s#]+)", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
        ):
            assert target.startswith("https://") or (pages / target).exists(), (page.name, target)


def test_the_reference_names_every_command_option_function_and_plug_in(pages: Path) -> None:
    commands = (pages / "commands.md").read_text(encoding="utf-8")
    assert re.findall(r"^## `layeratlas (\w+)`", commands, re.M) == sorted(
        site.typer.main.get_command(site.app).commands
    )
    assert "| `--size` | How many texts: quick (minutes), standard or full. |" in commands
    python = (pages / "python.md").read_text(encoding="utf-8")
    for name in ("run", "probe", "compare", "Run", "LinearProbeClassifier"):
        assert f"\n## `{name}`\n" in python
    assert "### `Run.best_layer`" in python
    names = (pages / "names.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in names for kind in registry.KINDS for name in registry.names(kind))


def test_a_link_that_leads_nowhere_and_a_foreign_asset_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<h1 id="top">A</h1><a href="b.html#here">b</a><a href="a.html#top">a</a>')
    (tmp_path / "b.html").write_text('<p id="here"></p><a href="#gone">x</a><a href="c.html">c</a>')
    assert sorted(site.faults(tmp_path)) == ["b.html: #gone leads nowhere", "b.html: c.html leads nowhere"]
    (tmp_path / "b.html").write_text('<p id="here"></p><script src="https://elsewhere.example/x.js"></script>')
    assert list(site.faults(tmp_path)) == ["b.html loads https://elsewhere.example/x.js"]


def test_the_site_is_built_without_a_fault(tmp_path: Path) -> None:
    pytest.importorskip("zensical")
    command = [sys.executable, str(ROOT / "tools/build_site.py"), "--out", str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site/commands.html").exists()
    text = (tmp_path / "site/start.html").read_text(encoding="utf-8")
    assert "fonts.g" not in text
    # The colours follow the reader's system, also when it changes after the first visit, unless a button is pressed.
    media = re.findall(r'data-md-color-media="\(prefers-color-scheme([^)]*)\)"', text)
    assert list(dict.fromkeys(media)) == ["", ": light", ": dark"]
    assert "Switch to system preference" in text
