"""The cost of a sweep's open runs, from configs, tokenizers and texts alone, and why runs would be refused."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from layeratlas.core import registry
from layeratlas.core.errors import AtlasError, CaptureError, DataError
from layeratlas.core.spec import ModelSpec, hash_of
from layeratlas.models.devices import find_device, matrix_rate
from layeratlas.models.precision import dtype_of
from layeratlas.models.rotary import context_of
from layeratlas.models.tokenizing import EncodeAll
from layeratlas.models.unloaded import read_config
from layeratlas.planning.check import text_encoder
from layeratlas.planning.needs import Needs, computed_tokens, needs_of
from layeratlas.runs.fitting import Reader
from layeratlas.runs.pipeline import Prepared, prepare
from layeratlas.sweeps.running import Sweep
from layeratlas.sweeps.state import SETTLED, Standing
from layeratlas.sweeps.units import Unit

_NOTE = (
    "tokens and hours are those of one forward pass over every text at this machine's rate, where beginnings that\n"
    "texts share are computed once; what runs take from others counts with the first. Controls, probes and analysis\n"
    "come on top. weights: bytes of the weights alone"
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a run: tokens, seconds at this machine's matrix rate, bytes of weights and of activations."""

    tokens: int = 0
    seconds: float = 0.0
    weights: int = 0
    disk: int = 0

    def __add__(self, other: Cost) -> Cost:
        """Return the cost of both runs, one after the other."""
        return Cost(
            tokens=self.tokens + other.tokens,
            seconds=self.seconds + other.seconds,
            weights=max(self.weights, other.weights),
            disk=self.disk + other.disk,
        )


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a sweep would do: for each unit its state and cost, `refused` with the reason if it could not be run."""

    lines: list[str]
    refused: dict[str, str]

    @property
    def text(self) -> str:
        """A table of one line per run."""
        return "\n".join(self.lines)


def dry_run(sweep: Sweep) -> DryRun:
    """Return the cost of each open run. Reads configs, tokenizers and texts, no weights."""
    states, costs, refused, total = sweep.states, _Costs(sweep.place.shared), dict[str, str](), Cost()
    lines = [f"{'state':<9}{'tokens':>12}{'hours':>8}{'weights':>10}{'disk':>10}  run"]
    for unit in sweep.units:
        standing = states[unit.name].standing
        if standing in SETTLED:
            if standing is Standing.DONE:  # others may take its vectors
                with contextlib.suppress(AtlasError):
                    costs.of(unit)
            lines.append(f"{standing:<9}{'':>40}  {unit.name}")
            continue
        try:
            cost, note = costs.of(unit)
        except AtlasError as error:
            refused[unit.name] = str(error)
            lines.append(f"{'refused':<9}{'':>40}  {unit.name} ({error})")
            continue
        total += cost
        lines.append(f"{standing:<9}{_numbers(cost)}  {unit.name}{note}")
    return DryRun(lines=[*lines, f"{'in all':<9}{_numbers(total)}", _NOTE], refused=refused)


def _numbers(cost: Cost) -> str:
    return f"{cost.tokens:>12,}{cost.seconds / 3600:>8.2f}{cost.weights / 1e9:>7.1f} GB{cost.disk / 1e9:>7.1f} GB"


class _Known(NamedTuple):
    """What is known of a model without its weights: `rate` is of its device, in operations per second."""

    config: Any
    encode: EncodeAll
    needs: Needs
    rate: float


class _Costs:
    """Computes costs of runs; each model's config is read once.

    If the runs are `shared`, a set of texts that an earlier run captures in the same way costs nothing.
    """

    def __init__(self, shared: bool) -> None:
        self._shared, self._captured = shared, set[str]()
        self._known: dict[str, _Known | AtlasError] = {}

    def of(self, unit: Unit) -> tuple[Cost, str]:
        """Return the cost of a unit, and which of its texts exceed the context; raises AtlasError if it is refused."""
        study = registry.get("studies", unit.spec.study)
        ready = prepare(study, unit.spec)
        spec, model = ready.spec, self._model(ready.spec.model)
        left_out = _left_out(ready, model)
        note = f" (left out, since they do not fit the model: {', '.join(left_out)})" if left_out else ""
        sets = self._new_sets(ready, [data for data in ready.material if data.name not in left_out])
        tokens = sum(computed_tokens(model.config, model.encode(texts), spec.capture) for texts in sets)
        needs, item = model.needs, dtype_of(spec.model.dtype).itemsize
        vector = needs.width * (3 * needs.n_layers + 1) * 4 if study.keeps_vectors else 0
        return Cost(
            tokens=tokens,
            seconds=2 * sum(needs.blocks) / item * tokens / model.rate,
            weights=needs.whole,
            disk=vector * sum(map(len, sets)),
        ), note

    def _new_sets(self, ready: Prepared, material: Sequence[Any]) -> list[list[str]]:
        """Return the texts that a run computes, by the sets that share no batch; each text once."""
        study, spec = ready.study, ready.spec
        if not study.keeps_vectors:
            return [texts] if (texts := study.texts_of(material, ready.settings)) else []
        sets, known = list[list[str]](), set[str]()
        for data in material:
            texts = [text for text in study.texts_of([data], ready.settings) if text not in known]
            known.update(texts)
            name = hash_of([spec.model.content_hash(), spec.capture.content_hash(), texts])
            if texts and not (self._shared and name in self._captured):
                sets.append(texts)
            self._captured.add(name)
        return sets

    def _model(self, spec: ModelSpec) -> _Known:
        name = spec.content_hash()
        if name not in self._known:
            try:
                self._known[name] = _read(spec)
            except AtlasError as error:
                self._known[name] = error
        known = self._known[name]
        if isinstance(known, AtlasError):
            raise known
        return known


def _read(spec: ModelSpec) -> _Known:
    config, tokenizer = read_config(spec)
    needs, device = needs_of(config, spec), find_device(spec.device)
    rate = matrix_rate(device, dtype_of(spec.dtype), needs.width)
    return _Known(config, text_encoder(tokenizer, spec), needs, rate)


def _left_out(ready: Prepared, model: _Known) -> list[str]:
    """Return the names of the sets that do not fit the model and are left out; raises CaptureError if none fits.

    A file with a text that does not fit is refused as in a run, unless its bad rows are dropped.
    """
    study, context = ready.study, context_of(model.config.get_text_config())
    known = Reader(name=ready.spec.model.id, blocks=model.needs.n_layers, encode=model.encode, context=context)
    expected = f"what the model can read (context: {context or 'unlimited'})"
    left_out: dict[str, str] = {}
    for data in ready.material:
        rows = study.unfit(ready.spec, ready.settings, data, known)
        if not rows:
            continue
        first, why = next(iter(rows.items()))
        more = f", and {len(rows) - 1} more do not fit" if len(rows) > 1 else ""
        told = f"{data.source or data.name}, text {first + 1} {why}{more}"
        if data.source and ready.spec.bad_rows == "refuse":
            raise CaptureError(told, expected, "change or drop it, or set bad_rows = 'drop'")
        if not data.source or not _is_enough(data, rows):
            left_out[data.name] = told
    if left_out and len(left_out) == len(ready.material):
        told = next(iter(left_out.values()))
        raise CaptureError(f"nothing fits the model: {told}", expected, "use other texts or another model")
    return list(left_out)


def _is_enough(data: Any, rows: Collection[int]) -> bool:
    """Return whether a file without these rows can be read."""
    try:
        data.without(rows, ())
    except DataError:
        return False
    return True
