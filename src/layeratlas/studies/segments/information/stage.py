"""The stage that runs passages through the model and decodes nearby tokens from the stream at every point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from layeratlas.core.arrays import FloatArray, Floats, Ints
from layeratlas.core.processes import parallel
from layeratlas.runs.random_weights import random_weight_model
from layeratlas.runs.workspace import Workspace
from layeratlas.store.shards import Tensors, load_shard, read_shard, write_shard
from layeratlas.studies.segments.information.decoding import log_likelihoods
from layeratlas.studies.segments.passages import encode_passages, in_turn, kinds_of

if TYPE_CHECKING:
    from layeratlas.models import LoadedModel

FOLDER = "information"
# Distances, in tokens, from a position back to the tokens decoded there.
DISTANCES = (0, 1, 2, 4, 8, 16)
NEXT, PREDICTION = "next token", "prediction"
TARGETS = (*(f"token {distance} before" for distance in DISTANCES), NEXT, PREDICTION)
# The most common tokens of the passages are one class each; all other tokens share one more.
CLASSES = 16
_PASSAGES, _POSITIONS, _BATCH = 48, 64, 4
# Minimums: enough passages to fit a decoder, and enough tokens to reach the farthest target.
_FEWEST_PASSAGES, _FEWEST_TOKENS = 8, 40
# Wider streams are projected to this many random directions; the projection can only lose information.
_WIDEST = 1024
MODELS = TRAINED, RANDOM = ("trained", "random")


@dataclass(frozen=True, kw_only=True)
class Informed:
    """The decoding results of one model.

    `likelihood`, `control`: (P, 2, J, n), log q of each position's true class by its two decoders, and of the class at
    the same position of another passage; `codes`, `other`: (J, n), these classes; `passages`: (n,).
    """

    likelihood: FloatArray
    control: FloatArray
    codes: Ints
    other: Ints
    passages: Ints


def inform_stage(work: Workspace) -> list[str]:
    """Decode at every point of the model and of the same architecture with random weights, if the run asks for it."""
    if not work.settings.information:
        return []
    ids = in_turn(encode_passages(work, work.model), kinds_of(work), _PASSAGES)
    if len(ids) < _FEWEST_PASSAGES or len(ids[0]) < _FEWEST_TOKENS:
        what = f"{len(ids)} passages of {len(ids[0])} tokens"
        work.progress.note(f"no tokens are decoded from {what}, of {_FEWEST_PASSAGES} of {_FEWEST_TOKENS} or more")
        return []
    outputs = []
    with work.progress.stage("inform", 2.0) as step:
        for name in MODELS:
            file = f"{FOLDER}/{name}.safetensors"
            if read_shard(work.folder / file, work.key) is None:
                model = work.model if name == TRAINED else random_weight_model(work)
                if model is None:
                    step.advance()
                    continue
                write_shard(work.folder / file, work.key, _informed(model, ids, work.spec.seed))
            outputs.append(file)
            step.advance()
    return outputs


def read_informed(work: Workspace, name: str) -> Informed | None:
    """Return the decoding results of a model (TRAINED, RANDOM); None if nothing was decoded."""
    file = f"{FOLDER}/{name}.safetensors"
    if file not in work.manifest["stages"].get("inform", {}).get("outputs", []):
        return None
    return Informed(**load_shard(work.folder / file, work.key)[0])


def _informed(model: LoadedModel, ids: Sequence[Sequence[int]], seed: int) -> Tensors:
    states, targets, passages = _read(model, ids, seed)
    codes = coded(targets, np.asarray(ids))
    # The control is the token at the same position of the next passage: equally frequent, but unrelated.
    places = len(passages) // len(ids)
    other = np.roll(codes, places, axis=1)
    both = np.concatenate([codes, other])
    jobs = ((states[:, point].astype(np.float64), both, passages, CLASSES) for point in range(states.shape[1]))
    with threadpool_limits(1):
        found = np.stack(list(parallel(log_likelihoods, jobs, processes=False))).astype(np.float32)
    middle = len(TARGETS)
    return {
        "likelihood": found[:, :, :middle],
        "control": found[:, :, middle:],
        "codes": codes,
        "other": other,
        "passages": passages,
    }


def _read(model: LoadedModel, ids: Sequence[Sequence[int]], seed: int) -> tuple[FloatArray, Ints, Ints]:
    """Return states (n, P, d) at some positions of each passage, all targets' token ids (J, n), and passage numbers."""
    from layeratlas.capture.passages import read_passages

    length = len(ids[0])
    at = np.unique(np.linspace(DISTANCES[-1] + 1, length - 2, _POSITIONS).astype(int))
    states, targets = [], []
    for first in range(0, len(ids), _BATCH):
        batch = ids[first : first + _BATCH]
        for own, captured in zip(batch, read_passages(model, batch), strict=True):
            tokens, here = np.asarray(own), captured.states[:, at - 1]  # the states begin with the second token
            before = [tokens[at - distance] for distance in DISTANCES]
            targets.append(np.stack([*before, tokens[at + 1], _predicted(model, here[-1])]))
            states.append(_narrowed(here, seed).transpose(1, 0, 2))
    passages = np.repeat(np.arange(len(ids)), len(at))
    return np.concatenate(states), np.concatenate(targets, 1), passages


