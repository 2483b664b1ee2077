"""The stage that measures: passages through the model a few at a time, metrics at once, numbers kept.

What is kept is small: values of every signal, and mean states and a few tokens for the metrics of the whole set. Each
batch makes one shard, so that a stop loses one batch.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field
from threadpoolctl import threadpool_limits

from layeratlas.core import registry
from layeratlas.core.arrays import FloatArray
from layeratlas.core.errors import DataError, ModelError
from layeratlas.core.spec import Size, Spec
from layeratlas.data.passages import Passages, noisy_copy
from layeratlas.metrics import Lens, Metric, Passage, SetMetric
from layeratlas.runs.workspace import Workspace
from layeratlas.store.shards import Tensors, load_shard, read_shard, write_shard
from layeratlas.studies.segments.boundaries import shortest
from layeratlas.studies.segments.intervention.plan import Wanted, places_of, read_wanted

if TYPE_CHECKING:
    from layeratlas.capture.passages import Captured
    from layeratlas.models import LoadedModel

FOLDER = "signals"
_BATCH, _TOKENS, _LEAST = 4, 5, 64
_UNTRAINED: dict[Size, int] = {"quick": 0, "standard": 12, "full": 32}


class Settings(Spec):
    """What `--set` may say of a segments run.

    `tokens` are measured in each passage, besides BOS. Without `maps` the attention kernel asked for is kept and
    attention is not measured. `untrained` passages also go through a random-weight model of the same config (none at
    size quick, 12 at standard, 32 at full, unless given). `method` is how layers are cut. `noise` is what is
    injected to find how brittle each stretch is: relative to the stream's size, or absolute, or none. `edits` are
    interventions in words, made on every stretch or on blocks that they name; with `generate` prompts of
    `prompt_tokens` are continued by `new_tokens` under each of them.
    """

    tokens: int = Field(default=256, ge=16, description="a number of tokens, at least 16")
    maps: bool = Field(default=True, description="true or false: attention maps, under the eager kernel")
    lens_positions: int = Field(default=8, ge=1, description="positions of a passage at which the logit lens is read")
    views: int = Field(default=8, ge=2, description="noisy copies of a passage, at least 2")
    view_passages: int = Field(default=32, ge=0, description="passages that are copied, 0 for none")
    view_tokens: int = Field(default=48, ge=8, description="tokens of a noisy copy, at least 8")
    untrained: int | None = Field(default=None, ge=0, description="passages for a random-weight model, 0 for none")
    draws: int = Field(default=200, ge=100, description="bootstrap draws of the passages, at least 100")
    surrogates: int = Field(default=199, ge=99, description="boundary-free surrogates, at least 99")
    noise: Literal["relative", "absolute", "none"] = Field(default="relative", description="relative, absolute or none")
    edits: str = Field(default="default", description="default, none or edits such as 'noise 0.3; zero of mlp'")
    generate: bool = Field(default=False, description="true or false: text generated under every edit")
    prompts: int = Field(default=24, ge=6, description="prompts that are continued, at least 6")
    prompt_tokens: int = Field(default=32, ge=1, description="tokens of a prompt")
    new_tokens: int = Field(default=64, ge=8, description="tokens generated after a prompt, at least 8")
    method: str = Field(default="exact", pattern="^(exact|v1)$", description="exact or v1")

    @property
    def wanted(self) -> list[Wanted]:
        """The interventions that were named; raises SpecError for what is none."""
        return [] if self.edits in ("default", "none") else read_wanted(self.edits)


def texts_of(work: Workspace) -> tuple[list[str], list[str]]:
    """Return the texts and kinds of all passages of a run, in order."""
    return [t for m in work.material for t in m.texts], [k for m in work.material for k in m.kinds]


def metrics_of() -> tuple[list[Metric], list[SetMetric]]:
    """Return every metric that is installed, by what it takes."""
    found = [registry.get("metrics", name) for name in registry.names("metrics")]
    return [m for m in found if isinstance(m, Metric)], [m for m in found if isinstance(m, SetMetric)]


def encoded(work: Workspace, model: LoadedModel) -> list[list[int]]:
    """Return the ids of all passages, cut to one length: BOS, where there is one, and the run's number of tokens.

    Where the shortest passage is shorter, all are cut to it, and the run says so; raises DataError below 64 tokens (or
    the number asked for), and where the model's context is too short.
    """
    asked, first = work.settings.tokens, int(model.bos_id is not None)
    ids = [model.encode(text) for text in texts_of(work)[0]]
    counts = [len(one) - first for one in ids]
    shortest_one = int(np.argmin(counts))
    length = min(asked, counts[shortest_one])
    if length < min(asked, _LEAST):
        raise DataError(
            f"passage {shortest_one + 1} has {counts[shortest_one]} tokens",
            f"at least {min(asked, _LEAST)} in every passage",
            "join short passages or drop it",
        )
    if model.context and length + first > model.context:
        raise DataError(
            f"the passages have {length + first} tokens and the context of {model.info['name']} is {model.context}",
            "passages that fit into it",
            f"use --set tokens={model.context - first} or fewer",
        )
    if length < asked:
        work.progress.note(f"passages are cut to {length} tokens, the length of passage {shortest_one + 1}")
    return [one[: length + first] for one in ids]


def measure_stage(work: Workspace) -> list[str]:
    """Measure every passage, its noisy copies, and a few passages in a model with random weights."""
    settings = work.settings
    model = work.model
    shortest(model.anatomy.n_layers)
    for wanted in settings.wanted:
        places_of(wanted, model.anatomy.n_layers, {}, 0)
    if model.streamer is not None:
        raise ModelError(
            f"{model.info['name']} does not fit into memory",
            "a model whose blocks are all in memory, since every layer of a passage is compared with the next",
            "use --dtype bfloat16 or a smaller model",
        )
    ids = encoded(work, model)
    copied = min(settings.view_passages, len(ids)) if settings.view_passages >= 2 else 0
    copies = _copies(work, model, copied)
    plain = settings.untrained if settings.untrained is not None else _UNTRAINED[work.spec.size]
    plain = _untrained_count(work, model, min(plain, len(ids)))
    length = len(ids[0]) - int(model.bos_id is not None)
    work.manifest["datasets"] = [_dataset(m, len(ids[0])) for m in work.material]
    with work.progress.stage("measure", len(ids) + len(copies) / 8 + plain) as step:
        outputs = _each_batch(work, "trained", ids, _Reader(model, settings), step.advance)
        outputs += _view_shards(work, model, copies, settings.views, step.advance)
        if plain:
            outputs += _untrained(work, model, _spread(ids, texts_of(work)[1], plain), step.advance)
    work.manifest["segments"] = {
        "passages": len(ids), "tokens": length, "copied": copied, "untrained": plain, "missing": _missing(work),
    }  # fmt: skip
    return outputs


def _dataset(passages: Passages, tokens: int) -> dict[str, Any]:
    n = len(passages.texts)
    record = {"name": passages.name, "level": passages.level, "kind": "passages", "n": n, "n_groups": n}
    return record | {"classes": dict(Counter(passages.kinds)), "tokens": {"mean": float(tokens), "max": tokens}}


class _Reader:
    """Passages through one model, and every metric on each."""

    def __init__(self, model: LoadedModel, settings: Settings) -> None:
        self.model, self.settings = model, settings
        self.metrics = metrics_of()[0]

    def __call__(self, ids: Sequence[Sequence[int]], first: int) -> Tensors:
        """Return the values of a batch of passages, the first of which has number `first`."""
        from layeratlas.capture.passages import read_passages

        positions = len(ids[0]) - 1
        at = np.unique(np.linspace(positions // 8, positions - 1, self.settings.lens_positions).astype(int))
        captured = read_passages(self.model, ids, self.settings.maps, at.tolist())
        with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            found = list(pool.map(self._measure, captured, range(first, first + len(captured))))
        return {name: np.stack([one[name] for one in found]) for name in found[0]}

    def _measure(self, captured: Captured, number: int) -> Tensors:
        lens = None
        if captured.kl is not None and captured.entropy is not None and captured.top is not None:
            lens = Lens(captured.kl, captured.entropy, captured.top)
        passage = Passage(captured.states, captured.attention, lens, seed=number)
        values: Tensors = {}
        for metric in self.metrics:
            if metric.needs == "states" or getattr(passage, metric.needs) is not None:
                values |= metric.measure(passage)
        states = captured.states
        some = np.linspace(0, states.shape[1] - 1, _TOKENS).astype(int)
        values["cka"] = passage.similarity.astype(np.float32)
        values["means"] = states.mean(1)[None]
        values["tokens"] = states[:, some].transpose(1, 0, 2)
        return values


def _each_batch(
    work: Workspace, name: str, ids: list[list[int]], read: Callable[..., Tensors], advance: Callable[[float], None]
) -> list[str]:
    outputs = []
    for first in range(0, len(ids), _BATCH):
        file = f"{FOLDER}/{name}-{first:05d}.safetensors"
        batch = ids[first : first + _BATCH]
        if read_shard(work.folder / file, work.key) is None:
            write_shard(work.folder / file, work.key, read(batch, first))
        outputs.append(file)
        advance(len(batch))
    return outputs


def _copies(work: Workspace, model: LoadedModel, passages: int) -> list[list[int]]:
    """Return the ids of the noisy copies, passage by passage; of one length."""
    if not passages:
        return []
    settings, (texts, kinds) = work.settings, texts_of(work)
    chosen = _spread(texts, kinds, passages)
    ids = [model.encode(noisy_copy(text, number)) for text in chosen for number in range(settings.views)]
    length = min(settings.view_tokens + int(model.bos_id is not None), *map(len, ids))
    return [one[:length] for one in ids]


def _spread(values: Sequence[Any], kinds: Sequence[str], count: int) -> list[Any]:
    """Return `count` of the values, in turn from each kind."""
    places: dict[str, int] = {}
    turns = []
    for i, kind in enumerate(kinds):
        turns.append((places.setdefault(kind, 0), i))
        places[kind] += 1
    return [values[i] for _, i in sorted(turns)[:count]]


def _view_shards(
    work: Workspace, model: LoadedModel, copies: list[list[int]], views: int, advance: Callable[[float], None]
) -> list[str]:
    from layeratlas.capture.passages import read_passages

    def read(batch: list[list[int]], first: int) -> Tensors:
        means = np.stack([one.states.mean(1) for one in read_passages(model, batch)])
        return {"views": means.reshape(-1, views, *means.shape[1:])}

    outputs = []
    for first in range(0, len(copies), views * _BATCH):
        file = f"{FOLDER}/views-{first:05d}.safetensors"
        batch = copies[first : first + views * _BATCH]
        if read_shard(work.folder / file, work.key) is None:
            write_shard(work.folder / file, work.key, read(batch, first))
        outputs.append(file)
        advance(len(batch) / 8)
    return outputs


def _untrained_count(work: Workspace, model: LoadedModel, asked: int) -> int:
    """Return how many passages go through a second model: none where there is no room for it."""
    from layeratlas.models.memory import budget

    size = sum(p.numel() * p.element_size() for p in model.model.parameters())
    if asked and size > budget(None, model.device):
        work.progress.note("no room for a random-weight model beside this one; its control is left out")
        return 0
    return asked


def _untrained(
    work: Workspace, model: LoadedModel, ids: list[list[int]], advance: Callable[[float], None]
) -> list[str]:
    files = [f"{FOLDER}/untrained-{first:05d}.safetensors" for first in range(0, len(ids), _BATCH)]
    if all(read_shard(work.folder / file, work.key) is not None for file in files):
        advance(len(ids))
        return files
    from layeratlas.models.untrained import untrained

    reader = _Reader(untrained(model, work.spec.seed), work.settings)
    return _each_batch(work, "untrained", ids, reader, advance)


def values_of(work: Workspace, name: str) -> Tensors:
    """Return what was measured under a name (`trained`, `untrained`, `views`), all batches together; may be empty."""
    paths = sorted((work.folder / FOLDER).glob(f"{name}-*.safetensors"))
    parts = [load_shard(path, work.key)[0] for path in paths]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]} if parts else {}


def _missing(work: Workspace) -> list[str]:
    """Return the signals that could not be measured in every passage, by name."""
    found: Mapping[str, FloatArray] = values_of(work, "trained")
    wanted = [signal.name for metric in metrics_of()[0] for signal in metric.signals]
    return [name for name in wanted if name not in found or not np.isfinite(found[name].mean(0)).all()]
