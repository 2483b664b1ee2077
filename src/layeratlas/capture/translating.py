"""Affine translators that map a layer's stream to the last layer's basis before the readout (the tuned lens).

Belrose et al. (2023, arXiv 2303.08112) train translators by gradient descent on the divergence from the model's own
prediction. Here they are fitted in closed form, by ridge regression of the final stream on the layer's stream (Din et
al. 2023, arXiv 2303.09435). This takes one pass over the texts and has no step size, so the same texts give the same
translators. Every token has equal weight: its final stream is divided by its root mean square, as in the final norm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor

from layeratlas.capture.readout import Readout
from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.core.errors import StoreError
from layeratlas.core.files import write_atomic
from layeratlas.models import LoadedModel, observe

# Penalties, as shares of the mean second moment of a dimension; held-out texts choose the best.
_PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True, kw_only=True)
class Translator:
    """The vector weight @ h + bias that is added to a layer's stream h (d,), as in the tuned lens; float32."""

    weight: FloatArray
    bias: FloatArray


Translators = Mapping[int, Translator]


class TunedReadout(Readout):
    """A readout that first applies the translator of each layer that has one."""

    def __init__(self, model: LoadedModel, translators: Translators) -> None:
        super().__init__(model)
        self._translators = translators

    def _ready(self, hidden: FloatArray, points: Sequence[int]) -> Tensor:
        moved = hidden.astype(np.float32, copy=True)
        for at, point in enumerate(points):
            if translator := self._translators.get(point):
                moved[:, at] += hidden[:, at] @ translator.weight.T + translator.bias
        return super()._ready(moved, points)


class _Sums:
    """Sums over texts of the products of a layer's stream x (with a constant column) with itself and the target y."""

    def __init__(self, width: int) -> None:
        self.xx: Floats = np.zeros((width + 1, width + 1))
        self.xy: Floats = np.zeros((width + 1, width))
        self.yy = 0.0
        self.n = 0

    def add(self, x: FloatArray, y: FloatArray) -> None:
        full: Floats = np.concatenate([x, np.ones_like(x[:, :1])], 1).astype(np.float64)
        self.xx += full.T @ full
        self.xy += full.T @ y.astype(np.float64)
        self.yy += float((y.astype(np.float64) ** 2).sum())
        self.n += len(x)

    def solved(self, penalty: float) -> Floats:
        """Return the least-squares map (width + 1, width); the penalty shrinks it to zero, except for the bias."""
        width = len(self.xy[0])
        share = penalty * float(np.trace(self.xx[:width, :width])) / width
        ridge = np.diag([share] * width + [0.0])
        system = (self.xx + ridge + 1e-12 * np.eye(width + 1)).astype(np.float64)
        solution: Floats = np.linalg.solve(system, self.xy).astype(np.float64)
        return solution

    def error(self, solution: Floats) -> float:
        """Return the mean squared error of a map on these texts."""
        fitted = np.einsum("ij,ij->", solution, self.xx @ solution) - 2 * np.einsum("ij,ij->", solution, self.xy)
        return float(self.yy + fitted) / max(self.n, 1)


def fit_translators(
    model: LoadedModel, ids: Sequence[NDArray[np.int64]], points: Sequence[int], held_out: Sequence[int]
) -> dict[int, Translator]:
    """Return translators for the layers `points`, fitted on texts; the texts in `held_out` choose the penalty.

    Position 0 (an attention sink) is left out.
    """
    width = model.anatomy.width
    fitted, kept = ({point: _Sums(width) for point in points} for _ in range(2))
    for number, text in enumerate(ids):
        into = kept if number in held_out else fitted
        states = stream_of(model, text)
        target = _normed(states[-1])
        for point in points:
            into[point].add(states[point], target)
    return {point: _best(fitted[point], kept[point]) for point in points}


def stream_of(model: LoadedModel, text: NDArray[np.int64]) -> list[FloatArray]:
    """Return the residual stream at every layer, each (tokens - 1, d), without position 0."""
    with torch.inference_mode(), observe(model.anatomy, ["resid"], lambda h: h[0, 1:]) as seen:
        model.run(torch.from_numpy(np.asarray(text, np.int64))[None])
        return [point.float().cpu().numpy() for point in seen["resid"]]


def _normed(states: FloatArray) -> FloatArray:
    normed: FloatArray = states / np.maximum(np.sqrt((states**2).mean(-1, keepdims=True)), 1e-12)
    return normed


def _best(fitted: _Sums, kept: _Sums) -> Translator:
    solutions = [fitted.solved(penalty) for penalty in _PENALTIES]
    best = min(solutions, key=kept.error)
    width = best.shape[1]
    weight = best[:width].T - np.eye(width)  # what is added to the stream
    return Translator(weight=weight.astype(np.float32), bias=best[width].astype(np.float32))


def divergence(readout: Readout, model: LoadedModel, states: Sequence[FloatArray], points: Sequence[int]) -> Floats:
    """Return the mean KL(model || exit) in nats at the layers `points`, (points,), from a text's stream."""
    with torch.inference_mode():
        final = model.anatomy.logits(torch.from_numpy(states[-1]).to(model.device)).float().log_softmax(-1)
        out = []
        for point in points:
            exit_logits = readout.all_logits(states[point], point).log_softmax(-1)
            out.append(float((final.exp() * (final - exit_logits)).sum(-1).mean()))
    return np.array(out)


def save_translators(path: Path, translators: Translators) -> None:
    """Write translators as `POINT.weight` (d, d) and `POINT.bias` (d,), the names of the tuned lens."""
    tensors = {f"{point}.weight": t.weight for point, t in translators.items()}
    tensors |= {f"{point}.bias": t.bias for point, t in translators.items()}
    write_atomic(path, save({name: np.ascontiguousarray(value) for name, value in tensors.items()}))


def load_translators(path: str | Path, width: int, points: int) -> dict[int, Translator]:
    """Return the translators in a safetensors file, for layers below `points`.

    Raises StoreError for another kind of file, and for shapes that do not fit a stream of that width.
    """
    try:
        tensors = load_file(str(path))
        numbers = sorted(int(name.removesuffix(".weight")) for name in tensors if name.endswith(".weight"))
        found = {i: Translator(weight=tensors[f"{i}.weight"], bias=tensors[f"{i}.bias"]) for i in numbers if i < points}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise StoreError(
            f"'{path}' holds no translators",
            "a .safetensors file with the tensors 0.weight, 0.bias, 1.weight ... of a tuned lens",
            "convert it (pickled files are not read)",
        ) from error
    for point, translator in found.items():
        if translator.weight.shape != (width, width) or translator.bias.shape != (width,):
            raise StoreError(
                f"translator {point} of '{path}' has the shape {translator.weight.shape}",
                f"({width}, {width}), the model's width",
                "use translators of this model",
            )
    if not found:
        raise StoreError(f"'{path}' holds no translators", "POINT.weight and POINT.bias for points of this model")
    return {
        point: Translator(weight=t.weight.astype(np.float32), bias=t.bias.astype(np.float32))
        for point, t in found.items()
    }
