"""Which texts may share a forward pass, tested with lines, depths and lengths at least as large as the run's.

Masks and positions alone do not show what a model does with them. Local attention may count positions in the line
(GPT-Neo), rotary factors may switch with the longest position of a batch (longrope), and sparse attention may begin
beyond a number of keys. Each effect appears only in a test as large as the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from layeratlas.capture.masks import Form, layer_types, tree_mask
from layeratlas.capture.plan import Batch, Reading, make_plan, make_riding_plan
from layeratlas.capture.reading import read_batch
from layeratlas.capture.trie import make_trie_plan
from layeratlas.core.spec import COMPONENTS
from layeratlas.models import LoadedModel
from layeratlas.models.precision import dtype_of, precision_of
from layeratlas.models.products import EXACT

_STEM, _BRANCH = (3, 100), (100, 199)  # tokens of the stem sort before those of branches
_LEAST = (12, 16)
_COMPARED = 6


@dataclass(frozen=True, kw_only=True)
class Extent:
    """The sizes of a run: nodes of its longest line, tokens of its longest and shortest text."""

    line: int
    longest: int
    shortest: int = 1

    def covers(self, other: Extent) -> bool:
        """Return whether a run of the other sizes is within these."""
        return self.line >= other.line and self.longest >= other.longest and self.shortest <= other.shortest


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The largest relative error of texts computed together against the same texts alone, with limit and mask form."""

    form: Form
    error: float
    limit: float
    extent: Extent

    @property
    def holds(self) -> bool:
        """Whether the error is within rounding."""
        return self.error <= self.limit


_proofs: WeakKeyDictionary[object, dict[tuple[str, Extent], Proof]] = WeakKeyDictionary()


def prove_trie(model: LoadedModel, extent: Extent) -> Proof:
    """Return the proof for the mask form with which a trie of this size is closest to its texts alone."""
    types = layer_types(model.model.config)
    forms: list[Form] = ["by layer type"] if types else ["one mask"]
    if len(types) == 1:
        forms.append("one mask")
    proofs: list[Proof] = []
    for form in forms:
        readings = _branching(model, extent)
        batches = make_trie_plan(readings, 1 << 30, line=1 << 20)
        proofs.append(_kept(model, form, extent, readings, batches))
        if proofs[-1].holds:
            break
    return min(proofs, key=lambda proof: proof.error)


def prove_padding(model: LoadedModel, extent: Extent) -> Proof:
    """Return the proof for batches of the run's shortest and longest text, where prefixes share a line."""
    rng = np.random.default_rng(1)
    longest = rng.integers(*_token_range(model, _STEM), size=max(extent.longest, 2))
    other = rng.integers(*_token_range(model, _STEM), size=max(extent.shortest, 2))
    texts = [longest, longest[: max(extent.shortest, 2)], longest[: max(len(longest) // 2, 2)], other]
    readings = _readings(texts)
    return _kept(model, "padding", extent, readings, make_riding_plan(readings, 1 << 30))


def _kept(
    model: LoadedModel, form: Form, extent: Extent, readings: Sequence[Reading], batches: Sequence[Batch]
) -> Proof:
    known = _proofs.setdefault(model.model, {})
    passed = _passed_with_weights(model, form, extent)
    if passed is not None:
        return passed
    if (form, extent) not in known:
        limit = precision_of(dtype_of(model.spec.dtype)).batch_limit
        with model.with_products(EXACT).sample() as sample:
            error = _difference(sample, form, readings, batches)
        known[form, extent] = Proof(form=form, error=error, limit=limit, extent=extent)
    return known[form, extent]


def _passed_with_weights(model: LoadedModel, form: Form, extent: Extent) -> Proof | None:
    """Return a proof of these sizes, or larger ones, that was passed by the model that random weights are drawn like.

    What a model does with masks and positions is a matter of its code and config, which both have in common. Trained
    weights are the stricter test of it: with random ones attention hardly distinguishes tokens.
    """
    like = model.like
    if like is None or _code_of(like) != _code_of(model):
        return None
    proofs = _proofs.get(like.model, {}).values()
    return next((p for p in proofs if p.form == form and p.holds and p.extent.covers(extent)), None)


def _code_of(model: LoadedModel) -> tuple[type, object]:
    return type(model.model), model.model.config._attn_implementation


def _token_range(model: LoadedModel, wanted: tuple[int, int]) -> tuple[int, int]:
    """Return a range of token ids: the wanted one, or the same share of a smaller vocabulary."""
    share = min(1.0, int(model.info["vocabulary"]) / (_BRANCH[1] + 1))
    first = int(wanted[0] * share)
    return first, max(first + 1, int(wanted[1] * share))


def _readings(texts: Sequence[NDArray[np.int64]]) -> list[Reading]:
    return [Reading(tuple(int(token) for token in text), (len(text) - 1,)) for text in texts]


def _branching(model: LoadedModel, extent: Extent) -> list[Reading]:
    """Return texts whose trie has more nodes than the run's longest line, and is as deep as its longest text.

    The last text in the line branches off the stem at depth 3, so that its nodes are as far from their ancestors as the
    line is long.
    """
    rng = np.random.default_rng(0)
    deepest = min(max(extent.longest, _LEAST[0]), model.context or extent.longest)
    nodes = max(extent.line + 1, _LEAST[1])
    stem = rng.integers(*_token_range(model, _STEM), size=deepest)
    texts, filled = [stem, stem[: max(2, deepest // 2)]], deepest
    at = deepest // 2
    while filled < nodes:
        tail = rng.integers(*_token_range(model, _BRANCH), size=min(deepest - at, nodes - filled + 4))
        texts.append(np.concatenate([stem[:at], tail]))
        filled += len(tail)
        at = max(3, deepest // 5 + 1, at - max(1, deepest // 8))  # a text that shares less is not packed
    last = rng.integers(*_token_range(model, _BRANCH), size=min(4, max(1, deepest - 3)))
    last[0] = min(_BRANCH[1], int(model.info["vocabulary"]) - 1)
    return _readings([*texts, np.concatenate([stem[:3], last])])


def _difference(model: LoadedModel, form: Form, readings: Sequence[Reading], batches: Sequence[Batch]) -> float:
    """Return the largest relative difference between texts together and alone, over layers and components."""
    worst = 0.0
    for batch in batches:
        try:
            together = read_batch(model, batch, COMPONENTS, tree_mask(model, batch, form))
        except Exception:  # any error of a family's forward means that it rejects the mask
            return float("inf")
        for i in _spread(len(batch.rows)):
            (single,) = make_plan([readings[batch.rows[i]]], 1)
            alone = read_batch(model, single, COMPONENTS)
            for c in COMPONENTS:
                # Errors are relative to each layer's norm: a late layer's norm must not hide an early error.
                size = np.maximum(np.linalg.norm(alone[c][0], axis=-1), 1e-12)
                worst = max(worst, float((np.linalg.norm(together[c][i] - alone[c][0], axis=-1) / size).max()))
    return worst if np.isfinite(worst) else float("inf")


def _spread(texts: int) -> Iterator[int]:
    """Yield the indices of a few texts of a line, including the first and the last."""
    yield from sorted(set(np.linspace(0, texts - 1, min(texts, _COMPARED)).round().astype(int).tolist()))
