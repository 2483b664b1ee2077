"""Capture and probes on an accelerator: the share of its matrix rate, packed against padded, streamed; and probes.

    python benchmarks/gpu.py [--shape 8b|1b|tiny] [--device auto] [--texts 1500] [--seconds 460] [--out DIR]

A random Llama of that shape is written to a temporary folder in bfloat16 and loaded, with the default model's tokenizer
or that of a folder (`--tokenizer`). Each row is one capture of every
component at every layer into memory: of the study's short texts, and of passages of 256 tokens, each read at its last
token. Short texts give the host a vector per few tokens, so that their rows are bound by copies, which `GB per second
to the host` counts. Rows of probes are of both probes with their controls as in `probes.py`, on the card and by a
process per core of the same machine. `reading hidden` is the share of the time to read all blocks, or of the time to
compute if that is shorter, that a streamed capture saves by doing both at once.

All ends within `--seconds`: each of the three parts has its share of them, and a row that says so stands for the rows
that did not fit. The table goes to `gpu-NAME.json` too, named after the card, row by row. The last line is the largest
share of the card's matrix rate that a capture reached.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from joblib import cpu_count
from probes import problem
from random_model import BILLION, EIGHT_BILLION, TINY, write_random
from threadpoolctl import threadpool_limits
from time_limit import Row, within

from layeratlas.capture import Reading, capture, choose_plan, make_plan, store_shape
from layeratlas.core import registry
from layeratlas.core.processes import parallel
from layeratlas.core.spec import CaptureSpec, ModelSpec, ProbeSpec
from layeratlas.models import LoadedModel, load
from layeratlas.models.devices import find_device, matrix_rate, probe_device, synchronize
from layeratlas.probes import Design, make_design, probe_layers
from layeratlas.store import MemoryStore

SHAPES = {"8b": EIGHT_BILLION, "1b": BILLION, "tiny": TINY}
BATCHES = (8192, 32768)
PASSAGES, PASSAGE = 256, 256
# Texts and widths of the probes' problems.
PROBLEMS = ((125, 576), (250, 576), (500, 576), (1000, 576), (250, 3072), (500, 3072), (1000, 3072))
# The share of the time by which each part has ended.
PARTS = {"resident": 0.5, "streamed": 0.75, "probes": 1.0}


def readings(model: LoadedModel, texts: int) -> list[Reading]:
    """Return short texts of the hierarchy study, read at their last token."""
    data = [d for name in ("items", "relations", "analogies") for d in registry.get("tasks", name).build("standard")]
    ids = [tuple(model.encode(t)) for t in dict.fromkeys(t for d in data for t in d.texts)]
    step = max(1, len(ids) // texts)
    return [Reading(i, (len(i) - 1,)) for i in ids[::step][:texts]]


def passages(model: LoadedModel) -> list[Reading]:
    """Return passages of random tokens, read at their last token."""
    ids = np.random.default_rng(0).integers(5, 40_000, (PASSAGES, PASSAGE)).tolist()
    return [Reading(tuple(line), (PASSAGE - 1,)) for line in ids]


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Return the seconds of a call and of what it left to the device; the better of two."""
    times = []
    for _ in range(2):
        synchronize(device)
        start = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)


def captured(what: str, model: LoadedModel, texts: list[Reading], batch_tokens: int, packed: bool, rate: float) -> Row:
    """Time one capture and return its row; `rate` is in operations per second."""
    spec = CaptureSpec(batch_tokens=batch_tokens)
    chosen = choose_plan(model, texts, spec)
    batches, form = (chosen.batches, chosen.form) if packed else (make_plan(texts, batch_tokens), "padding")

    def work() -> None:
        # A store of its own each time: what is complete is not captured again.
        capture(model, batches, MemoryStore(store_shape(model, len(texts), spec)), form=form)

    seconds = seconds_of(work, model.device)
    tokens, computed = sum(len(r.ids) for r in texts), sum(batch.ids.size for batch in batches)
    needed = 2 * computed * sum(p.numel() for b in model.anatomy.blocks for p in b.parameters() if p.dim() > 1)
    copied = 4 * len(texts) * model.anatomy.width * sum(store_shape(model, 1, spec).points.values())
    form = "packed" if packed else "padded"
    return {
        "row": f"{what}, {form}, {model.spec.weights}, batches of {batch_tokens:,} tokens",
        "seconds": round(seconds, 3),
        "tokens per second": round(tokens / seconds),
        "tokens computed": computed,
        "GB per second to the host": round(copied / seconds / 1e9, 2),
        "share of the matrix rate": round(needed / seconds / rate, 4),
    }


def reading_alone(model: LoadedModel) -> float:
    """Return the seconds that reading all blocks to the device takes, with nothing computed."""
    streamer = model.streamer
    assert streamer is not None
    start = time.perf_counter()
    for layer in range(len(streamer.blocks)):
        streamer.load([layer])
        streamer.free([layer])
    synchronize(model.device)
    return time.perf_counter() - start


