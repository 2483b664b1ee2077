"""The benchmark of an accelerator: its rows are measured on a device, and none is of work that was done before."""

from __future__ import annotations

import importlib
import json
import sys
import time
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
        given = (tmp_path, device, 12, {})
        rows = {row["row"]: row for part in (benchmark.resident, benchmark.streamed) for row in part(*given)}
    assert set(runs) == {(pretend.NAME, False)}  # a store that is complete takes no time
    short = "short texts, {}, {}, batches of 32,768 tokens"
    packed, padded = (rows[short.format(how, "resident")] for how in ("packed", "padded"))
    assert packed["tokens computed"] < padded["tokens computed"]
    assert rows[short.format("packed", "streamed")]["tokens computed"] == packed["tokens computed"]
    # Every passage is as long as the others, and no other text begins like it.
    for weights in ("resident", "streamed"):
        tokens = rows[f"passages, padded, {weights}, batches of 32,768 tokens"]["tokens computed"]
        assert tokens == benchmark.PASSAGES * benchmark.PASSAGE


def test_the_table_ends_in_time_with_every_row_or_its_reason(benchmark, tmp_path, monkeypatch, capsys):
    """Within a second of its limit; each part has its share, so that none takes the time of the next."""

    def endless(name):
        def rows(*_):
            yield {"row": f"first of {name}", "share of the matrix rate": 0.25}
            while True:
                time.sleep(0.01)

        return rows

    for part in ("resident", "streamed", "all_probes"):
        monkeypatch.setattr(benchmark, part, endless(part))
    monkeypatch.setattr(benchmark, "write_random", lambda *_: None)
    monkeypatch.setattr(benchmark, "card_of", lambda _: "A Card, 80GB")
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--seconds", "2", "--out", str(tmp_path)])
    start = time.monotonic()
    benchmark.main()
    assert 1.9 < time.monotonic() - start < 3
    kept = json.loads((tmp_path / "gpu-a-card-80gb.json").read_text())["rows"]
    names = [row["row"] for row in kept]
    assert [name for name in names if name.startswith("first")] == [
        "first of resident", "first of streamed", "first of all_probes",
    ]  # fmt: skip
    assert [row["row"] for row in kept if "skipped" in row] == [f"further rows, {part}" for part in benchmark.PARTS]
    assert capsys.readouterr().out.splitlines()[-1] == "share of the matrix rate of A Card, 80GB: 25.0%"


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
