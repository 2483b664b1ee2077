"""A sample of a run's own texts, each run through the model alone and compared with what the run kept.

The proofs of packing are made on random tokens before a run; this is made on its own texts after it, whatever lay
between: packing, padding, shared prefixes, streaming, storing.
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
# A vector smaller than this part of the largest of its layer is compared on the scale of that part.
_SMALLEST = 1e-2
# Rounding grows with a log-likelihood: below this one (in nats) the difference is counted per so many nats.
_DEEP = 100.0


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The largest difference between what was kept and the same texts alone, how large it may be, and where it is."""

    size: float
    limit: float
    unit: str
    where: str


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """How far a sample of a run's texts, each run alone, is from what the run kept of them.

    `texts` of `total` were compared, of `shortest` to `longest` tokens. `difference` is the largest one, in `unit`, and
    `where` it is.
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
        """Return the record of a difference on a `sample` of texts, given the tokens of all of them."""
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
        """Whether the difference is rounding; one that is not a number is not."""
        return self.difference <= self.limit

    def record(self) -> dict[str, Any]:
        """Return what `run.json` keeps."""
        return asdict(self) | {"passed": self.passed}

    def demand(self) -> None:
        """Raise CaptureError where the difference is more than rounding."""
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
    """Return `values[component]`, float32 (texts, points, d), of texts that are run one at a time."""
    store = MemoryStore(store_shape(model, len(readings), spec))
    capture(model, make_plan(readings, 1), store)
    return {c: np.stack([store.read(c, layer) for layer in range(n)], 1) for c, n in store.shape.points.items()}


def likelihoods_alone(model: LoadedModel, readout: Readout, continuations: Sequence[Continuation]) -> Floats:
    """Return log-likelihoods at every exit, (continuations, exits) in nats; each is run in a pass of its own."""
    rows = []
    for continuation in continuations if model.streamer is None else ():
        rows.append(_likelihoods(model, readout, [continuation]))
    # A streamed model reads every weight for each call, so that its texts go through it in one call, one at a time.
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
) -> Difference:
    """Compare vectors, float32 (texts, points, d) by component, each relative to its own size.

    `texts` are their numbers in the run; `dtype` is what the kept ones were stored in.
    """
    apart = {}
    for component, values in alone.items():
        size = np.linalg.norm(values, axis=-1)
        size = np.maximum(size, _SMALLEST * size.max(0, keepdims=True)).clip(1e-30)
        apart[component] = np.linalg.norm(kept[component] - values, axis=-1) / size
    rounding = 0.0 if dtype == "float32" else float(torch.finfo(dtype_of(dtype)).eps)
    limit = precision_of(dtype_of(model.spec.dtype)).batch_limit + rounding
    return _largest(apart, texts, limit, RELATIVE)


def compare_likelihoods(
    model: LoadedModel, kept: Floats, alone: Floats, continuations: Sequence[Continuation], texts: Sequence[int]
) -> Difference:
    """Compare log-likelihoods at every exit, (continuations, exits), per token; `texts` are their numbers."""
    tokens = np.array([len(continuation.ids) - continuation.start for continuation in continuations], dtype=np.float64)
    apart = np.abs(kept - alone) / np.maximum(tokens[:, None], np.abs(alone) / _DEEP)
    limit = precision_of(dtype_of(model.spec.dtype)).nats_limit
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
