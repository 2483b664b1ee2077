"""The causal study finds where a planted label is used, and where it is encoded and nothing reads it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import layeratlas as la
import planted_models
from layeratlas.studies.causal.names import TABLE_FILE, CausalFinding


def run(folder: Path, **planted: bool | float) -> la.Run:
    model = planted_models.copying_model(folder / "model", **planted)
    return la.run(
        "causal",
        model=str(model),
        size="quick",
        data=[str(planted_models.prompts_file(folder))],
        out=folder / "run",
        probe={"bootstrap": 200},
    )


def verdict(finished: la.Run, kind: CausalFinding) -> str:
    return finished.findings.filter(pl.col("finding") == kind)["verdict"].item()


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return run(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    return run(tmp_path_factory.mktemp("silent"), answers=False)


@pytest.fixture(scope="module")
def faint(tmp_path_factory):
    return run(tmp_path_factory.mktemp("faint"), gain=0.006)


def test_what_is_read_by_construction_is_used_there_and_not_elsewhere(planted):
    table = pl.read_parquet(planted.folder / TABLE_FILE)
    assert table["point"].to_list() == [1, 2, 3, 4, 5]
    assert table["encoded"].to_list()[1:] == ["supported"] * 4
    assert table["encoded"][0] != "supported"
    assert table["used"].to_list() == ["not supported"] * 3 + ["supported"] * 2
    assert verdict(planted, CausalFinding.USED) == "supported"
    assert verdict(planted, CausalFinding.UNUSED) == "supported"
    assert verdict(planted, CausalFinding.STEERED) == "supported"
    # Which way: the right answer loses, where steering leads to the other class.
    (steered,) = planted.of_kind(CausalFinding.STEERED)
    assert "towards another class lowers the log-odds of the right answer by " in steered.statement
    assert steered.estimate > 0
    assert table.filter(point=5)["loss_steer"].item() > 0
    # A run of one set has no other task to compare with.
    assert CausalFinding.SPECIFIC not in planted.findings["finding"].to_list()


def test_the_layer_to_steer_is_one_that_is_used(planted, silent):
    best = planted.best_layer("planted", purpose="steer")
    assert best.layer in (4, 5)
    assert set(best.as_good) <= {4, 5}
    assert silent.best_layer("planted", purpose="steer").layer is None


def test_a_shift_that_is_certain_and_negligible_is_not_steering(faint):
    """What hardly reaches the answers: a shift by 0.007 nats is shown at one point, and does not matter."""
    table = pl.read_parquet(faint.folder / TABLE_FILE)
    certain = table.filter((pl.col("steered_lo") > 0) & (pl.col("steered_p") < 0.05))
    assert len(certain) > 0  # negative control: above 0
    assert certain["steered_hi"].max() < 0.1
    assert set(certain["steered"]) == {"not supported"}
    assert verdict(faint, CausalFinding.STEERED) != "supported"
    assert faint.best_layer("planted", purpose="steer").layer is None


def test_erasing_takes_all_of_the_answer_and_its_controls_little(planted):
    used = pl.read_parquet(planted.folder / TABLE_FILE).filter(point=4)
    assert used["loss_erase"].item() == pytest.approx(used["clean"].item(), rel=0.15)
    assert abs(used["loss_random"].item()) < 0.5 * used["clean"].item()
    assert used["accuracy_left"].item() < used["accuracy"].item() - 0.2
    # From the mean of one class to that of the other: the log-odds change their sign.
    assert used["loss_steer"].item() == pytest.approx(2 * used["clean"].item(), rel=0.15)


def test_a_label_that_nothing_reads_is_encoded_and_no_use_of_it_is_found(silent):
    table = pl.read_parquet(silent.folder / TABLE_FILE)
    assert table["encoded"].to_list()[1:] == ["supported"] * 4
    assert "supported" not in table["used"].to_list()
    for kind in (CausalFinding.ANSWERED, CausalFinding.USED, CausalFinding.STEERED, CausalFinding.UNUSED):
        assert verdict(silent, kind) != "supported"
