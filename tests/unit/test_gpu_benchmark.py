"""The benchmark of an accelerator: its rows are measured on a device, and none is of work that was done before."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import pretend
from layeratlas.core.spec import ProbeSpec


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("gpu")
    for name in ("gpu", "random_model", "probes", "results"):
        sys.modules.pop(name, None)


def test_every_row_is_measured_on_the_device(benchmark, tmp_path, monkeypatch):
    with pretend.here() as device:
        benchmark.write_random(tmp_path, benchmark.TINY)
        runs = []
        capture = benchmark.capture

        def counted(model, batches, store, **options):
            runs.append((model.device.type, store.complete()))
            capture(model, batches, store, **options)

        monkeypatch.setattr(benchmark, "capture", counted)
        monkeypatch.setattr(benchmark, "matrix_rate", lambda *_: 1e9)
        rows = {row["row"]: row for row in benchmark.measure(tmp_path, device, 12)}
    assert set(runs) == {(pretend.NAME, False)}  # a store that is complete takes no time
    packed, padded = (rows[f"{how}, resident, batches of 2,048 tokens"] for how in ("packed", "padded"))
    assert packed["tokens computed"] < padded["tokens computed"]
    assert rows["packed, streamed, batches of 32,768 tokens"]["tokens computed"] == packed["tokens computed"]


def test_probes_are_measured_on_the_device_and_on_the_cpu(benchmark, monkeypatch):
    asked, own = [], benchmark.probe_layers
    monkeypatch.setattr(benchmark, "probe_layers", lambda x, *more: asked.append(str(x.device)) or own(x, *more))
    monkeypatch.setattr(
        benchmark, "ProbeSpec", lambda **_: ProbeSpec(methods=("ridge",), folds=2, repeats=1, shuffles=20)
    )
    with pretend.here() as device:
        card, cpu = benchmark.probing(device, 24, 30, 2)
    assert set(asked) == {f"{pretend.NAME}:0", "cpu"}
    assert "2 layers at a time" in card["row"]
    assert cpu["ratio"] > 0
