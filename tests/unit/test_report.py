"""The report is made of a run's tables alone, is one self-contained file, and trusts no text in them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import fake_run
from fake_run import Fake
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.report import build, draw, figure, vega
from layeratlas.report.figures import figures_of, svg
from layeratlas.report.lead import headlines, in_short
from layeratlas.report.limits import LEVELS, axis_limits
from layeratlas.report.names import names_of
from layeratlas.report.overview import overview
from layeratlas.report.rows import chart_rows
from layeratlas.report.view import prepare
from layeratlas.runs.finding import CORRECTED
from layeratlas.runs.finding_table import finding_table
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.study import Exhibit, Study
from layeratlas.studies.hierarchy.study import PLUGIN as HIERARCHY

SHAPES = {
    "one level": Fake(levels=("item",), layers=6),
    "numbers to predict": Fake(levels=("own",), numbers=True, layers=6, methods=("ridge",)),
    "no baseline": Fake(baseline=False, layers=6),
    "two blocks": Fake(layers=2),
    "no findings": Fake(findings=False, layers=6),
    "residual stream alone": Fake(components=("resid",), layers=6),
    "eighty blocks": Fake(layers=80, levels=("item", "relation")),
    "an older run without words": Fake(layers=6, words=False),
}


class Invented(Study):
    """A study that no table of the package knows."""

    method_names: Mapping[str, str] = {"svm": "Machine", "ridge": "Ridge of its own"}
    headlines = ("coordination", "second peak", "peak")
    details = ("decline", "second peak")

    def read(self, path: str, spec: Any) -> Any:
        raise NotImplementedError

    def stages(self) -> Mapping[str, Callable[[Any], list[str]]]:
        return {}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fake_run.write_run(tmp_path_factory.mktemp("whole"), Fake(layers=6))
    build(folder, HIERARCHY)
    return folder


def rows_of(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading of a page, row by row, as text."""
    table = page[page.index(f'id="{heading}"') :].partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.S) for row in re.findall(r"<tr>(.*?)</tr>", table, re.S)]
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in cells]


def test_the_page_is_written_with_its_map_alone(whole: Path) -> None:
    page = (whole / "report.html").read_text(encoding="utf-8")
    findings = pl.read_parquet(whole / "findings.parquet")
    assert [row[4] for row in rows_of(page, "all")] == findings["statement"].to_list()
    assert [path.name for path in (whole / "figures").iterdir()] == ["map.svg"]
    assert (whole / "figures/map.svg").read_bytes().startswith(b"<svg")


def test_all_charts_are_drawn_when_asked_for_and_again_with_the_page(tmp_path: Path) -> None:
    folder = fake_run.write_run(tmp_path, Fake(layers=6))
    build(folder, HIERARCHY)
    beside = (folder / "figures/map.svg").read_bytes()
    drawn = draw(folder, HIERARCHY)
    assert drawn == folder / "figures"
    assert (drawn / "map.svg").read_bytes() == beside
    charts = {exhibit.name for exhibit in HIERARCHY.exhibits(folder) if exhibit.chart}
    names = {"curves", "map", "tasks", "strata", "components"} | charts
    assert {path.name for path in drawn.iterdir()} == {f"{name}.{form}" for name in names for form in ("svg", "png")}
    assert all(path.read_bytes().startswith(b"<svg") for path in drawn.glob("*.svg"))
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn.glob("*.png"))
    (drawn / "curves.svg").write_text("of other tables")
    build(folder, HIERARCHY)
    assert (drawn / "curves.svg").read_bytes().startswith(b"<svg")


def test_a_chart_marks_peaks_only_where_one_was_shown(tmp_path: Path) -> None:
    run = FinishedRun(fake_run.write_run(tmp_path, Fake(layers=6, baseline=False)))
    places = run.curves.select("level", "component").unique().rows()
    marked = {}
    for shown in (True, False):
        view = prepare(run.curves, run.blocks, names_of(run, HIERARCHY), dict.fromkeys(places, shown))
        for drawing in figures_of(view):
            rows = {name: table.to_dicts() for name, table in chart_rows(view, drawing.chosen).items()}
            drawn = svg(drawing.chart, rows)
            symbols = re.findall(r'class="mark-symbol role-mark[^"]*"[^>]*><path[^>]*>', drawn)
            dots = [symbol for symbol in symbols if 'opacity="0"' not in symbol]  # those are for the pointer
            marked[drawing.name, shown] = bool(dots), bool(re.search(r">(layer|[a-z]+, layer) \d+", drawn))
    assert marked == {
        **{(name, True): (True, True) for name in ("curves", "tasks", "strata")},
        ("map", True): (True, False),  # a dot without a label
        ("components", True): (False, False),
        **{(name, False): (False, False) for name in ("curves", "map", "tasks", "strata", "components")},
    }


