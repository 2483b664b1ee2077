"""Run a sample of a run's texts through the model one by one, and compare with the stored results.

The proofs of packing use random tokens before a run. This check uses the run's own texts after it, and covers every
step: packing, padding, shared prefixes, streaming and storing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from layeratlas.capture.choices import Continuation, make_slots
from layeratlas.capture.exit_store import ExitStore, exit_shape
from layeratlas.capture.plan import Reading, make_even_plan, make_plan
from layeratlas.capture.readout import Readout
from layeratlas.capture.run import capture, store_shape
from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.core.errors import CaptureError
from layeratlas.core.spec import CaptureSpec
from layeratlas.models import LoadedModel
from layeratlas.models.precision import dtype_of, precision_of
from layeratlas.store import MemoryStore

SAMPLE = 8
RELATIVE, NATS = "relative to the size of the vector", "nats per token"
# Vector norms below this fraction of the layer's largest norm are raised to it when errors are divided by them.
_SMALLEST = 1e-2
# Rounding grows with a log-likelihood: above this many nats per token, errors are divided by nats / _DEEP instead.
_DEEP = 100.0


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The largest difference between stored results and the same texts run alone, its limit, and its location."""

    size: float
    limit: float
    unit: str
    where: str


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """The comparison of a run's stored results with a sample of its texts, each run alone.

    `texts` of `total` were compared; their lengths are `shortest` to `longest` tokens. `difference` is the largest one,
    in `unit`, found at `where`.
    """

    texts: int
    total: int
    shortest: int
    longest: int
    difference: float
    limit: float
    unit: str
    where: str

    @classmethod
    def of(cls, difference: Difference, lengths: Sequence[int], sample: Sequence[int]) -> Recomputed:
        """Return the record of a difference on a `sample` of texts; `lengths` are the token counts of all texts."""
        chosen = [lengths[text] for text in sample]
        return cls(
            texts=len(sample),
            total=len(lengths),
            shortest=min(chosen),
            longest=max(chosen),
            difference=difference.size,
            limit=difference.limit,
            unit=difference.unit,
            where=difference.where,
        )

    @property
    def passed(self) -> bool:
        """Whether the difference is within rounding; NaN is not."""
        return self.difference <= self.limit

    def record(self) -> dict[str, Any]:
        """Return what `run.json` keeps."""
        return asdict(self) | {"passed": self.passed}

    def demand(self) -> None:
        """Raise CaptureError if the difference is more than rounding."""
        if not self.passed:
            raise CaptureError(
                f"what this run kept differs from the same texts run alone by {self.difference:.1e} ({self.unit}; "
                f"{self.where}), so that nothing is analysed",
                f"at most {self.limit:.0e}",
                "use --dtype float32 and another --out; if it is float32 already, please report the model",
            )


def sample_texts(lengths: Sequence[int], seed: int, most: int = SAMPLE) -> list[int]:
    """Return the numbers of at most `most` texts: a longest one, a shortest one, and others drawn from the seed."""
    ends = [int(np.argmax(lengths)), int(np.argmin(lengths))]
    order = np.random.default_rng([seed, 53]).permutation(len(lengths)).tolist()
    return sorted(list(dict.fromkeys([*ends, *order]))[:most])


def vectors_alone(model: LoadedModel, readings: Sequence[Reading], spec: CaptureSpec) -> dict[str, FloatArray]:
    """Return `values[component]`, float32 (texts, points, d), of texts, run one at a time."""
    store = MemoryStore(store_shape(model, len(readings), spec))
    capture(model, make_plan(readings, 1), store)
    return {c: np.stack([store.read(c, layer) for layer in range(n)], 1) for c, n in store.shape.points.items()}


def likelihoods_alone(model: LoadedModel, readout: Readout, continuations: Sequence[Continuation]) -> Floats:
    """Return log-likelihoods at every exit, (continuations, exits) in nats; each continuation has a separate pass."""
    rows = []
    for continuation in continuations if model.streamer is None else ():
        rows.append(_likelihoods(model, readout, [continuation]))
    # A streamed model reads every weight per call of `capture`, so one call runs all texts, in batches of one.
    return np.concatenate(rows) if rows else _likelihoods(model, readout, continuations)


def _likelihoods(model: LoadedModel, readout: Readout, continuations: Sequence[Continuation]) -> Floats:
    slots = make_slots(continuations, whole=True)
    store = ExitStore(MemoryStore(exit_shape(readout, slots)), readout, slots)
    capture(model, make_even_plan(slots.readings, 1), store)
    return store.log_likelihoods()


def compare_vectors(
    model: LoadedModel,
    kept: Mapping[str, FloatArray],
    alone: Mapping[str, FloatArray],
    texts: Sequence[int],
    dtype: str = "float32",
    allowed: float = 0.0,
) -> Difference:
    """Compare vectors, float32 (texts, points, d) by component, each error relative to the vector's norm.

    `texts` are their indices in the run; `dtype` is the dtype of the stored vectors. `allowed` is added to the limit.
    """
    apart = {}
    for component, values in alone.items():
        size = np.linalg.norm(values, axis=-1)
        size = np.maximum(size, _SMALLEST * size.max(0, keepdims=True)).clip(1e-30)
        apart[component] = np.linalg.norm(kept[component] - values, axis=-1) / size
    rounding = 0.0 if dtype == "float32" else float(torch.finfo(dtype_of(dtype)).eps)
    limit = precision_of(dtype_of(model.spec.dtype)).batch_limit + rounding + allowed
    return _largest(apart, texts, limit, RELATIVE)


def compare_likelihoods(
    model: LoadedModel,
    kept: Floats,
    alone: Floats,
    continuations: Sequence[Continuation],
    texts: Sequence[int],
    allowed: float = 0.0,
) -> Difference:
    """Compare log-likelihoods (continuations, exits) per token; `texts` are their indices in the run.

    `allowed`, in nats, is added to the limit.
    """
    tokens = np.array([len(continuation.ids) - continuation.start for continuation in continuations], dtype=np.float64)
    apart = np.abs(kept - alone) / np.maximum(tokens[:, None], np.abs(alone) / _DEEP)
    limit = precision_of(dtype_of(model.spec.dtype)).nats_limit + allowed
    return _largest({"exit": apart}, texts, limit, NATS)


def _largest(apart: Mapping[str, Floats], texts: Sequence[int], limit: float, unit: str) -> Difference:
    worst = Difference(size=0.0, limit=limit, unit=unit, where="no difference")
    for name, sizes in apart.items():
        values = np.where(np.isfinite(sizes), sizes, np.inf)
        text, layer = map(int, np.unravel_index(int(values.argmax()), values.shape))
        if values[text, layer] > worst.size:
            where = f"text {texts[int(text)] + 1}, {name} at layer {layer}"
            worst = replace(worst, size=float(values[text, layer]), where=where)
    return worst
