"""What the report of a segments run says of its noise and its interventions follows what was done."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from layeratlas.studies.segments.charts import _brittleness as brittle_exhibits
from layeratlas.studies.segments.intervention.charts import edit_exhibits
from layeratlas.studies.segments.intervention.tables import EFFECTS, effect_table
from layeratlas.studies.segments.measuring import Settings
from layeratlas.studies.segments.methods import methods
from layeratlas.studies.segments.outcomes import OUTCOMES
from layeratlas.studies.segments.tables import BRITTLE


@pytest.mark.parametrize(
    ("noise", "said", "unsaid"),
    [
        ("noise", "relative to the stream's size", "depends on the stream's scale"),
        ("absolute noise", "depends on the stream's scale", "relative to the stream's size"),
    ],
)
def test_the_methods_name_the_noise_that_was_made(noise: str, said: str, unsaid: str) -> None:
    run = {"brittleness": {"spec": {"noise": noise}, "passages": 12}}
    text = dict(methods(run, Settings()))["Brittleness"]
    assert said in text
    assert unsaid not in text


@pytest.mark.parametrize(
    ("noise", "said"), [("noise", "relative noise, after"), ("absolute noise", "absolute noise, after")]
)
def test_the_chart_of_brittleness_names_the_noise_that_was_made(tmp_path: Path, noise: str, said: str) -> None:
    names = ("rms", "b", "b_added", "b_entry", "b_unshared", "sigma_half", "p_span")
    pl.DataFrame([dict.fromkeys(names, 1.0)]).write_parquet(tmp_path / BRITTLE)
    curves = pl.DataFrame({"level": ["brittleness"] * 3, "method": ["none", noise, "skip"]})
    (shown,) = brittle_exhibits(tmp_path, {}, curves)
    assert said in shown.text
    assert ("on whose scale the above depends" in shown.text) == (noise == "absolute noise")


def test_interventions_are_shown_with_the_blocks_that_they_are_held_against(tmp_path: Path) -> None:
    rows = [
        {
            "edit": "skip", "kind": "skip", "component": "resid", "strength": float("nan"), "span": span,
            "blocks": blocks, "control": control, "passage": i, **dict.fromkeys(OUTCOMES, value + i),
        }
        for span, blocks, control, value in (
            ("Local", "blocks 0-1", False, 3.0), ("Local", "blocks 4-5", True, 1.0), ("Local", "blocks 2-3", True, 2.0),
            ("All", "blocks 0-5", False, 3.0),
        )
        for i in range(4)
    ]  # fmt: skip
    table = effect_table(pl.DataFrame(rows), seed=0)
    assert table["control_blocks"].unique(maintain_order=True).to_list() == ["blocks 4-5; blocks 2-3", ""]
    local = table.filter(span="Local", outcome="kl").to_dicts()[0]
    # Of several other stretches the mean.
    assert (local["difference"], local["random_spans"]) == (pytest.approx(1.5), 2)
    assert table.filter(span="All")["difference"].is_nan().all()
    table.write_parquet(tmp_path / EFFECTS)
    (shown,) = edit_exhibits(tmp_path)
    assert shown.table["Against blocks"].to_list() == ["blocks 4-5; blocks 2-3", "–"]
    assert "not that the stretch is special" in shown.text
