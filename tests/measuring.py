"""Everything that Layer Atlas reads off a model, as arrays by name, to compare two ways of computing it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from layeratlas.capture import (
    Reading,
    Readout,
    capture,
    choose_plan,
    encode_choices,
    make_plan,
    make_slots,
    store_shape,
)
from layeratlas.capture.effects import cut_passages, judge_edits, stream_sizes
from layeratlas.capture.exit_store import ExitStore, exit_shape
from layeratlas.capture.passages import read_passages
from layeratlas.capture.typical import typical
from layeratlas.core.edits import Edit
from layeratlas.core.spec import CaptureSpec
from layeratlas.models import LoadedModel, mean_vectors
from layeratlas.models.decoding import greedy
from layeratlas.store import MemoryStore

Arrays = dict[str, NDArray[np.float64]]
_TEXTS = np.random.default_rng(0).integers(3, 200, (4, 14))


def _readings(position: Callable[[int], tuple[int, ...]]) -> list[Reading]:
    texts = [*(row[:n] for row in _TEXTS for n in (5, 9)), *(np.r_[_TEXTS[0, :6], row[:3]] for row in _TEXTS)]
    return [Reading(tuple(int(i) for i in ids), position(len(ids))) for ids in texts]


def _vectors(model: LoadedModel, readings: list[Reading], packed: bool) -> Arrays:
    spec = CaptureSpec()
    store = MemoryStore(store_shape(model, len(readings), spec))
    chosen = choose_plan(model, readings, spec)
    batches, form = (chosen.batches, chosen.form) if packed else (make_plan(readings, 64), "padding")
    capture(model, batches, store, form=form)
    points = store.shape.points.items()
    return {c: np.stack([store.read(c, i) for i in range(p)], 1).astype(np.float64) for c, p in points}


def packed(model: LoadedModel) -> Arrays:
    """Texts that share prefixes, read at their last token."""
    return _vectors(model, _readings(lambda n: (n - 1,)), packed=True)


def padded(model: LoadedModel) -> Arrays:
    """Texts in padded batches."""
    return _vectors(model, _readings(lambda n: (n - 1,)), packed=False)


def means(model: LoadedModel) -> Arrays:
    """The mean over all positions but the first."""
    return _vectors(model, _readings(lambda n: tuple(range(1, n))), packed=True)


def spans(model: LoadedModel) -> Arrays:
    """The mean over a stretch of positions."""
    return _vectors(model, _readings(lambda n: (2, 3)), packed=False)


def exits(model: LoadedModel) -> Arrays:
    """Log-likelihoods of choices, and the likeliest token, at every exit."""
    slots = make_slots(
        [c for start in ("one", "two") for c in encode_choices(model, f"Q: {start}\nA:", [" 2", " two"])]
    )
    readout = Readout(model)
    store = ExitStore(MemoryStore(exit_shape(readout, slots)), readout, slots)
    chosen = choose_plan(model, slots.readings, CaptureSpec(components=("resid",)))
    capture(model, chosen.batches, store, form=chosen.form)
    hidden = _vectors(model, _readings(lambda n: (n - 1,)), packed=False)["resid"].astype(np.float32)
    return {
        "log": np.asarray(store.log_likelihoods()),
        "best": readout.best(hidden, range(readout.points)).astype(float),
    }


def passages(model: LoadedModel) -> Arrays:
    """States, attention maps and the logit lens of whole passages."""
    read = read_passages(model, _TEXTS.tolist(), maps=True, lens_at=(3, 9))
    names = [name for name in ("states", "attention", "kl", "entropy", "top") if getattr(read[0], name) is not None]
    arrays = {name: np.stack([getattr(one, name) for one in read]).astype(np.float64) for name in names}
    return {**arrays, "kl": 1 + arrays["kl"]}  # a divergence near 0 is compared in nats


def interventions(model: LoadedModel) -> Arrays:
    """What edits of every kind do to predictions, and the sizes and means that they are scaled by."""
    tokens = cut_passages(list(_TEXTS), 14, 4)
    layers = tuple(layer for layer in range(model.anatomy.n_layers) if layer not in model.anatomy.without("resid"))
    means = mean_vectors(model, list(_TEXTS), "resid", layers)
    usual = typical(model, _TEXTS.tolist(), "resid")
    trials = [
        [Edit("noise", layers, strength=0.5)],
        [Edit("scale", layers[:1], strength=1.5)],
        [Edit("mean", layers, vectors=means)],
        [Edit("translate", layers[:1], strength=0.5, vectors=usual.means[:1])],
        [Edit("skip", layers[1:2])],
    ]

    def judge(clean: NDArray[np.float32], targets: NDArray[np.int64]) -> Callable[..., NDArray[np.float64]]:
        return lambda trial, edited: (edited - clean).astype(np.float64).ravel()

    judged = judge_edits(model, tokens, trials, judge)
    effects = {f"trial {trial} text {text}": numbers for trial, text, numbers in judged}
    return {**effects, "sizes": stream_sizes(model, tokens), "means": means, "typical": usual.means, "rms": usual.sizes}


def decoded(model: LoadedModel) -> Arrays:
    """The tokens that the model continues with."""
    return {"tokens": np.array([[*ids, *[-1] * (6 - len(ids))] for ids in greedy(model, _TEXTS.tolist(), 6)], float)}


EVERYTHING: dict[str, Callable[[LoadedModel], Arrays]] = {
    function.__name__: function for function in (packed, padded, means, spans, exits, passages, interventions, decoded)
}
# What reads texts as they are: it needs no edit, and no pass of a part of the blocks.
READ = ("packed", "padded", "means", "spans", "exits")


def apart(found: Arrays, expected: Arrays) -> float:
    """Return the largest difference relative to an array's size; infinite where the arrays are not the same ones."""
    if found.keys() != expected.keys():
        return float("inf")
    errors = [
        np.linalg.norm(found[name] - expected[name]) / max(np.linalg.norm(expected[name]), 1e-30) for name in expected
    ]
    return float(np.nan_to_num(max(errors), nan=np.inf))
