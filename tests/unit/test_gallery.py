"""The gallery says what its runs say, shows their pictures, and nothing that its maker did not mean to publish."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import fake_run
import layeratlas as la
from layeratlas.core.errors import SpecError
from scripts import script

ROOT = Path(__file__).parents[2]
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="600" height="200"><rect width="300" height="90"/>{}</svg>'


gallery = script("tools/gallery.py")


def a_run(folder: Path, model: str) -> la.Run:
    fake_run.write_run(folder, fake_run.Fake(model=model, layers=6, components=("resid",)))
    (folder / "figures").mkdir()
    (folder / "figures/map.svg").write_text(SVG.format(""))
    return la.Run(folder)


def test_the_page_has_each_run_with_its_picture_findings_and_command(tmp_path: Path) -> None:
    runs = [a_run(tmp_path / name, name) for name in ("one", "other_model")]
    page = gallery.page(runs, [], tmp_path / "docs")
    assert re.findall("^## (.*)", page, re.M) == ["one", "other_model"]
    for run in runs:
        name = f"gallery-{run.model.replace('_', '-')}-hierarchy.png"
        assert f"![{run.model}: map of levels by layer]({name})" in page
        assert (tmp_path / "docs" / name).read_bytes().startswith(b"\x89PNG")
    statement = runs[0].findings.filter(finding="order")["statement"][0]
    assert f"- *supported*: {statement}" in page
    assert page.count("`layeratlas run hierarchy --model smollm2-135m --size standard`") == 2
    assert "Versions: torch 2.9.1, transformers 5.23.0, layeratlas 0.1.0." in page


def test_a_picture_is_scaled_until_it_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run(tmp_path / "run", "one")
    gallery.picture(run.folder, tmp_path / "large.png")
    large = (tmp_path / "large.png").stat().st_size
    monkeypatch.setattr(gallery, "MOST_BYTES", large - 1)
    gallery.picture(run.folder, tmp_path / "small.png")
    assert (tmp_path / "small.png").stat().st_size < large


def test_runs_on_texts_of_a_user_and_two_of_a_kind_are_refused(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", "one")
    with pytest.raises(SpecError, match="two runs are of hierarchy on one"):
        gallery.page([run, run], [], tmp_path)
    for change in ({"data": ["/home/me/own.csv"]}, {"model": {**run.manifest["spec"]["model"], "system": "my words"}}):
        own = la.Run(run.folder)
        own.manifest = json.loads(json.dumps(run.manifest))
        own.manifest["spec"] |= change
        with pytest.raises(SpecError, match="read texts of your own"):
            gallery.page([own], [], tmp_path)


def test_the_gallery_of_the_documentation_has_its_pictures_and_each_is_small() -> None:
    page = (ROOT / "docs/gallery.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\]\((gallery-[\w-]+\.png)\)", page))
    assert len(shown) >= 4
    assert shown == {path.name for path in (ROOT / "docs").glob("gallery-*.png")}
    assert all((ROOT / "docs" / name).stat().st_size <= gallery.MOST_BYTES for name in shown)
