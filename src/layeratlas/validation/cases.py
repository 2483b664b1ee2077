"""The kinds of simulated runs, with the signal planted in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.studies.hierarchy.names import HIERARCHY
from layeratlas.validation.planted import hump

LAYERS = 30
SHORT_TASKS = ("items", "relations", "analogies")
ALL_TASKS = (*SHORT_TASKS, "grammar", "documents", "buried")
# Strength at the peak (an accuracy of 0.90), and width of a hump in layers (as narrow as in small models).
_TOP, _WIDTH = 1.3, 3.0


@dataclass(frozen=True, kw_only=True)
class PlantedSignal:
    """The strength of each task's signal at each point (L+1,), and the layer of each level's peak if it has one."""

    strength: dict[str, Floats]
    peaks: dict[str, int] = field(default_factory=dict)


# Draws a signal for the tasks of a run (task -> level); called for each run.
Plant = Callable[[np.random.Generator, Mapping[str, str]], PlantedSignal]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A kind of simulated run."""

    name: str
    tasks: tuple[str, ...]
    plant: Plant


def _ordered_humps(rng: np.random.Generator, levels: Mapping[str, str]) -> PlantedSignal:
    """Return one hump per level, in the order of the hierarchy."""
    first = int(rng.integers(3, 8))
    layers = (first, first + int(rng.integers(5, 8)), first + int(rng.integers(11, 15)))
    peaks = dict(zip(HIERARCHY, layers, strict=True))
    strength = {task: _TOP * hump(LAYERS, peaks[level], _WIDTH) for task, level in levels.items()}
    return PlantedSignal(strength=strength, peaks=peaks)


def _double_humps(rng: np.random.Generator, levels: Mapping[str, str]) -> PlantedSignal:
    """Return two humps at the same layers for every level, plus variation between layers that all tasks share."""
    first = int(rng.integers(3, 6))
    both = np.maximum(hump(LAYERS, first, 1.5), hump(LAYERS, first + 9, 1.5))
    moves = 0.15 * rng.standard_normal(LAYERS + 1)
    return PlantedSignal(strength=dict.fromkeys(levels, np.maximum(0.0, 0.35 + 0.9 * both + moves)))


def _turns(rng: np.random.Generator, levels: Mapping[str, str]) -> PlantedSignal:
    """Return plateaus on which neighbouring layers take turns at two halves of the tasks."""
    turn = np.where(np.arange(LAYERS + 1) % 2, 1.0, -1.0)
    signs = dict(zip(levels, rng.permutation(np.resize([1.0, -1.0], len(levels))), strict=True))
    plateau = _rise(8.0)
    return PlantedSignal(strength={task: plateau * (1 + 0.3 * sign * turn) for task, sign in signs.items()})


def _rise(middle: float) -> Floats:
    """Return a rise over about ten layers to a plateau of 1."""
    rise: Floats = 1 / (1 + np.exp(-(np.arange(LAYERS + 1) - middle) / 2))
    return rise


def _plateau(rng: np.random.Generator, levels: Mapping[str, str]) -> PlantedSignal:
    """Return a rise over about ten layers to a plateau, the same for every level and in every run."""
    return PlantedSignal(strength=dict.fromkeys(levels, _rise(8.0)))


def _items_alone(rng: np.random.Generator, levels: Mapping[str, str]) -> PlantedSignal:
    """Return a plateau for the tasks of the first level, and no signal for the others."""
    plateau, nothing = _rise(8.0), np.zeros(LAYERS + 1)
    return PlantedSignal(
        strength={task: plateau if level == HIERARCHY[0] else nothing for task, level in levels.items()}
    )


def _no_signal(rng: np.random.Generator, levels: Mapping[str, str]) -> PlantedSignal:
    return PlantedSignal(strength=dict.fromkeys(levels, np.zeros(LAYERS + 1)))


ORDERED = Case(name="three humps in order", tasks=SHORT_TASKS, plant=_ordered_humps)
DOUBLE = Case(name="two humps, shared moves", tasks=SHORT_TASKS, plant=_double_humps)
PLATEAU = Case(name="one plateau", tasks=SHORT_TASKS, plant=_plateau)
MIXED = Case(name="items alone", tasks=SHORT_TASKS, plant=_items_alone)
NOTHING = Case(name="nothing", tasks=ALL_TASKS, plant=_no_signal)
TURNS = Case(name="layers that take turns", tasks=SHORT_TASKS, plant=_turns)
CASES = (ORDERED, DOUBLE, TURNS, PLATEAU, MIXED, NOTHING)
