"""The index of a folder lists every run below it, those that failed too, and links to what is there alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import fake_run
from layeratlas import api
from layeratlas.core.errors import StoreError
from layeratlas.report.index import row_of, run_folders
from layeratlas.runs.lock import locked

SPEC = {"study": "hierarchy", "size": "quick", "seed": 3, "model": {"id": "x"}, "settings": {"random_weights": True}}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with a finished run, one that was stopped, one that is damaged, and a comparison two levels below."""
    root = tmp_path / "runs"
    done = fake_run.write_run(root / "done [1]")
    (done / "figures").mkdir()
    (done / "figures/map.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (done / "report.html").write_text("<title>page</title>")
    stopped = fake_run.write_run(root / "stopped")
    manifest = json.loads((stopped / "run.json").read_text())
    (stopped / "run.json").write_text(json.dumps({**manifest, "status": "running", "spec": SPEC}))
    (root / "damaged").mkdir()
    (root / "damaged/run.json").write_text("{")
    fake_run.write_run(root / "nested/one")
    (root / "notes").mkdir()
    return root


def test_every_run_is_found_and_says_how_it_stands(runs: Path) -> None:
    rows = {row.name: row for row in (row_of(folder, runs) for folder in run_folders(runs))}
    assert set(rows) == {"done [1]", "stopped", "damaged", "nested/one"}
    assert rows["done [1]"].standing == "done"
    assert (rows["done [1]"].link, rows["done [1]"].thumbnail) == ("done [1]/report.html", "done [1]/figures/map.svg")
    assert rows["stopped"].standing == "unfinished"
    assert rows["stopped"].reason == "stopped after the stage 'analysis'; the same command resumes it"
    assert (rows["stopped"].seed, rows["stopped"].options) == (3, "random_weights=True")
    assert rows["damaged"].standing == "damaged"
    assert "run.json" in rows["damaged"].reason
    assert rows["stopped"].link == ""


def test_the_page_links_to_what_is_there_and_loads_nothing_else(runs: Path) -> None:
    page = api.index(runs)
    text = page.read_text(encoding="utf-8")
    assert page == runs / "index.html"
    linked = re.findall(r'(?:href|src)="([^"]+)"', text)
    assert linked
    for link in linked:
        assert (runs / link.replace("%20", " ").replace("%5B", "[").replace("%5D", "]")).is_file()
    assert "http" not in text.replace("http://www.w3.org", "")
    assert api.index(runs).read_text(encoding="utf-8") == text  # the page is no run of its own


def test_a_run_that_goes_on_is_not_called_stopped(runs: Path) -> None:
    with locked(runs / "stopped"):
        row = row_of(runs / "stopped", runs)
        assert (row.standing, row.reason) == ("running", "'layeratlas status' shows how far it is")
        assert row_of(runs / "done [1]", runs).standing == "done"
    assert row_of(runs / "stopped", runs).standing == "unfinished"


def test_a_study_without_a_map_of_levels_has_its_own_and_one_without_a_report_no_link(runs: Path) -> None:
    for name in ("encoded-used", "segments"):
        run = fake_run.write_run(runs / name)
        (run / "figures").mkdir()
        (run / f"figures/{name}.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
        assert row_of(run, runs).thumbnail == f"{name}/figures/{name}.svg"
    page = api.index(runs).read_text(encoding="utf-8")
    assert 'src="segments/figures/segments.svg"' in page
    assert 'href=""' not in page


def test_a_folder_without_runs_and_a_sweep_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no run below .*; expected a folder that holds folders of runs"):
        api.index(tmp_path)
    (tmp_path / "units").mkdir()
    with pytest.raises(StoreError, match="is a sweep"):
        api.index(tmp_path)
