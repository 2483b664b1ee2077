"""Differences between the models of a cohort, pair by pair, and what can be said of them in a line a level."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import polars as pl

from layeratlas.comparison.models import Model, Place, is_paired, unpaired
from layeratlas.core import formatting as wording
from layeratlas.data.levels import LEVELS
from layeratlas.runs.finding import Finding
from layeratlas.stats.contrasts import MARGINS, Quantity, adjusted, minus, verdict_of
from layeratlas.stats.verdicts import Verdict

SCHEMA: dict[str, Any] = {
    "study": pl.String, "model_a": pl.String, "model_b": pl.String, "quantity": pl.String, "level": pl.String,
    "component": pl.String, "method": pl.String, "metric": pl.String, "a": pl.Float64, "b": pl.Float64,
    "estimate": pl.Float64, "lo": pl.Float64, "hi": pl.Float64, "p": pl.Float64, "null": pl.String,
    "verdict": pl.String, "paired": pl.Boolean,
}  # fmt: skip
_SAID = ("peak depth", "peak value", "boundary 1", "boundary 2", "brittleness")


def differences(study: str, models: Sequence[Model]) -> pl.DataFrame:
    """Return one row a pair of models and quantity: b - a with its 95 % interval and corrected p.

    Depths are fractions of depth, values those of the measure, brittleness log10. Where both runs kept as many draws
    of the same texts, differences are paired, else the runs' errors are drawn independently. p is corrected for all
    levels and pairs of one quantity and component. Boundaries differ only where both models are found to have any.
    """
    jobs = defaultdict(list)
    for a, b in combinations(models, 2):
        for place in a.values:
            if place in b.values:
                jobs[place.quantity, place.component].append((a, b, place))
    rows = []
    for mine in jobs.values():
        gaps = [_gap(*one) for one in mine]
        for (a, b, place), gap, p in zip(mine, gaps, adjusted(gaps), strict=True):
            rows.append(_row(study, (a, b), place, gap, p))
    return pl.DataFrame(rows, schema=SCHEMA)


def _gap(a: Model, b: Model, place: Place) -> Quantity:
    if is_paired(place, a, b):
        return minus(b.values[place], a.values[place])
    return minus(unpaired(b, place), unpaired(a, place))


def _row(study: str, pair: tuple[Model, Model], place: Place, gap: Quantity, p: float) -> dict[str, Any]:
    a, b = pair
    paired = is_paired(place, a, b)
    verdict = "inconclusive" if place in a.doubtful | b.doubtful else verdict_of(gap, p)
    lo, hi = gap.interval
    how = "paired over groups" if paired else "from the two runs' own intervals"
    return {
        "study": study, "model_a": a.name, "model_b": b.name, "quantity": place.quantity, "level": place.level,
        "component": place.component, "method": place.method, "metric": place.metric,
        "a": a.values[place].estimate, "b": b.values[place].estimate, "estimate": gap.estimate, "lo": lo, "hi": hi,
        "p": p, "null": f"no difference ({how}; largest of all levels and pairs)", "verdict": verdict,
        "paired": paired,
    }  # fmt: skip


def difference_findings(table: pl.DataFrame, models: Sequence[Model]) -> list[Finding]:
    """Return one finding a quantity and level of the residual stream: how far apart the models are, and which pairs.

    Of many pairs the largest difference is told; its p is corrected for all pairs.
    """
    out = []
    kept = table.filter(pl.col("component") == "resid", pl.col("quantity").is_in(_SAID))
    for (quantity, level), rows in kept.group_by("quantity", "level", maintain_order=True):
        out.append(_finding(str(quantity), str(level), rows, models))
    order = {name: i for i, name in enumerate(_SAID)}
    return sorted(out, key=lambda f: order[f.finding])


def _finding(quantity: str, level: str, rows: pl.DataFrame, models: Sequence[Model]) -> Finding:
    differ = rows.filter(pl.col("verdict") == "supported")
    same = rows.filter(pl.col("verdict") == "not supported")
    shown = (differ if len(differ) else rows).sort(pl.col("estimate").abs(), descending=True).row(0, named=True)
    verdict: Verdict = "supported" if len(differ) else "not supported" if len(same) == len(rows) else "inconclusive"
    unit = {"peak value": "value", "brittleness": "log10"}.get(quantity, "depth")
    name = _named(quantity, level)
    ends = f"{wording.num(shown['a'], 2)} in {shown['model_a']}, {wording.num(shown['b'], 2)} in {shown['model_b']}"
    gap = f"{_signed(shown['estimate'])} [{_signed(shown['lo'])}, {_signed(shown['hi'])}]"
    link = {
        "supported": "differs",
        "not supported": f"is the same within {MARGINS[unit]:g}",
        "inconclusive": "cannot be told apart",
    }[verdict]
    many = f" {len(differ)} of {len(rows)} pairs differ; the largest:" if len(rows) > 1 else ""
    text = f"{name} {link}{' between models' if len(rows) > 1 else ''}:{many} {ends}, {gap}."
    none = [m.name for m in models if any(place.quantity == quantity for place in m.doubtful)]
    if none:
        text += f" In {', '.join(none)} no two boundaries stand out, so that there it is a cut of smooth change."
    sizes = [m.run.findings.filter(pl.col("level") == level)["n"].max() for m in models]
    n = max((int(str(s)) for s in sizes if s is not None), default=0)
    return Finding(
        quantity, level, "resid", shown["method"], text, shown["estimate"], shown["lo"], shown["hi"], shown["p"],
        shown["null"], verdict, n,
    )  # fmt: skip


def _named(quantity: str, level: str) -> str:
    what = LEVELS.get(level, level)
    return {
        "peak depth": f"The depth at which {what} are read best",
        "peak value": f"The best reading of {what}",
        "brittleness": f"Brittleness of the {level} stretch (log10)",
    }.get(quantity, f"The relative depth of {quantity}")


def _signed(value: float) -> str:
    return ("+" if value >= 0 else "") + wording.num(value, 2)