def test_a_curve_that_never_exceeds_its_floor_peaks_nowhere(whole: Path) -> None:
    """Answers after a chain of a model that solves nothing, of a level whose choices it answers."""
    run = FinishedRun(whole)
    flat = run.curves.with_columns(floor=pl.col("estimate").max() + 0.01)
    high = run.curves.with_columns(floor=pl.lit(-1.0))
    assert [prepare(curves).peaks["clear"].any() for curves in (flat, high)] == [False, True]


@pytest.mark.parametrize("curves", [True, False])
def test_every_chart_of_a_study_is_on_the_page_once(curves: bool, tmp_path: Path) -> None:
    """The first one starts the report of a study without curves by level, and is drawn beside it for lists of runs."""

    class Charted(Invented):
        def exhibits(self, folder: Path) -> list[Exhibit]:
            drawn = vega.chart(vega.Data([{"a": 1}])).mark_circle().encode(x="a:Q")
            return [Exhibit(name, f"The {name}", "Words.", chart=lambda colour: drawn) for name in ("first", "second")]

    Charted.curves = curves
    folder = fake_run.write_run(tmp_path, Fake(layers=3))
    page = build(folder, Charted()).read_text(encoding="utf-8")
    for name in ("first", "second"):
        assert page.count(f'data-chart="exhibit-{name}"') == 1
        assert page.count(f">The {name}</h2>") == 1
    assert [path.name for path in (folder / "figures").iterdir()] == ["map.svg" if curves else "first.svg"]


def test_every_verdict_is_the_first_thing_of_its_row(whole: Path) -> None:
    page = (whole / "report.html").read_text(encoding="utf-8")
    marks = {"supported": "✓ supported", "not supported": "✕ not supported", "inconclusive": "? inconclusive"}
    verdicts = [marks[verdict] for verdict in pl.read_parquet(whole / "findings.parquet")["verdict"]]
    assert [row[0] for row in rows_of(page, "all")] == verdicts
    assert set(verdicts) == set(marks.values())


def test_page_loads_nothing_from_anywhere(whole: Path) -> None:
    page = (whole / "report.html").read_text(encoding="utf-8")
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert not re.search(r"""\b(src|href)\s*=\s*(?!["']?#)""", markup)
    assert "@import" not in markup
    assert "url(" not in markup
    assert len(page) < 2e6


