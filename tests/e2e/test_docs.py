"""Every command and snippet of the README and the docs runs as printed, on a tiny model under the printed path."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import families
from layeratlas.cli.app import app
from layeratlas.core.spec import ProbeSpec
from layeratlas.report import figures
from layeratlas.studies.exits.study import Exits
from layeratlas.studies.hierarchy.study import Hierarchy
from layeratlas.studies.segments.study import Segments

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder that holds what the docs speak of: a model, labelled texts, and nothing else."""
    desk = tmp_path / "desk"
    desk.mkdir()
    config = families.FAMILIES["llama"]()
    config.num_hidden_layers = 6  # the fewest that can be cut in three
    config.max_position_embeddings = 1024  # bytes for tokens: a document of 100 words has 600
    families.save(desk / "path/to/model", config)
    families.save(desk / "path/to/other", config, seed=1)
    rows = [f"{word} number {i},{word},group {i}" for i in range(12) for word in ("warm", "cold")]
    (desk / "my_texts.csv").write_text("\n".join(["text,label,group", *rows]), encoding="utf-8")
    passages = [f"Passage {i}. " + "The river rose and the town slept. " * 3 for i in range(8)]
    (desk / "my_passages.txt").write_text("\n\n".join(passages), encoding="utf-8")
    facts = [{"question": f"The number {i} is", "choices": ["even", "odd"], "answer": i % 2} for i in range(12)]
    (desk / "my_questions.jsonl").write_text("\n".join(json.dumps(fact) for fact in facts), encoding="utf-8")
    return desk


def drawn_once(write: Callable[..., None]) -> Callable[..., None]:
    """Return what draws every figure the first time alone: drawing takes longer than the rest of a tiny run."""
    drawn: set[str] = set()

    def maybe(folder: Path, name: str, *what: Any) -> None:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        if name not in drawn:
            drawn.add(name)
            write(folder, name, *what)

    return maybe


def test_every_command_and_snippet_runs(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    # The commands are those printed; two of the seven tasks and one probe are enough to see that they run.
    monkeypatch.setattr(Hierarchy, "tasks", ("items", "relations"))
    light = ProbeSpec(methods=("ridge",), repeats=1, shuffles=20, bootstrap=100)
    monkeypatch.setattr(Hierarchy, "probe_spec", lambda self, size: light)
    monkeypatch.setattr(Exits, "tasks", ("facts",))
    monkeypatch.setattr(figures, "write", drawn_once(figures.write))
    # How a segments run is drawn is tested beside it.
    stages = Segments().stages()
    monkeypatch.setattr(Segments, "stages", lambda self: {n: stage for n, stage in stages.items() if n != "report"})
    lines = [line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("layeratlas ")]
    assert len(commands) >= 3
    for command in commands:
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, (command, result.output)
    assert (desk / "runs/mine/report.html").exists()
    # Snippets read what the commands made, as a reader would.
    snippets = [snippet for page in PAGES for snippet in blocks(page, "python")]
    assert len(snippets) >= 2
    for snippet in snippets:
        exec(compile(snippet, "snippet", "exec"), {})


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", "\n".join(b for page in PAGES for b in blocks(page, "sh")), flags=re.M)
    assert set(targets) >= {"demo", "test"}
    assert all(re.search(rf"^{target}:", makefile, flags=re.M) for target in targets)


def test_every_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (page.parent / target).exists(), (page.name, target)
