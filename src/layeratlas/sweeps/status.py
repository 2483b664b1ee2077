"""A sweep in the terminal: the state of every run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

from layeratlas.sweeps.running import Sweep
from layeratlas.sweeps.state import SETTLED, Standing, UnitState
from layeratlas.sweeps.units import Unit

# In a table with too few lines for all runs, which come first.
_FIRST = (Standing.RUNNING, Standing.FAILED, Standing.WAITING, Standing.DONE)


def status_table(sweep: Sweep, most: int | None = None) -> tuple[str, bool]:
    """Return one line per run (its state, its minutes, and the minutes left or its error), and whether none is open.

    With fewer than `most` lines for all, the last line counts the runs that are left out; those that go on come first.
    """
    states, units = sweep.states, list(sweep.units)
    final = all(state.standing in SETTLED for state in states.values())
    room = len(units) if most is None or most > len(units) else most - 2
    if room < len(units):
        units.sort(key=lambda unit: _FIRST.index(states[unit.name].standing))
    lines = [f"{'state':<9}{'minutes':>8}{'left':>8}  run"]
    lines += [_line(unit, sweep.units, states) for unit in units[:room]]
    if others := Counter(states[unit.name].standing for unit in units[room:]):
        lines.append(f"and {', '.join(f'{count} {standing}' for standing, count in others.items())}")
    return "\n".join(lines), final


def _line(unit: Unit, units: Sequence[Unit], states: dict[str, UnitState]) -> str:
    state = states[unit.name]
    note = f" ({state.reason})" if state.reason else f" ({state.stage})" if state.stage else ""
    left = _left(unit, state, units, states)
    return f"{state.standing:<9}{state.seconds / 60:>8.1f}{left:>8}  {unit.name}{note}"


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