def _predicted(model: LoadedModel, last: FloatArray) -> Ints:
    """Return the model's most likely next token (n,), from its last states (n, d)."""
    import torch

    with torch.inference_mode():
        dtype = next(model.model.parameters()).dtype
        logits = model.anatomy.logits(torch.from_numpy(last).to(model.device, dtype))
    top: Ints = logits.argmax(-1).cpu().numpy()
    return top


def _narrowed(states: FloatArray, seed: int) -> FloatArray:
    """Return states (P, n, d) projected to at most 1,024 dimensions."""
    width = states.shape[-1]
    if width <= _WIDEST:
        return states
    directions = np.random.default_rng([seed, 61]).standard_normal((width, _WIDEST), dtype=np.float32)
    narrow: FloatArray = states @ (directions / np.sqrt(_WIDEST))
    return narrow


def coded(targets: Ints, ids: Ints) -> Ints:
    """Return token ids (J, n) as classes: one for each of the most common tokens in `ids`, and one for all others."""
    tokens, counts = np.unique(ids, return_counts=True)
    common = tokens[np.argsort(-counts, kind="stable")][: CLASSES - 1]
    codes = np.full(targets.shape, CLASSES - 1)
    for code, token in enumerate(common):
        codes[targets == token] = code
    return codes


def informations(informed: Informed, weights: Floats) -> tuple[Floats, Floats]:
    """Return the bounds and the control's bounds, each (B, P, J) in nats, under passage weights (B, N).

    A bound is the mean of those of both decoders.
    """
    from layeratlas.stats.information import information_bound

    own = _by_passage(informed, weights.shape[1])
    bounds = []
    for values, codes in ((informed.likelihood, informed.codes), (informed.control, informed.other)):
        sums = values.mean(1) @ own
        each = [
            information_bound(sums[:, j], own.T @ (codes[j][:, None] == np.arange(CLASSES)), weights)
            for j in range(len(TARGETS))
        ]
        bounds.append(np.stack(each, -1))
    return bounds[0], bounds[1]


def decoder_differences(informed: Informed) -> Floats:
    """Return each passage's part of the bounds by the first decoders less that by the second, (N, P, J) in nats."""
    difference = informed.likelihood[:, 0] - informed.likelihood[:, 1]
    own = _by_passage(informed, int(informed.passages.max()) + 1)
    sums: Floats = np.moveaxis(difference @ own, -1, 0) / len(informed.passages)
    return sums


def _by_passage(informed: Informed, passages: int) -> Floats:
    """Return which position is in which passage, (n, N) of 0 and 1."""
    marks: Floats = (informed.passages[:, None] == np.arange(passages)).astype(float)
    return marks
