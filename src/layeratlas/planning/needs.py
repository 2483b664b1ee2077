"""The cost of a run with a model that is not loaded: bytes, memory, and seconds at rates measured on this machine."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from layeratlas.capture import Reading, expected_tokens
from layeratlas.capture.streaming import cut_blocks
from layeratlas.capture.trie import count_prefixes
from layeratlas.core import registry
from layeratlas.core.formatting import duration
from layeratlas.core.progress import Progress
from layeratlas.core.spec import CaptureSpec, ModelSpec, Size
from layeratlas.models import find_skeleton
from layeratlas.models.devices import matrix_rate
from layeratlas.models.empty import empty_model
from layeratlas.models.memory import budget
from layeratlas.models.precision import dtype_of
from layeratlas.models.streamed import outside_bytes
from layeratlas.models.tokenizing import EncodeAll

_SIZES: tuple[Size, ...] = ("quick", "standard", "full")
# Small enough to take a moment, large enough to average over caches and clock changes.
_READ = 128 * 2**20


@dataclass(frozen=True, kw_only=True)
class Needs:
    """A model's bytes, from its config alone: in total, outside the blocks, and per block."""

    whole: int
    outside: int
    blocks: list[int]
    width: int
    n_layers: int

    def groups(self, room: int) -> list[list[int]]:
        """Return the groups of blocks that a streamed run reads one after the other."""
        return cut_blocks(self.blocks, room - self.outside)


def needs_of(config: Any, spec: ModelSpec) -> Needs:
    """Build the model of a config without weights and measure it."""
    model = empty_model(spec, config, Progress())
    skeleton = find_skeleton(model)
    blocks = [sum(p.numel() * p.element_size() for p in block.parameters()) for block in skeleton.blocks]
    outside = outside_bytes(skeleton)
    return Needs(
        whole=sum(blocks) + outside,
        outside=outside,
        blocks=blocks,
        width=skeleton.width,
        n_layers=len(blocks),
    )


def plan_lines(spec: ModelSpec, needs: Needs, device: torch.device, encode: EncodeAll) -> list[str]:
    """Return the plan of a hierarchy run, as lines: location of the weights, bytes, seconds, memory."""
    room = budget(spec.memory, device)
    streamed = spec.weights == "streamed" or (spec.weights == "auto" and needs.whole > room)
    item = dtype_of(spec.dtype).itemsize
    groups = needs.groups(room)
    largest = max(sum(needs.blocks[layer] for layer in group) for group in groups)
    held = needs.outside + 2 * largest if streamed else needs.whole
    disk, matrix = disk_rate(), matrix_rate(device, dtype_of(spec.dtype), needs.width)
    lines = [
        f"weights: {_gb(needs.whole)} as {spec.dtype} ({_gb(needs.outside)} outside {needs.n_layers} blocks, "
        f"{_gb(max(needs.blocks))} the largest block); {_gb(room)} may be taken on {device}",
    ]
    if streamed:
        fits = "" if held <= room else f"; MORE THAN THE {_gb(room)} ALLOWED: use a smaller dtype or more memory"
        lines += [
            f"streamed: {len(groups)} groups of blocks, two in memory at a time, each weight read once; "
            f"{_gb(held)} of weights in memory{fits}",
        ]
    else:
        lines += ["resident: all weights fit"]
    lines += [
        f"measured here: disk {disk / 1e9:.2f} GB/s, matrix products {matrix / 1e12:.2f} TFLOP/s on {device}",
        "a run of 'hierarchy':     texts  tokens computed        read     compute       total    stream  activations",
    ]
    for size, ids in encoded(encode):
        tokens = count_prefixes(ids)
        reading = needs.whole / disk
        computing = 2 * tokens * sum(needs.blocks) / item / matrix
        # A streamed run reads the next blocks while the current ones compute.
        total = max(reading, computing) if streamed else reading + computing
        stream = tokens * needs.width * item if streamed else 0
        kept = len(ids) * needs.width * (3 * needs.n_layers + 1) * 4
        lines.append(
            f"  {size:<18} {len(ids):>10,} {tokens:>16,} {duration(reading):>11} {duration(computing):>11} "
            f"{duration(total):>11} {_gb(stream):>9} {_gb(kept):>12}"
        )
    return [*lines, "times are lower bounds: every weight counts for every token, at the rates above"]


def encoded(encode: EncodeAll) -> Iterator[tuple[Size, list[tuple[int, ...]]]]:
    """Yield each size of the hierarchy study with the tokens of its distinct texts; each text is encoded once."""
    study = registry.get("studies", "hierarchy")
    known: dict[str, tuple[int, ...]] = {}
    for size in _SIZES:
        data = [d for name in study.tasks for d in registry.get("tasks", name).build(size)]
        texts = list(dict.fromkeys(text for d in data for text in d.texts))
        new = [text for text in texts if text not in known]
        known |= {text: tuple(ids) for text, ids in zip(new, encode(new), strict=True)}
        yield size, [known[text] for text in texts]


def computed_tokens(config: Any, ids: Sequence[Sequence[int]], spec: CaptureSpec) -> int:
    """Return the tokens that a capture of texts computes with a model of this config, packed as in a run."""
    return expected_tokens(config, [Reading(tuple(text), (len(text) - 1,)) for text in ids], spec)


def disk_rate() -> float:
    """Return the bytes per second of a file read, bypassing the page cache if the operating system allows it."""
    with tempfile.NamedTemporaryFile(dir=_weights_folder()) as file:
        for _ in range(_READ // 2**20):
            file.write(os.urandom(2**20))
        file.flush()
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.perf_counter()
        with Path(file.name).open("rb", buffering=0) as again:
            while again.read(8 * 2**20):
                pass
        return _READ / (time.perf_counter() - start)


def _weights_folder() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    path = Path(HF_HUB_CACHE)
    while not (path.is_dir() and os.access(path, os.W_OK)) and path != path.parent:
        path = path.parent
    return path if os.access(path, os.W_OK) else Path(tempfile.gettempdir())


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size < 1e11 else f"{size / 1e9:.0f} GB"
