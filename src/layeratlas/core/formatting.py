"""Numbers and names for readers: sensible digits, real minus signs, words for codes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

NONE = "–"
COMPONENTS = {"resid": "Residual stream", "attn": "Attention output", "mlp": "MLP output"}
METRICS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "auroc": "AUROC",
    "spearman": "Spearman correlation",
    "r2": "R²",
    "compression": "Compression (description length)",
    "mc2": "MC2",
    "mc3": "MC3",
    "exact_match": "Exact match",
    "margin": "Margin",
    "ties": "Share tied",
    "agreement": "Agreement of languages (κ)",
}


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def num(value: Any, digits: int = 3) -> str:
    """Return a number with `digits` decimals, or a dash if it is not a finite number."""
    if not is_number(value):
        return NONE
    text = f"{value:,.{digits}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) else text.lstrip("-")


def interval(lo: Any, hi: Any, digits: int = 3) -> str:
    """Return `lo to hi`, or a dash."""
    return f"{num(lo, digits)} to {num(hi, digits)}" if is_number(lo) and is_number(hi) else NONE


def estimate(value: Any, lo: Any, hi: Any, digits: int = 2) -> str:
    """Return an estimate with its interval, such as `0.41 [0.26, 0.59]`, or a dash."""
    return f"{num(value, digits)} [{num(lo, digits)}, {num(hi, digits)}]" if is_number(value) else NONE


def pvalue(p: Any) -> str:
    """Return `p = 0.005` or `p < 0.001`; a dash if there was no test."""
    if not is_number(p):
        return NONE
    if p < 0.001:
        return "p < 0.001"
    text = f"{p:.3f}" if p < 0.0995 else f"{p:.2f}"
    return f"p = {text.rstrip('0') if p < 0.0995 else text}"


def small(value: Any) -> str:
    """Return a relative error such as `2.1e-07`."""
    return NONE if not is_number(value) else f"{value:.1e}" if value else "0"


def count(value: Any) -> str:
    """Return an integer with thousands separators."""
    return f"{int(value):,}" if is_number(value) else NONE


def counted(number: int, noun: str) -> str:
    """Return a count with its noun, such as `1 run` or `2,000 runs`."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def size(parameters: Any) -> str:
    """Return a parameter count as `135 M` or `3.2 B`."""
    if not is_number(parameters):
        return NONE
    for unit, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if parameters >= scale:
            return f"{parameters / scale:.3g} {unit}"
    return f"{parameters:.0f}"


def duration(seconds: Any) -> str:
    """Return a time as `4.2 s`, `40 s`, `3 min 20 s`, `12 min`, `9 h 43 min` or `30 h`; a dash if there is none."""
    if not is_number(seconds):
        return NONE
    if seconds < 59.5:
        return f"{f'{seconds:.1f}'.removesuffix('.0') if seconds < 10 else f'{seconds:.0f}'} s"
    if seconds < 599.5:
        return _in_two(round(seconds), "min", "s")
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return _in_two(minutes, "h", "min") if minutes < 600 else f"{minutes / 60:,.0f} h"


def _in_two(value: int, large: str, small: str) -> str:
    whole, rest = divmod(value, 60)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"


def cell(value: Any) -> str:
    """Return a table's cell: a number with sensible digits, anything else as it is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return count(value)
    return num(value) if isinstance(value, float) else str(value)


def ranges(layers: Sequence[int]) -> str:
    """Return ascending numbers as ranges: `3-5, 8`."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def word(names: Mapping[str, str], code: str) -> str:
    """Return the words for a code, or the code itself if there are none."""
    return names.get(code, code)


def capitalised(words: str) -> str:
    """Return words capitalised for the beginning of a sentence; the other letters stay as they are."""
    return words[:1].upper() + words[1:]


def in_words(verdict: str, tested: str) -> str:
    """Return a verdict with what was tested, where the statement beside it says the opposite or the lack of it.

    `not supported: the second level peaks deeper` cannot be taken for a doubt about the statement, which says what was
    found instead.
    """
    return f"{verdict}: {tested}" if tested and verdict == "not supported" else verdict
