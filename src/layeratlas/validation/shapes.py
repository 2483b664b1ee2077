"""Signals over depth with known boundaries or none, for validating the existence test of boundaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats, Ints

GROUPS = ["attention", "attention", "information", "geometry", "information", "geometry", "prediction"]


def levels(random: np.random.Generator) -> Floats:
    """Three levels; neighbouring levels differ by at least 1."""
    second = random.choice([-1, 1]) * random.uniform(1, 2)
    return np.array([0, second, second + random.choice([-1, 1]) * random.uniform(1, 2)])


Shape = Callable[[Floats], Floats]
SHAPES: Mapping[str, Shape] = {
    "ramp": lambda t: t,
    "saturating": lambda t: 1 - np.exp(-4 * t),
    "hump": lambda t: 4 * t * (1 - t),
    "hyperbola": lambda t: 1 / (1 + (len(t) - 1) * t),
    "steep": lambda t: np.exp(-15 * t),
    "bump": lambda t: np.exp(-0.5 * ((t - 0.5) / 0.1) ** 2),
    "wide bump": lambda t: np.exp(-0.5 * ((t - 0.4) / 0.15) ** 2),
    "early bump": lambda t: np.exp(-0.5 * ((t - 0.15) / 0.12) ** 2),
    "two bumps": lambda t: np.exp(-0.5 * ((t - 0.3) / 0.1) ** 2) + np.exp(-0.5 * ((t - 0.75) / 0.1) ** 2),
    "logistic": lambda t: 1 / (1 + np.exp(-(t - 0.5) / 0.1)),
    "steep logistic": lambda t: 1 / (1 + np.exp(-(t - 0.5) / 0.05)),
    "two logistics": lambda t: 1 / (1 + np.exp(-(t - 0.3) / 0.06)) + 1 / (1 + np.exp(-(t - 0.7) / 0.06)),
    "sine 1.5": lambda t: np.sin(3 * np.pi * t),
    "sine 2": lambda t: np.sin(4 * np.pi * t + 0.5),
    "square root": np.sqrt,
}
# Held-out shapes: not used while the test was developed, and only part of the full simulation.
HELD_OUT: Mapping[str, Shape] = {
    "tanh": lambda t: np.tanh((t - 0.35) / 0.08),
    "chirp": lambda t: np.sin(2 * np.pi * t * (1 + t)),
    "skewed": lambda t: (t / 0.2) * np.exp(1 - t / 0.2),
    "cosine bump": lambda t: np.where(abs(t - 0.5) < 0.3, 1 + np.cos(np.pi * (t - 0.5) / 0.3), 0),
    "lorentzian": lambda t: 1 / (1 + ((t - 0.6) / 0.08) ** 2),
    "damped": lambda t: np.exp(-2 * t) * np.cos(5 * np.pi * t),
    "kink": lambda t: np.abs(t - 0.4),
    "sixth power": lambda t: t**6,
}
SMOOTH = [*SHAPES, *HELD_OUT]
_ALL: Mapping[str, Shape] = {**SHAPES, **HELD_OUT}
# The height of a jump of the first or last block relative to the signals' steps.
_JUMP = 4.0


def autoregressive(layers: int, rho: float, random: np.random.Generator) -> Floats:
    """Return stationary noise of standard deviation 1."""
    x = random.normal(size=layers)
    for i in range(1, layers):
        x[i] = rho * x[i - 1] + np.sqrt(1 - rho**2) * x[i]
    return x


def signals(
    kind: str, layers: int, random: np.random.Generator, noise: float = 0.05, jump: int | None = None
) -> Floats:
    """Return one signal per group entry, (S, layers), each with its own sign, size and noise.

    `kind` is `steps`, `one` (a single step), or a kind without boundaries: a shape, `white`, autocorrelated noise such
    as `ar 0.6`, or a shape with such noise, `ramp + ar 0.6`. `jump` is 0 or -1 for a jump of the first or last block.
    """
    t = np.linspace(0, 1, layers)
    x: NDArray[np.floating[Any]]
    values = []
    for _ in GROUPS:
        shape, noisy, rho = kind.partition("ar ") if kind.startswith("ar ") else kind.partition(" + ar ")
        if kind == "steps":
            x = levels(random)[(np.arange(layers) >= round(0.3 * layers)).astype(int) + (t >= 0.7)]
        elif kind == "one":
            x = random.uniform(1, 2) * (np.arange(layers) >= round(0.35 * layers))
        else:
            x = _ALL[shape](t) if shape in _ALL else np.zeros_like(t)
        spread = noise if shape in _ALL or kind in ("steps", "one") else 1.0
        x = x + spread * autoregressive(layers, float(rho) if noisy else 0.0, random)
        if jump is not None:
            x[jump] += random.choice([-1, 1]) * _JUMP
        values.append(random.choice([-1, 1]) * random.uniform(0.5, 1.5) * x)
    return np.array(values)


def passages(boundaries: Ints, layers: int, count: int = 30, seed: int = 0, noise: float = 0.5) -> Floats:
    """Return passage-level signals (count, S, layers) with steps at `boundaries`."""
    random = np.random.default_rng(seed)
    at = (np.arange(layers)[:, None] >= boundaries).sum(1)
    mean = np.array([levels(random)[at] for _ in GROUPS])
    values: Floats = mean + noise * random.normal(size=(count, len(GROUPS), layers))
    return values
