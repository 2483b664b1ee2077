"""Levels, measures and components in words."""

from __future__ import annotations

from layeratlas.data.levels import LEVELS
from layeratlas.stats.curves import Curve

NAMES = {"resid": "the residual stream", "attn": "the attention output", "mlp": "the MLP output"}


def what(level: str) -> str:
    """Return a level in words."""
    return LEVELS.get(level, f"'{level}'")


def who(level: str) -> str:
    """Return a level as the beginning of a sentence."""
    name = what(level)
    return f"{name[:1].upper()}{name[1:]} {'are' if level in LEVELS else 'is'}"


def word(metric: str) -> str:
    """Return a measure in words."""
    return {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "r2": "R2"}.get(metric, metric)


def count(curve: Curve) -> str:
    """Return the range of a curve's points."""
    return f"0-{len(curve.estimate) - 1}"
