"""Event files hold every value of every curve at its layer or training step, as TensorBoard itself reads them."""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import fake_run
import layeratlas as la
from layeratlas import api
from layeratlas.api import event_files
from layeratlas.core.errors import SpecError, StoreError

INSTALLED = importlib.util.find_spec("tensorboard") is not None
written: dict[str, dict[str, list[tuple[int, float]]]] = {}


class Writer:
    """Keeps the scalars that it is given; the interface of `SummaryWriter`."""

    def __init__(self, folder: str) -> None:
        Path(folder).mkdir(parents=True)
        self.scalars: dict[str, list[tuple[int, float]]] = written.setdefault(Path(folder).name, {})

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars.setdefault(tag, []).append((step, value))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module: Any = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    written.clear()
    yield
    written.clear()


def read_by_tensorboard(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def curve(run: la.Run, column: str) -> list[tuple[int, float]]:
    rows = run.curves.filter(level="item", task="all", stratum="all", component="resid", method="ridge")
    rows = rows.filter(pl.col("metric") == "accuracy").sort("layer")
    return list(zip(rows["layer"].to_list(), rows[column].to_list(), strict=True))


def test_every_curve_is_written_layer_by_layer(stand_in: None, tmp_path: Path) -> None:
    run = la.load(fake_run.write_run(tmp_path / "mine"))
    assert api.tensorboard(run.folder) == tmp_path / "mine-tensorboard"
    assert {"estimate", "lo", "hi", "control"} <= written.keys()
    for line in ("estimate", "lo", "hi", "control"):
        assert written[line]["accuracy/item all all resid ridge"] == curve(run, line)
        assert sum(map(len, written[line].values())) == run.curves[line].is_not_nan().sum()
    with pytest.raises(StoreError, match="is not empty; expected a new or empty folder"):
        api.tensorboard(run.folder)


def test_a_task_named_as_its_level_has_a_chart_of_its_own(stand_in: None, tmp_path: Path) -> None:
    run = la.load(fake_run.write_run(tmp_path / "mine", fake_run.Fake(levels=("own",), findings=False)))
    api.tensorboard(run.folder)
    one = {"level": "own", "stratum": "all", "component": "resid", "method": "ridge", "metric": "accuracy"}
    for task in ("all", "own"):
        rows = run.curves.filter(task=task, **one).sort("layer")
        tag = f"accuracy/own {task} all resid ridge"
        assert written["estimate"][tag] == list(zip(rows["layer"], rows["estimate"], strict=True))


def test_files_that_were_stopped_are_written_again(
    stand_in: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = la.load(fake_run.write_run(tmp_path / "mine"))

    def stop(self: Writer, tag: str, value: float, step: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(Writer, "add_scalar", stop)
        with pytest.raises(KeyboardInterrupt):
            api.tensorboard(run.folder)
    assert not (tmp_path / "mine-tensorboard").exists()
    written.clear()
    assert {path.name for path in api.tensorboard(run.folder).iterdir()} == set(written)
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "mine-tensorboard"}


def test_a_comparison_over_training_is_written_step_by_step(
    stand_in: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pl.DataFrame({"study": "hierarchy", "series": "small", "level": "item", "quantity": "peak value",
                          "step": [100, 10], "model": ["b", "a"], "value": [0.9, 0.5], "lo": [0.8, 0.4],
                          "hi": [1.0, 0.6]})  # fmt: skip
    comparison = object.__new__(la.Comparison)
    comparison.folder, comparison.training = tmp_path / "both", table
    monkeypatch.setattr(event_files, "load", lambda folder: comparison)
    api.tensorboard("both", tmp_path / "logs")
    assert written["estimate"] == {"peak value/hierarchy small item": [(10, 0.5), (100, 0.9)]}
    assert set(written) == {"estimate", "lo", "hi"}
    comparison.training = table.clear()
    with pytest.raises(StoreError, match="is no comparison over training"):
        api.tensorboard("both", tmp_path / "other")


def test_without_the_package_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    run = fake_run.write_run(tmp_path / "mine")
    with pytest.raises(SpecError, match=r"needs? the package 'tensorboard'.*pip install 'layeratlas\[tensorboard\]'"):
        api.tensorboard(run)
    assert not (tmp_path / "mine-tensorboard").exists()


@pytest.mark.skipif(not INSTALLED, reason="tensorboard is not installed")
def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    run = la.load(fake_run.write_run(tmp_path / "mine"))
    read = read_by_tensorboard(api.tensorboard(run.folder) / "estimate")
    found, expected = read["accuracy/item all all resid ridge"], curve(run, "estimate")
    assert [step for step, _ in found] == [step for step, _ in expected]
    assert [value for _, value in found] == pytest.approx([value for _, value in expected], abs=1e-6)