def test_the_same_tables_give_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    again = fake_run.write_run(tmp_path / "again", Fake(layers=6))
    build(again, HIERARCHY)
    for name in ("report.html", "figures/map.svg"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("fake", SHAPES.values(), ids=SHAPES)
def test_every_shape_of_run_gives_a_page(fake: Fake, tmp_path: Path) -> None:
    page = build(fake_run.write_run(tmp_path, fake), HIERARCHY).read_text(encoding="utf-8")
    assert f"<h1>{fake.model}</h1>" in page
    assert len(rows_of(page, "all")) == len(fake_run.findings_of(fake))
    assert ("No findings were recorded" in page) == (not fake.findings)


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    fake = Fake(rename={"edible": fake_run.HOSTILE, "item": fake_run.HOSTILE}, layers=3, model=fake_run.HOSTILE)
    page = build(fake_run.write_run(tmp_path, fake), HIERARCHY).read_text(encoding="utf-8")
    assert "pwned" in page
    assert "<script>window.pwned" not in page


def test_words_and_reading_order_come_from_the_run(tmp_path: Path) -> None:
    folder = fake_run.write_run(tmp_path, Fake(layers=3))
    manifest = json.loads((folder / "run.json").read_text())
    manifest["words"] = {
        "levels": {"analogy": "A", "item": "B"},
        "methods": {"svm": "Machine"},
        "metrics": {"auroc": "Area"},
    }
    run = FinishedRun(folder, manifest=manifest)
    view = prepare(run.curves, names=names_of(run, HIERARCHY))
    assert view.levels == ["analogy", "item", "relation"]
    assert view.choices["method"] == ["svm", "ridge"]
    assert view.choices["metric"] == ["auroc", "accuracy", "balanced_accuracy"]
    chart = figure(run, study=HIERARCHY).to_dict()
    assert chart["title"]["text"] == "Levels by depth: area, residual stream, machine"


@pytest.mark.parametrize(
    ("study", "methods"), [(Invented(), {"svm": "Machine", "ridge": "Ridge of its own"}), (None, {})]
)
def test_an_older_run_takes_its_words_from_its_study_else_from_its_codes(
    study: Study | None, methods: dict[str, str], tmp_path: Path
) -> None:
    run = FinishedRun(fake_run.write_run(tmp_path, Fake(layers=2, words=False)))
    assert dict(names_of(run, study).method) == methods
    page = build(run.folder, study).read_text(encoding="utf-8")
    assert {row[3] for row in rows_of(page, "all")} == {methods.get(code, code) for code in ("ridge", "svm")}


def test_the_study_says_which_findings_come_first() -> None:
    findings = finding_table(fake_run.findings_of(Fake(components=("resid",))), "model", "invented")
    kinds = [row["finding"] for row in overview(findings, Invented())]
    assert kinds == ["second peak", "peak", "peak", "peak", "order", "decline", "decline", "decline"]
    assert [row["finding"] for row in overview(findings, None)][:2] == ["order", "second peak"]


def test_a_long_overview_leaves_details_out_but_for_supported_headlines() -> None:
    short = fake_run.findings_of(Fake(components=("resid",), methods=("ridge",)))
    findings = short * 3
    peak = next(finding for finding in short if finding.finding == "second peak")
    findings += [replace(peak, verdict="supported", p=1e-6)]
    assert len(findings) > 20
    shown = overview(finding_table(findings, "model", "invented"), Invented())
    assert [row["verdict"] for row in shown if row["finding"] == "second peak"] == ["supported"]
    assert {row["finding"] for row in shown} == {"second peak", "peak", "order"}


def scores(**given: Any) -> pl.DataFrame:
    """Return rows of two parts of one level, the level itself and a task."""
    rows = {
        "part": [0, 0, 1, 1],
        "level": ["a"] * 4,
        "kind": ["level", "level", "task", "task"],
        "estimate": [0.9, 0.6, 0.2, 0.9],
        "lo": [0.8, -0.4, 0.1, 0.8],
        "hi": [1.0, 0.8, 0.3, 1.0],
        "chance": [0.5, 0.5, 0.17, 0.17],
        "control": [0.5, 0.49, 0.16, 0.17],
        "control_lo": [0.3, 0.3, 0.0, 0.0],
        "control_hi": [0.6, 0.6, 0.3, 0.3],
        "baseline": [None, None, 0.3, 0.3],
        "random_weights": [None, None, None, 0.1],
    }
    return pl.DataFrame({**rows, **given})


def test_axes_start_at_chance_and_the_parts_of_a_level_share_theirs() -> None:
    limits = axis_limits(scores())
    assert limits == {LEVELS: [0.485, 1.0], "0": [0.1451, 1.0], "1": [0.1451, 1.0]}
    alone = axis_limits(scores(level=["a", "a", "b", "b"]))
    assert (alone["0"], alone["1"]) == ([0.485, 1.0], [0.1451, 1.0])


def test_an_estimate_that_is_surely_below_chance_lowers_the_axis_and_an_unsure_one_does_not() -> None:
    below = {"estimate": [0.9, 0.4, 0.5, 0.9], "chance": [0.5] * 4}
    assert axis_limits(scores(**below, hi=[1.0, 0.45, 0.6, 1.0]))[LEVELS] == [0.385, 1.0]
    assert axis_limits(scores(**below, hi=[1.0, 0.52, 0.6, 1.0]))[LEVELS] == [0.485, 1.0]


def test_one_very_low_score_does_not_flatten_an_axis() -> None:
    values = {"estimate": [0.6, -3.3], "chance": [0.0, 0.0], "control": [0.0, 0.0], "baseline": [None, None]}
    values |= {"random_weights": [None, None]}
    bands = {"lo": [0.5, -4.0], "hi": [0.7, -3.0], "control_lo": [-0.1, -0.1], "control_hi": [0.1, 0.1]}
    rows = pl.DataFrame({"part": [0, 0], "level": ["a", "a"], "kind": ["level", "level"], **values, **bands})
    low, high = axis_limits(rows)[LEVELS]
    assert high == 0.7
    assert -0.5 <= low <= -0.35


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "run.json").unlink(), r"no run\.json in .*expected the folder of a run"),
        (lambda run: (run / "run.json").write_text("{"), r"run\.json cannot be read as JSON"),
        (lambda run: (run / "run.json").write_text('{"format": 9}'), r"has format 9; expected format 1"),
        (lambda run: (run / "curves.parquet").unlink(), r"no curves\.parquet .*expected a run whose analysis"),
        (lambda run: (run / "curves.parquet").write_bytes(b"PAR1"), r"curves\.parquet cannot be read"),
        (lambda run: pl.DataFrame({"a": [1]}).write_parquet(run / "findings.parquet"), r"lacks the columns model"),
    ],
)
def test_a_broken_run_is_one_line(spoil: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    run = fake_run.write_run(tmp_path / "run", Fake(layers=2, levels=("item",)))
    spoil(run)
    with pytest.raises(StoreError, match=message) as caught:
        build(run, HIERARCHY)
    assert "\n" not in str(caught.value)
    assert not (run / "report.html").exists()


def test_figure_takes_names_and_refuses_others(whole: Path) -> None:
    run = FinishedRun(whole)
    spec = figure(run, level="relation", component="attn").to_dict()
    levels = {row["level"] for row in spec["datasets"]["curves"]}
    components = {row["component"] for row in spec["datasets"]["curves"]}
    assert (levels, components) == ({"relation"}, {"attn"})
    with pytest.raises(SpecError, match=r"no level named 'relatoin' in the curves; expected one of item"):
        figure(run, level="relatoin")


@pytest.mark.parametrize(
    ("statement", "plain"),
    [
        (
            "Facts: the last exit answers better: +0.10 [+0.01, +0.19] in accuracy.",
            "Facts: the last exit answers better.",
        ),
        ("Items emerge at depth 0.07 [0.05, 0.09].", "Items emerge at depth 0.07."),
        ("Gains start late in facts; at depth 0.8.", "Gains start late in facts."),
        (
            "Peak depth of items (relative depth) has no detected difference (could have seen 0.4): 0.1 [-0.2, 0.4].",
            "Peak depth of items has no detected difference.",
        ),
        ("The token is settled at 0.88 [0.87, 0.90] of the depth.", "The token is settled at 0.88 of the depth."),
        ("A bracket that is never closed (as here of a user", "A bracket that is never closed."),
        ("Facts: undecided", "Facts: undecided"),
        (
            f"Exit 1 counts tokens: +0.39 [+0.04, +0.67]. {CORRECTED} over all findings of the report: q = 0.07.",
            "After the correction undecided: Exit 1 counts tokens.",
        ),
    ],
)
def test_a_statement_in_short_says_something_and_never_more_than_its_verdict(statement: str, plain: str) -> None:
    assert in_short(statement)["plain"] == plain


def test_what_a_short_statement_leaves_out_is_in_the_rest() -> None:
    short = in_short("Peak depth of items (relative depth) has no difference (could have seen 0.4): 0.1 [-0.2, 0.4].")
    assert short["rest"] == "relative depth; could have seen 0.4: 0.1 [-0.2, 0.4]."
    assert in_short("Items emerge at depth 0.07 [0.05, 0.09] of all.")["rest"] == "95 % interval [0.05, 0.09]"


def test_a_report_starts_with_what_is_supported() -> None:
    """A second peak that is ruled out is decided too, but no one asked for it first."""
    rows = [
        {"finding": kind, "statement": f"Statement {n}.", "verdict": verdict}
        for n, (kind, verdict) in enumerate(
            [("a", "not supported"), ("b", "inconclusive"), ("c", "supported"), ("c", "supported")]
        )
    ]
    assert [row["plain"] for row in headlines(rows, 2)] == ["Statement 2.", "Statement 3."]
    assert [row["plain"] for row in headlines(rows, 3)] == ["Statement 0.", "Statement 2.", "Statement 3."]


@pytest.mark.parametrize(
    ("levels", "listed"),
    [
        (("item",), "item properties"),
        (("item", "relation", "analogy"), "item properties, two-item relations and four-item analogies"),
    ],
)
def test_a_question_names_the_levels_of_its_findings(levels, listed, tmp_path):
    folder = fake_run.write_run(tmp_path, Fake(layers=3))
    findings = pl.read_parquet(folder / "findings.parquet")
    of_levels = (pl.col("finding") == "peak") & pl.col("level").is_in(levels)
    renamed = pl.when(of_levels).then(pl.lit("deep content")).otherwise("finding").alias("finding")
    findings.filter(pl.col("finding") != "deep content").with_columns(renamed).write_parquet(
        folder / "findings.parquet"
    )
    page = build(folder, HIERARCHY).read_text(encoding="utf-8")
    assert f"Probes read {listed} from the last token, 100 words of filler later." in page
