"""Runs passages through one model and computes every metric on each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from layeratlas.core.arrays import FloatArray
from layeratlas.metrics import LensReadout, Passage
from layeratlas.store.shards import Tensors
from layeratlas.studies.segments.settings import SegmentSettings
from layeratlas.studies.segments.signals import passage_metrics

if TYPE_CHECKING:
    from layeratlas.capture.passages import Captured
    from layeratlas.models import LoadedModel

# The number of tokens of each passage that are kept for whole-set metrics.
_TOKENS_KEPT = 5


class PassageReader:
    """Runs batches of passages through one model and computes every metric on each passage."""

    def __init__(self, model: LoadedModel, settings: SegmentSettings) -> None:
        self.model, self.settings = model, settings
        self.metrics = passage_metrics()

    def __call__(self, ids: Sequence[Sequence[int]], first: int) -> Tensors:
        """Return the values of a batch of passages; `first` is the number of its first passage."""
        from layeratlas.capture.passages import read_passages

        positions = len(ids[0]) - 1
        at = np.unique(np.linspace(positions // 8, positions - 1, self.settings.lens_positions).astype(int))
        captured = read_passages(self.model, ids, self.settings.maps, at.tolist())
        with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            measured = list(pool.map(self._measure, captured, range(first, first + len(captured))))
        return {name: np.stack([values[name] for values in measured]) for name in measured[0]}

    def _measure(self, captured: Captured, number: int) -> Tensors:
        passage = Passage(states=captured.states, attention=captured.attention, lens=_lens(captured), seed=number)
        values: Tensors = {}
        for metric in self.metrics:
            if metric.needs == "states" or getattr(passage, metric.needs) is not None:
                values |= metric.measure(passage)
        values["cka"] = passage.similarity.astype(np.float32)
        return values | kept_states(captured.states)


def kept_states(states: FloatArray) -> Tensors:
    """Reduce a passage's states (L+1, T, d) to what is kept: the mean (1, L+1, d) and a few tokens (n, L+1, d)."""
    kept = np.linspace(0, states.shape[1] - 1, _TOKENS_KEPT).astype(int)
    return {"means": states.mean(1)[None], "tokens": states[:, kept].transpose(1, 0, 2)}


def _lens(captured: Captured) -> LensReadout | None:
    if captured.kl is None or captured.entropy is None or captured.top is None:
        return None
    return LensReadout(kl=captured.kl, entropy=captured.entropy, top=captured.top)


class CopyReader:
    """Runs batches of noisy copies through a model and keeps the mean state of each."""

    def __init__(self, model: LoadedModel, views: int) -> None:
        self.model, self.views = model, views

    def __call__(self, ids: Sequence[Sequence[int]], first: int) -> Tensors:
        """Return the mean states of copies, (passages, views, L+1, d)."""
        from layeratlas.capture.passages import read_passages

        means = np.stack([captured.states.mean(1) for captured in read_passages(self.model, ids)])
        return {"views": means.reshape(-1, self.views, *means.shape[1:])}
