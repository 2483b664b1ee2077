"""A sweep in the terminal: the state of every run, and the cost of open runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from layeratlas.core import registry
from layeratlas.core.spec import RunSpec
from layeratlas.models.devices import find_device, matrix_rate, settled
from layeratlas.models.precision import dtype_of
from layeratlas.models.unloaded import read_config
from layeratlas.planning.needs import Needs, needs_of
from layeratlas.runs.pipeline import make_material
from layeratlas.sweeps.running import Sweep
from layeratlas.sweeps.state import SETTLED, Standing, UnitState
from layeratlas.sweeps.units import Unit


def status_table(sweep: Sweep) -> str:
    """Return one line per run: its state, its minutes, and the minutes left or its error."""
    states, lines = sweep.states, [f"{'state':<9}{'minutes':>8}{'left':>8}  run"]
    for unit in sweep.units:
        state = states[unit.name]
        left = _left(unit, state, sweep.units, states)
        note = f" ({state.reason})" if state.reason else f" ({state.stage})" if state.stage else ""
        lines.append(f"{state.standing:<9}{state.seconds / 60:>8.1f}{left:>8}  {unit.name}{note}")
    return "\n".join(lines)


def _left(unit: Unit, state: UnitState, units: Sequence[Unit], states: dict[str, UnitState]) -> str:
    """Return the minutes left, from the median of finished runs of the same study (and of the same model, if any)."""
    if state.standing in SETTLED:
        return ""
    alike = [u for u in units if states[u.name].standing is Standing.DONE and u.spec.study == unit.spec.study]
    alike = [u for u in alike if u.spec.model == unit.spec.model] or alike
    if not alike:
        return "?"
    spent = state.seconds if state.standing is Standing.RUNNING else 0.0
    return f"{max(0.0, median(states[u.name].seconds for u in alike) - spent) / 60:.1f}"


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a run: tokens, seconds at this machine's matrix rate, bytes of weights and of activations."""

    tokens: int
    seconds: float
    weights: int
    disk: int


def costs_table(sweep: Sweep) -> str:
    """Return one line per open run: tokens, hours, memory and disk. Reads configs and tokenizers, no weights."""
    states, costs = sweep.states, _Costs()
    lines = [f"{'state':<9}{'tokens':>12}{'hours':>8}{'memory':>10}{'disk':>10}  run"]
    total = Cost(tokens=0, seconds=0.0, weights=0, disk=0)
    for unit in sweep.units:
        state = states[unit.name].standing
        if state in SETTLED:
            lines.append(f"{state:<9}{'':>40}  {unit.name}")
            continue
        cost = costs.of(unit.spec)
        total = Cost(
            tokens=total.tokens + cost.tokens,
            seconds=total.seconds + cost.seconds,
            weights=max(total.weights, cost.weights),
            disk=total.disk + cost.disk,
        )
        lines.append(f"{state:<9}{_numbers(cost)}  {unit.name}")
    return "\n".join([*lines, f"{'in all':<9}{_numbers(total)}", _NOTE])


_NOTE = (
    "hours are lower bounds: one forward pass over every text at this machine's rate; probes and controls come on top"
)


def _numbers(cost: Cost) -> str:
    return f"{cost.tokens:>12,}{cost.seconds / 3600:>8.2f}{cost.weights / 1e9:>7.1f} GB{cost.disk / 1e9:>7.1f} GB"


class _Costs:
    """Computes costs of runs; each model's config is read once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Any, Needs, float]] = {}

    def of(self, spec: RunSpec) -> Cost:
        model = settled(spec.model)
        name = model.content_hash()
        if name not in self._known:
            config, tokenizer = read_config(model)
            needs = needs_of(config, model)
            rate = matrix_rate(find_device(model.device), dtype_of(model.dtype), needs.width)
            self._known[name] = tokenizer, needs, rate
        tokenizer, needs, rate = self._known[name]
        study = registry.get("studies", spec.study)
        texts = study.texts_of(make_material(study, spec), study.settings(**spec.settings))
        tokens = sum(len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]) if texts else 0
        parameters = sum(needs.blocks) / dtype_of(model.dtype).itemsize
        return Cost(
            tokens=tokens,
            seconds=2 * parameters * tokens / rate,
            weights=needs.whole,
            disk=len(texts) * needs.width * (3 * needs.n_layers + 1) * 4 if study.keeps_vectors else 0,
        )
