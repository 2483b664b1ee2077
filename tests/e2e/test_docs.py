"""Every command and snippet of the README and the docs runs as printed, on a tiny model under the printed path."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import chats
import families
import small_harness
from layeratlas.cli.app import app
from layeratlas.core.spec import ProbeSpec, Size
from layeratlas.data.items import Dataset
from layeratlas.data.tasks.items import Items
from layeratlas.data.tasks.relations import Relations
from layeratlas.report import figures
from layeratlas.studies.exits.study import Exits
from layeratlas.studies.hierarchy import plan
from layeratlas.studies.hierarchy.study import Hierarchy
from layeratlas.studies.segments.study import Segments
from layeratlas.sweeps import running
from layeratlas.sweeps.engines import Engine, Launch
from layeratlas.sweeps.worker import work

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "README.md"
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
    chats.set_template(desk / "path/to/model", chats.PLAIN)
    families.save(desk / "path/to/other", config, seed=1)
    for seed, step in enumerate((10, 100)):
        families.save(desk / f"path/to/checkpoints/step{step}", config, seed=seed)
    rows = [f"{word} number {i},{word},group {i}" for i in range(12) for word in ("warm", "cold")]
    (desk / "my_texts.csv").write_text("\n".join(["text,label,group", *rows]), encoding="utf-8")
    passages = [f"Passage {i}. " + "The river rose and the town slept. " * 3 for i in range(8)]
    (desk / "my_passages.txt").write_text("\n\n".join(passages), encoding="utf-8")
    facts = [{"question": f"The number {i} is", "choices": ["even", "odd"], "answer": i % 2} for i in range(12)]
    (desk / "my_questions.jsonl").write_text("\n".join(json.dumps(fact) for fact in facts), encoding="utf-8")
    small_harness.write_task(desk, "my_task")
    (desk / "sweep.toml").write_text(blocks(ROOT / "docs/scale.md", "toml")[0], encoding="utf-8")
    return desk


class Here(Engine):
    """An engine whose worker has done its work when it is started, in this process."""

    def start(self, launch: Launch, slot: int) -> Here:
        work(str(launch.out), launch.plan)
        return self

    def is_running(self) -> bool:
        return False

    def stop(self) -> None:
        pass


def first_only(draw: Callable[..., None]) -> Callable[..., None]:
    """Return what draws the figures of the first run alone: drawing takes longer than the rest of a tiny run."""
    drawn: list[Path] = []

    def maybe(folder: Path, *what: Any) -> None:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        if not drawn or drawn == [folder]:
            drawn[:] = [folder]
            draw(folder, *what)

    return maybe


def quarter(build: Callable[..., list[Dataset]]) -> Callable[..., list[Dataset]]:
    """Return a task's `build` with a quarter of the texts of each set of size quick."""

    def fewer(self: Any, size: Size) -> list[Dataset]:
        part = 4 if size == "quick" else 1
        return [replace(data, items=data.items[: len(data.items) // part]) for data in build(self, size)]

    return fewer


def test_every_command_and_snippet_runs(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    small_harness.stand_in(monkeypatch)
    # The commands are those printed; few texts of two of the seven tasks and one probe are enough to see that they run.
    monkeypatch.setattr(Hierarchy, "tasks", ("items", "relations"))
    for task in (Items, Relations):
        monkeypatch.setattr(task, "build", quarter(task.build))
    monkeypatch.setattr(plan, "_probe_seconds", lambda *_: 0.0)  # a forecast that nobody reads here
    light = ProbeSpec(methods=("ridge",), repeats=1, shuffles=20, bootstrap=100)
    monkeypatch.setattr(Hierarchy, "probe_spec", lambda self, size: light)
    monkeypatch.setattr(Exits, "tasks", ("facts",))
    for draw in ("write_map", "write_figures", "write_exhibit"):
        monkeypatch.setattr(figures, draw, first_only(getattr(figures, draw)))
    monkeypatch.setattr(running, "find_engine", lambda name: Here())
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
    # So do the notebooks, whose sources are Python.
    notebooks = sorted((ROOT / "notebooks").glob("*.py"))
    assert len(notebooks) >= 3
    for notebook in notebooks:
        exec(compile(notebook.read_text(encoding="utf-8"), notebook.name, "exec"), {})


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", "\n".join(b for page in PAGES for b in blocks(page, "sh")), flags=re.M)
    assert set(targets) >= {"demo", "test"}
    assert all(re.search(rf"^{target}:", makefile, flags=re.M) for target in targets)


def test_make_gpu_runs_every_family_that_its_table_counts() -> None:
    """Most of them are marked `truth`, which pytest leaves out here unless told otherwise."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (arguments,) = re.findall(
        r"^\tLAYERATLAS_TEST_DEVICE=auto timeout \d+ \S+ -m pytest (.*); \\$", makefile, flags=re.M
    )
    command = [sys.executable, "-m", "pytest", *shlex.split(arguments), "--collect-only", "-p", "no:cacheprovider"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    of_families = set(re.findall(r"::test_\w+_is_the_same_on_a_device\[(\w+)\]|::test_everything_\w+\[(\w+)\]", found))
    assert {one or other for one, other in of_families} == set(families.FAMILIES)
    passed = re.search(r"all (\d+) families, three studies\) \| (\d+) passed, (\d+) skipped", RESULTS.read_text())
    assert passed is not None
    assert [int(passed[1]), int(passed[2]) + int(passed[3])] == [len(families.FAMILIES), found.count("::")]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", re.sub(r"```.*?```", "", text, flags=re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> list[str]:
    """Return the links of a page to a file that does not exist, or to a heading that its page does not have."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = target.partition("#")
        if target.startswith("https://"):
            continue
        file = page.parent / name if name else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text(encoding="utf-8") if name else text)):
            broken.append(target)
    return broken


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "benchmarks").glob("*.md"))], ids=lambda page: page.name)
def test_every_link_and_anchor_leads_somewhere(page: Path) -> None:
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_a_link_that_leads_nowhere_is_reported() -> None:
    text = """# A page
    [a file](docs/none.md), [an anchor](docs/glossary.md#the-modle), [here](#a-pge), ![a picture](docs/none.png)
    [sound](docs/glossary.md#the-model), [sound](#a-page), [sound](https://example.org/x#y), [sound](docs/curves.png)
    """
    wrong = ["docs/none.md", "docs/glossary.md#the-modle", "#a-pge", "docs/none.png"]
    assert broken_links(ROOT / "README.md", text) == wrong


