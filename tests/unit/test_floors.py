"""A curve's gain is counted from one floor: the map's shades and dots say what the findings say."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import fake_models as fake
import fake_run
from fake_models import FakeModel
from layeratlas.comparison.compare import compare
from layeratlas.comparison.finished import FinishedComparison
from layeratlas.comparison.rows import chart_rows
from layeratlas.report.peaks import peaks_of
from layeratlas.report.view import view_of
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.floors import with_floor
from layeratlas.studies.exits.study import PLUGIN as EXITS
from layeratlas.studies.hierarchy.study import PLUGIN as HIERARCHY


def curves(task: str, estimate: list[float], control: list[float], baseline: float | None = None) -> pl.DataFrame:
    layers = {"layer": range(len(estimate)), "estimate": estimate, "control": control}
    key = {
        "level": "level",
        "task": task,
        "stratum": "all",
        "component": "resid",
        "method": "sum",
        "metric": "accuracy",
    }
    table = pl.DataFrame(layers).with_columns(**{name: pl.lit(value) for name, value in key.items()})
    nothing = {name: pl.lit(None, dtype=pl.Float64) for name in ("lo", "hi")}
    depth = pl.col("layer") / (len(estimate) - 1)
    return table.with_columns(
        chance=pl.lit(0.25), baseline=pl.lit(baseline, dtype=pl.Float64), part=pl.lit(task), depth=depth, **nothing
    )


def test_the_noise_of_a_control_moves_no_peak() -> None:
    table = with_floor(curves("all", [0.3, 0.81, 0.8], [0.3, 0.32, 0.28]))
    assert table["floor"].to_list() == pytest.approx([0.3] * 3)
    assert peaks_of(table)["layer"].to_list() == [1]
    below = with_floor(curves("all", [0.3, 0.8], [0.1, 0.2]))
    assert below["floor"].to_list() == [0.25, 0.25]


@pytest.mark.parametrize(("evident", "floors", "best"), [(False, [0.3, 0.4, 0.8], 1), (True, [0.3, 0.3, 0.3], 2)])
def test_an_exit_gains_over_the_control_only_where_that_is_one(evident: bool, floors: list[float], best: int) -> None:
    """At the last exit the choices without their question are nearly as good: a control, unless they are evident."""
    sets = [{"level": "level", "name": "one", "evident": evident}]
    run = FinishedRun("nowhere", manifest={"datasets": sets})
    table = pl.concat([curves(task, [0.2, 0.8, 0.85], [0.1, 0.4, 0.8], baseline=0.3) for task in ("all", "one")])
    floored = EXITS.floored(run, table)
    assert floored.filter(task="all")["floor"].to_list() == pytest.approx(floors)
    assert peaks_of(floored)["layer"].to_list() == [best] * 2
    # One set that is not evident keeps the control in the floor of the level, and not in that of the other set.
    run.manifest["datasets"].append({"level": "level", "name": "two"})
    mixed = EXITS.floored(run, table)
    assert mixed.filter(task="all")["floor"].to_list() == pytest.approx([0.3, 0.4, 0.8])
    assert mixed.filter(task="one")["floor"].to_list() == pytest.approx(floors)
    # The agreement of languages and exact answers are not chosen from choices.
    for metric in ("agreement", "exact_match"):
        other = EXITS.floored(run, table.with_columns(metric=pl.lit(metric)))
        assert other["floor"].to_list() == pytest.approx([0.3, 0.4, 0.8] * 2)


def test_the_map_has_one_dot_in_a_row_and_it_is_at_the_darkest_cell(tmp_path: Path) -> None:
    folders = []
    for study in ("hierarchy", "exits"):
        model = FakeModel("one", fake.rise(0.9), study=study, levels=("item",), layers=8)
        folder = fake.write_model(tmp_path / study, model)
        table = pl.read_parquet(folder / "curves.parquet")
        # A plateau of equal estimates, and a control that rises along it.
        late, rising = pl.col("layer") >= 5, 0.5 + 0.04 * (pl.col("layer") - 4)
        estimate, control = (
            pl.when(late).then(value).otherwise(name) for value, name in ((0.9, "estimate"), (rising, "control"))
        )
        table.with_columns(estimate=estimate, control=control).write_parquet(folder / "curves.parquet")
        folders.append(folder)
    comparison = FinishedComparison(compare(folders, tmp_path / "out"))
    rows = chart_rows(comparison)
    shades = comparison.curves.sort("shade", descending=True).group_by("study", maintain_order=True).first()
    assert rows["peaks"].height == shades.height == 2
    assert sorted(rows["peaks"]["depth"]) == sorted(shades["depth"]) == pytest.approx([5 / 8] * 2)


def test_a_run_of_a_study_that_is_not_installed_has_floors(tmp_path: Path) -> None:
    run = FinishedRun(fake_run.write_run(tmp_path, fake_run.Fake(layers=4)))
    floors = [view_of(run, study).rows["floor"].to_list() for study in (None, HIERARCHY)]
    assert floors[0] == floors[1]
