"""The random-weight control of the hierarchy study: measured on request, drawn, and compared with the peak."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest

import layeratlas as la
import planting
from layeratlas.runs.tables import CONTROL_SCHEMA
from layeratlas.stats.curves import Reference, ReferenceKind
from layeratlas.studies.hierarchy.findings.random_weights import random_weights_findings

LAYERS = np.arange(13)


@pytest.fixture(scope="module")
def run(tiny_model_dir, tmp_path_factory):
    texts = [f"{word} number {i}" for i in range(24) for word in ("warm", "cold")]
    file = tmp_path_factory.mktemp("texts") / "own.csv"
    pl.DataFrame(
        {"text": texts, "label": [t.split()[0] for t in texts], "group": [t.split()[-1] for t in texts]}
    ).write_csv(file)
    return la.run(
        "hierarchy",
        model=str(tiny_model_dir),
        size="quick",
        data=[str(file)],
        out=tmp_path_factory.mktemp("run") / "out",
        probe={"methods": ("ridge", "svm"), "repeats": 1, "shuffles": 20, "bootstrap": 100},
        settings={"random_weights": True},
    )


def test_the_residual_stream_of_the_first_probe_has_random_weights_beside_it(run):
    measured = run.curves.filter(pl.col("random_weights").is_not_null())
    assert set(measured["component"]) == {"resid"}
    assert set(measured["method"]) == {"ridge"}
    assert set(measured["layer"]) == set(run.curves.filter(component="resid")["layer"])
    inside = measured.filter(pl.col("random_weights").is_between("random_weights_lo", "random_weights_hi"))
    assert len(inside) == len(measured)
    assert run.manifest["random_weights"] == ["own"]


def test_selectivity_is_the_estimate_less_the_control_task(run):
    rows = run.curves.filter(pl.col("selectivity").is_not_null())
    assert set(rows["method"]) == {"ridge"}
    assert set(rows["component"]) == {"resid", "attn", "mlp"}
    assert (rows["estimate"] - rows["control_task"] - rows["selectivity"]).abs().max() < 1e-12


def test_the_page_draws_both_controls(run):
    page = run.report_path.read_text(encoding="utf-8")
    assert "Solid grey: the same architecture with random weights." in page
    assert "Lower chart: selectivity" in page


def with_random(peak: float, spread: float = 0.01):
    """Return a curve with a hump of 0.9 and a random-weight reference with a hump of `peak`."""
    curve = planting.drawn_curve(0.5 + 0.4 * np.exp(-(((LAYERS - 5) / 2) ** 2)), spread)
    other = planting.drawn_curve(0.5 + (peak - 0.5) * np.exp(-(((LAYERS - 2) / 2) ** 2)), spread, level="random")
    reference = Reference(
        estimate=other.estimate,
        draws=other.draws,
        gain=curve.estimate - other.estimate,
        gain_draws=curve.draws - other.draws,
        n=curve.n,
        n_groups=curve.n_groups,
        half_a=other.half_a,
        half_b=other.half_b,
    )
    return dataclasses.replace(curve, references={ReferenceKind.RANDOM_WEIGHTS: reference})


@pytest.mark.parametrize(
    ("peak", "spread", "verdict"),
    [(0.55, 0.01, "supported"), (0.95, 0.005, "not supported"), (0.88, 0.03, "inconclusive")],
)
def test_the_peak_is_compared_with_the_best_layer_under_random_weights(peak, spread, verdict):
    (finding,) = random_weights_findings([with_random(peak, spread)], planting.PHRASING)
    assert finding.verdict == verdict
    assert finding.estimate == pytest.approx(0.9 - peak, abs=0.03)
    assert finding.lo < finding.estimate < finding.hi


def test_without_the_control_there_is_no_such_finding():
    plain = dataclasses.replace(with_random(0.6), references={})
    assert random_weights_findings([plain], planting.PHRASING) == []


def test_tables_of_runs_without_controls_are_read_as_having_none():
    from layeratlas.runs.tables import with_controls

    table = with_controls(pl.DataFrame({"estimate": [0.5]}))
    assert table.select(*CONTROL_SCHEMA).null_count().row(0) == (1,) * len(CONTROL_SCHEMA)
