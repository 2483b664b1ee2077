"""A sweep in the terminal: the state of every run."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

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
