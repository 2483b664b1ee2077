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
        monkeypatch.setattr(benchmark, "PASSAGES", 2)
        rows = {row["row"]: row for row in benchmark.measure(tmp_path, device, 12)}
    assert set(runs) == {(pretend.NAME, False)}  # a store that is complete takes no time
    short = "short texts, {}, {}, batches of 32,768 tokens"
    packed, padded = (rows[short.format(how, "resident")] for how in ("packed", "padded"))
    assert packed["tokens computed"] < padded["tokens computed"]
    assert rows[short.format("packed", "streamed")]["tokens computed"] == packed["tokens computed"]
    # Every passage is as long as the others, and no other text begins like it.
    for weights in ("resident", "streamed"):
        tokens = rows[f"passages, padded, {weights}, batches of 32,768 tokens"]["tokens computed"]
        assert tokens == benchmark.PASSAGES * benchmark.PASSAGE


def test_probes_are_measured_on_the_device_and_on_the_cpu(benchmark, monkeypatch):
    asked, own = [], benchmark.probe_layers
    monkeypatch.setattr(benchmark, "probe_layers", lambda x, *more: asked.append(str(x.device)) or own(x, *more))
    # Workers would not see what is patched here.
    monkeypatch.setattr(benchmark, "parallel", lambda work, jobs, **_: (work(*job) for job in jobs))
    monkeypatch.setattr(
        benchmark, "ProbeSpec", lambda **_: ProbeSpec(methods=("ridge",), folds=2, repeats=1, shuffles=20)
    )
    with pretend.here() as device:
        row = benchmark.probing(device, 24, 30, 2)
    # Each side runs twice: the device takes all layers at once, and each core one layer at a time.
    assert asked == [f"{pretend.NAME}:0"] * 2 + ["cpu"] * 4
    assert row["ratio"] > 0
