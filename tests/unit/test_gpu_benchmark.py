"""The benchmark of an accelerator: its rows are measured on a device, and none is of work that was done before."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import pretend


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    yield importlib.import_module("gpu")
    for name in ("gpu", "random_model"):
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
