"""The installed metrics, the signals in which boundaries are searched, and the scaling that makes them comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layeratlas.core import registry
from layeratlas.core.arrays import Floats
from layeratlas.core.errors import DataError
from layeratlas.metrics import Metric, SetMetric, Signal
from layeratlas.store.shards import Tensors

# Robust z-scores are clipped at this value, so that no single layer determines the boundaries.
CLIP = 3.0
# The standard deviation of a normal distribution divided by its median absolute deviation.
_MAD_TO_SD = 1.4826


def passage_metrics() -> list[Metric]:
    """Return the installed metrics of single passages, by name."""
    return [metric for metric in _installed() if isinstance(metric, Metric)]


def set_metrics() -> list[SetMetric]:
    """Return the installed metrics of a set of passages, by name."""
    return [metric for metric in _installed() if isinstance(metric, SetMetric)]


def _installed() -> list[Metric | SetMetric]:
    return [registry.get("metrics", name) for name in registry.names("metrics")]


def passage_signals() -> dict[str, Signal]:
    """Return every signal of single passages, by name."""
    return {signal.name: signal for metric in passage_metrics() for signal in metric.signals}


def all_signals() -> dict[str, Signal]:
    """Return every signal of passages and of sets of passages, by name."""
    return passage_signals() | {signal.name: signal for metric in set_metrics() for signal in metric.signals}


@dataclass(frozen=True, kw_only=True)
class BlockSignals:
    """The signals in which boundaries are searched: values (P, S, L) by passage and block, names and groups (S)."""

    values: Floats
    names: list[str]
    groups: list[str]


def block_signals(measured: Tensors) -> BlockSignals:
    """Return the fused signals that were measured in every passage, by block; points are assigned to the block before.

    Raises DataError if there are none.
    """
    chosen = [
        signal
        for signal in passage_signals().values()
        if signal.fused and signal.name in measured and np.isfinite(measured[signal.name]).all()
    ]
    if not chosen:
        raise DataError("no signal could be measured in every passage", "at least one", "check the texts")
    return BlockSignals(
        values=np.stack([_on_blocks(signal, measured) for signal in chosen], 1),
        names=[signal.name for signal in chosen],
        groups=[signal.group for signal in chosen],
    )


def _on_blocks(signal: Signal, measured: Mapping[str, Floats]) -> Floats:
    values = np.log1p(measured[signal.name]) if signal.log else measured[signal.name]
    return values[:, 1:] if signal.axis == "point" else values


def robust_z(signals: Floats, clip: float = CLIP) -> Floats:
    """Return (..., L) centred on the median and divided by 1.4826 MAD, clipped to +-`clip`.

    If more than half of the values are equal (MAD = 0), the standard deviation is used; a constant signal gives 0.
    """
    centred = signals - np.median(signals, -1, keepdims=True)
    scale = _MAD_TO_SD * np.median(np.abs(centred), -1, keepdims=True)
    size = np.abs(signals).max(-1, keepdims=True)
    scale = np.where(scale > 1e-12 * size, scale, signals.std(-1, keepdims=True))
    known = scale > 1e-12 * size
    z: Floats = np.clip(np.divide(centred, scale, out=np.zeros_like(centred), where=known), -clip, clip)
    return z


def fuse(signals: Floats, groups: Sequence[str], clip: float = CLIP) -> Floats:
    """Return the mean robust z-score of each group, (..., G, L) from (..., S, L), so that groups have equal weights."""
    z = robust_z(signals, clip)
    names = list(dict.fromkeys(groups))
    means: Floats = np.stack([z[..., [group == name for group in groups], :].mean(-2) for name in names], -2)
    return means