def resident(folder: Path, device: torch.device, texts: int, seconds: dict[str, float]) -> Iterator[Row]:
    """Yield the rows of a model in a device's memory; `seconds` takes those of the captures that are also streamed."""
    start = time.perf_counter()
    model = load(ModelSpec(id=str(folder), device=str(device), dtype="bfloat16", weights="resident"))
    yield {"row": "loaded and proved", "seconds": round(time.perf_counter() - start, 2)}
    rate = matrix_rate(device, torch.bfloat16, model.anatomy.width)
    full = matrix_rate(device, torch.float32, model.anatomy.width)
    yield {"row": "matrix rate, TFLOP/s", "bfloat16": rate / 1e12, "float32": full / 1e12}
    short, long = readings(model, texts), passages(model)
    for size, packed in product(BATCHES, (True, False)):
        yield captured("short texts", model, short, size, packed, rate)
    row = captured("passages", model, long, BATCHES[-1], False, rate)
    seconds["passages"] = row["seconds"]
    yield row


def streamed(folder: Path, device: torch.device, texts: int, seconds: dict[str, float]) -> Iterator[Row]:
    """Yield the rows of a model that is streamed from its folder to a device."""
    start = time.perf_counter()
    model = load(ModelSpec(id=str(folder), device=str(device), dtype="bfloat16", weights="streamed"))
    yield {"row": "loaded and proved, streamed", "seconds": round(time.perf_counter() - start, 2)}
    rate = matrix_rate(device, torch.bfloat16, model.anatomy.width)
    reading = reading_alone(model)
    yield {"row": "reading all blocks alone", "seconds": round(reading, 2)}
    row = captured("passages", model, passages(model), BATCHES[-1], False, rate)
    computing = seconds.get("passages", 0.0)
    if reading > computing / 10 > 0:  # else it is lost in the noise of the two captures
        row["reading hidden"] = round((reading + computing - row["seconds"]) / min(reading, computing), 2)
    yield row
    yield captured("short texts", model, readings(model, texts), BATCHES[-1], True, rate)


def alone(x: np.ndarray, design: Design) -> None:
    """Probe a layer's vectors with one thread."""
    with threadpool_limits(1):
        probe_layers(x[None], design, design.spec.methods)


def probing(device: torch.device, n: int, width: int, layers: int) -> Row:
    """Return the row of both probes with their controls, in seconds per layer: on the device, and on all cores."""
    x, data = problem(n, width)
    design = make_design(data, ProbeSpec(repeats=1, shuffles=200), 0)
    there = torch.from_numpy(np.broadcast_to(x, (layers, *x.shape)).copy()).to(device)
    on_card = seconds_of(lambda: probe_layers(there, design, design.spec.methods), device) / layers
    jobs = [(x, design)] * layers
    on_cpu = seconds_of(lambda: list(parallel(alone, jobs, processes=True)), torch.device("cpu")) / layers
    return {
        "row": f"probes, {n:,} texts x {width:,}, {len(design.folds)} folds, {len(design.shuffled)} shuffles",
        "seconds per layer": round(on_card, 4),
        "on all cores": round(on_cpu, 4),
        "cores": cpu_count(),
        "ratio": round(on_cpu / on_card, 2),
    }


def card_of(device: torch.device) -> str:
    """Return the name of a device."""
    module = torch.get_device_module(device)
    named = getattr(module, "get_device_name", None)
    return str(named(device)) if named else platform.processor() or device.type


def main() -> None:
    """Write a model, measure, print the table, keep it, and print the share last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="8b")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--texts", type=int, default=1500)
    parser.add_argument("--seconds", type=float, default=460, help="after which the table ends")
    parser.add_argument("--layers", type=int, default=16, help="of the probes' problems")
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    device = find_device(args.device)
    rows: list[Row] = []
    for row in table(args, device):
        rows.append(row)
        print(json.dumps(row), flush=True)
        keep(rows, args, device)
    best = max(row.get("share of the matrix rate", 0.0) for row in rows)
    print(f"share of the matrix rate of {card_of(device)}: {best:.1%}")


def table(args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Yield all rows; each part ends by its share of the time."""
    start, seconds = time.perf_counter(), dict[str, float]()
    with tempfile.TemporaryDirectory() as folder:
        write_random(Path(folder), SHAPES[args.shape], str(device), args.tokenizer)
        given = (Path(folder), device, args.texts, seconds)
        parts: dict[str, Callable[[], Iterator[Row]]] = {
            "resident": partial(resident, *given),
            "streamed": partial(streamed, *given),
            "probes": partial(all_probes, args, device),
        }
        for name, part in parts.items():
            left = PARTS[name] * args.seconds - (time.perf_counter() - start)
            yield from within(left, name, part())


def all_probes(args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Yield the rows of probes, where a device can compute them."""
    if probe_device(args.device) is None:
        yield {"row": "probes", "skipped": "no accelerator with float64 is here: probes run on the cores"}
        return
    for n, width in reversed(PROBLEMS):
        yield probing(device, n, width, args.layers)


def keep(rows: list[Row], args: argparse.Namespace, device: torch.device) -> None:
    """Write the rows so far to `gpu-NAME.json`, with the card's name."""
    args.out.mkdir(parents=True, exist_ok=True)
    card = card_of(device)
    kept = {"card": card, "shape": args.shape, "torch": torch.__version__, "rows": rows}
    name = re.sub(r"[^A-Za-z0-9]+", "-", card).strip("-").lower()
    (args.out / f"gpu-{name}.json").write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
