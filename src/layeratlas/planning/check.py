"""The text of `layeratlas check`: anatomy, identity self-tests, and the cost of a run on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from layeratlas.capture import Reading, capture, make_plan, store_shape
from layeratlas.core.formatting import duration
from layeratlas.core.spec import CaptureSpec, ModelSpec
from layeratlas.models import LoadedModel, load
from layeratlas.models.chat import Chat, Turn
from layeratlas.models.devices import find_device, settled, synchronize
from layeratlas.models.memory import budget
from layeratlas.models.placing import is_downloaded
from layeratlas.models.precision import dtype_of
from layeratlas.models.products import gain
from layeratlas.models.sources import find_source
from layeratlas.models.tokenizing import EncodeAll, bos_of, with_bos
from layeratlas.models.unloaded import read_config
from layeratlas.models.wrappers import LeftOut
from layeratlas.planning.needs import encoded, needs_of, plan_lines
from layeratlas.store import MemoryStore


def describe(spec: ModelSpec, plan_only: bool = False) -> str:
    """Load a model and return its anatomy, its self-tests and the cost of a run; raises the errors of `load`.

    Weights are not read with `plan_only`, nor for a hub model that is not downloaded and would not fit in memory. A
    model on NDIF has no self-tests, and its cost here is what a run sends and receives.
    """
    spec = settled(spec)
    if spec.weights == "remote":
        return "\n".join(_on_ndif(spec, plan_only))
    if plan_only or _is_remote_and_too_large(spec):
        return "\n".join(_planned(spec))
    start = time.perf_counter()
    with load(spec, anew=True) as model:
        seconds = time.perf_counter() - start
        lines = [*_anatomy(model, seconds), "", *_identities(model), ""]
        rounded = _rounded(spec, model.device, model.anatomy.width)
        if model.streamer is None:
            return "\n".join([*lines, *_plan(model), *rounded])
        needs = needs_of(model.model.config, spec)
        return "\n".join([*lines, *plan_lines(spec, needs, model.device, _encoder(model)), *rounded])


def _encoder(model: LoadedModel) -> EncodeAll:
    return model.encode_all if model.chat is None else lambda texts: [list(model.frame(text).ids) for text in texts]


def _is_remote_and_too_large(spec: ModelSpec) -> bool:
    source = find_source(spec.id)
    if source.kind != "hub" or is_downloaded(source, spec):
        return False
    config, _ = read_config(spec)
    return needs_of(config, spec).whole > budget(spec.memory, find_device(spec.device))


def _planned(spec: ModelSpec) -> list[str]:
    config, tokenizer = read_config(spec)
    needs, device = needs_of(config, spec), find_device(spec.device)
    head = f"{_title(config, spec)}: a plan from its config alone; no weight was read and no self-test was run"
    plan = plan_lines(spec, needs, device, text_encoder(tokenizer, spec))
    return [head, *plan, *_rounded(spec, device, needs.width)]


def _rounded(spec: ModelSpec, device: torch.device, width: int) -> list[str]:
    """Return the gain of rounded products here as a line; none for weights in half precision or over processes."""
    if spec.dtype != "float32" or spec.parallel > 1:
        return []
    return [f"products rounded to bfloat16: {gain(device, width):.2g} times as fast here (--precision fast)"]


def _on_ndif(spec: ModelSpec, plan_only: bool) -> list[str]:
    if not plan_only:
        load(spec)  # refuses what has no package, no key, or blocks that are not found
    config, tokenizer = read_config(spec)
    needs = needs_of(config, spec)
    lines = [
        f"{_title(config, spec)}: its weights are on NDIF, so no self-test can be run here",
        f"  blocks         {needs.n_layers} of width {needs.width}; only the residual stream can be read",
        "a run of 'hierarchy' sends:   texts       tokens   and receives",
    ]
    for size, ids in encoded(text_encoder(tokenizer, spec)):
        received = len(ids) * (needs.n_layers + 1) * needs.width * dtype_of(spec.dtype).itemsize / 1e9
        lines.append(f"  {size:<24} {len(ids):>8,} {sum(map(len, ids)):>12,} {received:>11.2f} GB")
    return lines


def _title(config: Any, spec: ModelSpec) -> str:
    return f"{spec.id} ({type(config).__name__.removesuffix('Config')})"


def text_encoder(tokenizer: Any, spec: ModelSpec) -> EncodeAll:
    """Return a function that encodes texts as the loaded model would."""
    chat, bos = Chat(tokenizer, spec) if spec.chat else None, bos_of(tokenizer, spec)

    def encode(texts: Sequence[str]) -> list[list[int]]:
        if chat is not None or not texts:
            return [list(chat.frame(text).ids) for text in texts] if chat is not None else []
        encoded = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return [with_bos(ids, bos) for ids in encoded]

    return encode


def _anatomy(model: LoadedModel, seconds: float) -> list[str]:
    info = model.info
    size = sum(p.numel() * p.element_size() for p in model.model.parameters()) / 1e9
    return [
        f"{info['name']} ({info['family']}), loaded in {duration(seconds)}",
        f"  blocks         {info['layers']} of width {info['width']}",
        f"  parameters     {info['parameters'] / 1e6:,.0f} M, {size:.2f} GB as {info['dtype']} on {info['device']}",
        f"  vocabulary     {info['vocabulary']:,}; context {info['context'] or 'unlimited'}",
        f"  attention      {info['attention']} kernel; {info['anatomy']['attn']}",
        f"  MLP            {info['anatomy']['mlp']}",
        f"  BOS            {info['bos']}",
        *(f"  left out       {LeftOut(**part).words}: text does not need it" for part in info["left_out"]),
        *_chat(model),
    ]


def _chat(model: LoadedModel) -> list[str]:
    if model.chat is None:
        return []
    example = model.chat.render([Turn(role="user", text="TEXT")], answer=True)
    return [f"  chat           template {model.chat.sha256[:16]}, up to an answer: {example!r}"]


def _identities(model: LoadedModel) -> list[str]:
    lines = ["identity self-tests (relative error, limit):"]
    for test in model.info["identities"]:
        mark = "ok  " if test["passed"] else "FAIL"
        lines.append(f"  {mark} {test['name']:<22} {test['error']:.1e}  {test['limit']:.0e}  {test['detail']}")
    return lines


def _plan(model: LoadedModel) -> list[str]:
    """Time a few texts and extrapolate: texts, tokens, seconds of capture and bytes of activations at each size."""
    rate = None
    lines = ["a run of 'hierarchy' here:  texts   tokens   capture   activations"]
    for size, ids in encoded(_encoder(model)):
        # A run refuses longer texts; they are not counted here.
        readings = [Reading(i, (len(i) - 1,)) for i in ids if not model.context or len(i) <= model.context]
        if not readings:
            return [f"every text of 'hierarchy' is longer than the context of {model.context} tokens"]
        rate = rate or _tokens_per_second(model, readings[:: max(1, len(readings) // 64)])
        shape = store_shape(model, len(readings), CaptureSpec())
        tokens = sum(len(r.ids) for r in readings)
        gigabytes = 4 * shape.texts * shape.width * sum(shape.points.values()) / 1e9
        lines.append(f"  {size:<24} {len(readings):>7,} {tokens:>8,} {tokens / rate:>7.0f} s {gigabytes:>10.2f} GB")
    return lines


def _tokens_per_second(model: LoadedModel, readings: list[Reading]) -> float:
    plan = make_plan(readings, CaptureSpec().batch_tokens)
    shape = store_shape(model, len(readings), CaptureSpec())
    capture(model, plan[:1], MemoryStore(shape))  # warm-up: the first pass includes allocations
    start = time.perf_counter()
    capture(model, plan, MemoryStore(shape))
    synchronize(model.device)
    return sum(len(r.ids) for r in readings) / (time.perf_counter() - start)
