"""The report is made of a run's tables alone, is whole in itself, and trusts no text in them."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

import fake_run
from fake_run import Fake
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.report import build, figure
from layeratlas.studies.hierarchy.study import PLUGIN as HIERARCHY

SHAPES = {
    "one level": Fake(levels=("item",), layers=6),
    "numbers to predict": Fake(levels=("own",), numbers=True, layers=6, methods=("ridge",)),
    "no baseline": Fake(baseline=False, layers=6),
    "two blocks": Fake(layers=2),
    "no findings": Fake(findings=False, layers=6),
    "residual stream alone": Fake(components=("resid",), layers=6),
    "eighty blocks": Fake(layers=80, levels=("item", "relation")),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fake_run.write_run(tmp_path_factory.mktemp("whole"), Fake(layers=6))
    build(folder, HIERARCHY)
    return folder


def test_page_and_figures_are_written(whole: Path) -> None:
    page = (whole / "report.html").read_text(encoding="utf-8")
    statements = pl.read_parquet(whole / "findings.parquet")["statement"]
    assert statements[0] in page
    assert "Label shuffles (Ridge: 100, Linear SVM: 40)" in page
    for name in ("curves", "map", "tasks", "strata", "components"):
        assert (whole / f"figures/{name}.svg").read_bytes().startswith(b"<svg")
        assert (whole / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")


def test_page_loads_nothing_from_anywhere(whole: Path) -> None:
    page = (whole / "report.html").read_text(encoding="utf-8")
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert not re.search(r"""\b(src|href)\s*=\s*(?!["']?#)""", markup)
    assert "@import" not in markup
    assert "url(" not in markup
    assert len(page) < 5e6


def test_the_same_tables_give_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    again = fake_run.write_run(tmp_path / "again", Fake(layers=6))
    build(again, HIERARCHY)
    for name in ("report.html", "figures/curves.svg"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("fake", SHAPES.values(), ids=SHAPES)
def test_every_shape_of_run_gives_a_page(fake: Fake, tmp_path: Path) -> None:
    page = build(fake_run.write_run(tmp_path, fake), HIERARCHY).read_text(encoding="utf-8")
    assert fake.model in page
    assert ("No findings were recorded" in page) == (not fake.findings)


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    fake = Fake(rename={"edible": fake_run.HOSTILE, "item": fake_run.HOSTILE}, layers=3, model=fake_run.HOSTILE)
    page = build(fake_run.write_run(tmp_path, fake), HIERARCHY).read_text(encoding="utf-8")
    assert "pwned" in page
    assert "<script>window.pwned" not in page


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "run.json").unlink(), r"no run\.json in .*expected the folder of a run"),
        (lambda run: (run / "run.json").write_text("{"), r"run\.json cannot be read as JSON"),
        (lambda run: (run / "run.json").write_text('{"format": 9}'), r"has format 9; expected format 1"),
        (lambda run: (run / "curves.parquet").unlink(), r"no curves\.parquet .*expected a run whose analysis"),
        (lambda run: (run / "curves.parquet").write_bytes(b"PAR1"), r"curves\.parquet cannot be read as Parquet"),
        (lambda run: pl.DataFrame({"a": [1]}).write_parquet(run / "findings.parquet"), r"lacks the columns model"),
    ],
)
def test_a_broken_run_is_one_line(spoil: object, message: str, tmp_path: Path) -> None:
    run = fake_run.write_run(tmp_path / "run", Fake(layers=2, levels=("item",)))
    spoil(run)  # type: ignore[operator]
    with pytest.raises(StoreError, match=message) as caught:
        build(run, HIERARCHY)
    assert "\n" not in str(caught.value)
    assert not (run / "report.html").exists()


def test_figure_takes_names_and_refuses_others(whole: Path) -> None:
    curves = pl.read_parquet(whole / "curves.parquet")
    spec = figure(curves, level="relation", component="attn").to_dict()
    levels = {row["level"] for row in spec["datasets"]["curves"]}
    components = {row["component"] for row in spec["datasets"]["curves"]}
    assert (levels, components) == ({"relation"}, {"attn"})
    with pytest.raises(SpecError, match=r"no level named 'relatoin' in the curves; expected one of item"):
        figure(curves, level="relatoin")
