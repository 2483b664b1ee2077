"""What `layeratlas check` shows: anatomy, identity self-tests, and what a run would take on this machine."""

from __future__ import annotations

import time

import torch

from layeratlas import registry
from layeratlas.capture import Reading, capture, make_plan, store_shape
from layeratlas.models import LoadedModel, load
from layeratlas.records import Dataset
from layeratlas.spec import CaptureSpec, ModelSpec, Size
from layeratlas.store import MemoryStore

_SIZES: tuple[Size, ...] = ("quick", "standard", "full")


def describe(spec: ModelSpec) -> str:
    """Load a model and return what was found, line by line. Raises what `load` raises."""
    start = time.perf_counter()
    model = load(spec)
    seconds = time.perf_counter() - start
    return "\n".join([*_anatomy(model, seconds), "", *_identities(model), "", *_plan(model)])


def _anatomy(model: LoadedModel, seconds: float) -> list[str]:
    info = model.info
    size = sum(p.numel() * p.element_size() for p in model.model.parameters()) / 1e9
    return [
        f"{info['name']} ({info['family']}), loaded in {seconds:.1f} s",
        f"  blocks         {info['layers']} of width {info['width']}",
        f"  parameters     {info['parameters'] / 1e6:,.0f} M, {size:.2f} GB as {info['dtype']} on {info['device']}",
        f"  vocabulary     {info['vocabulary']:,}; context {info['context'] or 'unlimited'}",
        f"  attention      {info['attention']} kernel; {info['anatomy']['attn']}",
        f"  MLP            {info['anatomy']['mlp']}",
        f"  BOS            {info['bos']}",
    ]


def _identities(model: LoadedModel) -> list[str]:
    lines = ["identity self-tests (relative error, limit):"]
    for i in model.info["identities"]:
        mark = "ok  " if i["passed"] else "FAIL"
        lines.append(f"  {mark} {i['name']:<22} {i['error']:.1e}  {i['limit']:.0e}  {i['detail']}")
    return lines


def _plan(model: LoadedModel) -> list[str]:
    """Time a few texts and scale up: texts, tokens, seconds of capture and size of the store at each size."""
    study = registry.get("studies", "hierarchy")
    rate = None
    lines = ["a run of 'hierarchy' here:  texts   tokens   capture   activations"]
    for size in _SIZES:
        data = [d for name in study.tasks for d in registry.get("tasks", name).build(size)]
        readings = _readings(model, data)
        if not readings:
            return [f"every text of 'hierarchy' is longer than the context of {model.context} tokens"]
        rate = rate or _tokens_per_second(model, readings[:: max(1, len(readings) // 64)])
        shape = store_shape(model, len(readings), CaptureSpec())
        tokens = sum(len(r.ids) for r in readings)
        gigabytes = 4 * shape.texts * shape.width * sum(shape.points.values()) / 1e9
        lines.append(f"  {size:<24} {len(readings):>7,} {tokens:>8,} {tokens / rate:>7.0f} s {gigabytes:>10.2f} GB")
    return lines


def _readings(model: LoadedModel, datasets: list[Dataset]) -> list[Reading]:
    texts = dict.fromkeys(text for data in datasets for text in data.texts)
    ids = [tuple(model.encode(text)) for text in texts]
    # A run refuses a longer text in one line; here it is only left out of the count.
    return [Reading(i, (len(i) - 1,)) for i in ids if not model.context or len(i) <= model.context]


def _tokens_per_second(model: LoadedModel, readings: list[Reading]) -> float:
    plan = make_plan(readings, CaptureSpec().batch_tokens)
    shape = store_shape(model, len(readings), CaptureSpec())
    capture(model, plan[:1], MemoryStore(shape))  # the first pass pays for allocations
    start = time.perf_counter()
    capture(model, plan, MemoryStore(shape))
    if model.device.type == "cuda":
        torch.cuda.synchronize()
    return sum(len(r.ids) for r in readings) / (time.perf_counter() - start)
