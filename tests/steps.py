"""Signals over depth with known boundaries, or with none."""

from __future__ import annotations

import numpy as np

GROUPS = ["attention", "attention", "information", "geometry", "information", "geometry", "prediction"]


def levels(random):
    """Three levels, neighbours at least 1 apart."""
    second = random.choice([-1, 1]) * random.uniform(1, 2)
    return np.array([0, second, second + random.choice([-1, 1]) * random.uniform(1, 2)])


def signals(kind, layers, random, noise=0.05):
    """Return one signal a group entry, (S, layers), each with its own sign, size and noise."""
    t = np.linspace(0, 1, layers)
    made = []
    for _ in GROUPS:
        if kind == "steps":
            x = levels(random)[(np.arange(layers) >= round(0.3 * layers)).astype(int) + (t >= 0.7)]
        elif kind == "autocorrelated":
            x = np.zeros(layers)
            for i in range(1, layers):
                x[i] = 0.6 * x[i - 1] + 0.3 * random.normal()
        else:
            x = {"ramp": t, "saturating": 1 - np.exp(-4 * t), "hump": 4 * t * (1 - t), "white": 0 * t}[kind]
        spread = 1.0 if kind == "white" else noise
        made.append(random.choice([-1, 1]) * random.uniform(0.5, 1.5) * (x + spread * random.normal(size=layers)))
    return np.array(made)


def passages(cuts, layers, count=30, seed=0, noise=0.5):
    """Return passage-level signals (count, S, layers) whose steps are at `cuts`."""
    random = np.random.default_rng(seed)
    at = (np.arange(layers)[:, None] >= cuts).sum(1)
    mean = np.array([levels(random)[at] for _ in GROUPS])
    return mean + noise * random.normal(size=(count, len(GROUPS), layers))