def test_the_readme_leads_to_every_page() -> None:
    links = set(re.findall(r"\]\(docs/([\w-]+\.md)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert links == {page.name for page in PAGES if page.parent.name == "docs"}


_CODE = re.compile(r"(?<![\w./-])((?:[\w-]+/)+[\w-]+\.(?:py|sh))(?:::(\w+))?")
# Modules are named from the repository, from the package, or, in the layout of a study, from the folder of studies.
_BASES = (ROOT, ROOT / "src/layeratlas", ROOT / "src/layeratlas/studies")


def missing_code(text: str) -> list[str]:
    """Return the modules and scripts that a text names, and the tests in them, that do not exist."""
    missing = []
    for name, test in _CODE.findall(text.replace("benchmarks/NAME.py", "")):
        file = next((base / name for base in _BASES if (base / name).is_file()), None)
        if file is None or (test and f"def {test}(" not in file.read_text(encoding="utf-8")):
            missing.append(f"{name}::{test}" if test else name)
    return missing


def test_every_module_and_script_that_is_named_exists() -> None:
    pages = [*PAGES, *ROOT.glob("*.md"), *sorted((ROOT / "benchmarks").glob("*.md"))]
    named = {page.name: page.read_text(encoding="utf-8") for page in pages}
    assert sum(len(_CODE.findall(text)) for text in named.values()) > 50
    assert {name: missing_code(text) for name, text in named.items() if missing_code(text)} == {}


def test_a_module_or_test_that_is_not_there_is_reported() -> None:
    here = "tests/e2e/test_docs.py"
    assert (
        missing_code(f"`{here}` and `{here}::test_every_make_target_exists`, run `python tools/doc_numbers.py`") == []
    )
    gone = [f"{here}::test_none", "tests/none.py", "core/none.py", "tools/none.sh"]
    assert missing_code(" ".join(f"`{name} --all`" for name in gone)) == gone


def test_every_file_in_the_layout_exists() -> None:
    text = (ROOT / "docs/layout.md").read_text(encoding="utf-8")
    package = ROOT / "src/layeratlas"
    folders = "|".join(path.name for path in package.iterdir() if path.is_dir())
    named = re.findall(rf"`((?:{folders})/[\w/]*(?:\.py)?)`", text)
    assert len(named) > 20
    assert [name for name in named if not (package / name).exists() and "NAME" not in name] == []
    folders_named = {name.split("/")[0] for name in named} | {"studies"}
    assert folders_named == {path.name for path in package.iterdir() if (path / "__init__.py").exists()}


_MODEL_WORDS = ("Router", "Checkpoint", "Exit", "Segment", "Level", "Layer", "Point", "Translator", "Block influence")
_NUMBER_WORDS = ("Control", "Baseline", "Null", "Encoded", "Used", "Erased", "Eraser", "Transfer")


@pytest.mark.parametrize("word", _MODEL_WORDS + _NUMBER_WORDS)
def test_the_glossary_defines_each_word_once(word: str) -> None:
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    assert len(re.findall(rf"^\*\*{word}\*\*:", text, flags=re.M)) == 1
