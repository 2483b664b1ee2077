"""Recommended layers of a run by purpose, and the file that stores them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from layeratlas.core.checksums import read_sealed, write_sealed
from layeratlas.core.errors import StoreError
from layeratlas.core.formatting import ranges
from layeratlas.stats.best_layers import CONFIDENCE
from layeratlas.stats.curves import Curve

FILE = "recommendations.json"
# The level of a recommendation for all levels of a run, and the task of one for a whole level.
ALL = "all"
# In format 1 a hierarchy run named the point to take a direction from `steer`, as the causal study names one it tested.
_FORMAT, _TESTED = 2, "steer"
_MAIN_COMPONENT = "resid"


class Purpose(StrEnum):
    """The purpose of a recommended layer.

    `direction`: a point at which the stream encodes a label, so that a direction can be taken there; whether steering
    along it moves answers is not tested. `steer`: a point at which it is tested, and does.
    """

    PROBE = "probe"
    DIRECTION = "direction"
    STEER = "steer"
    EMBED = "embed"
    EXIT = "exit"
    PRUNE = "prune"


# What a layer is recommended for, after "point to", "exit to" or "block to".
USES: Mapping[str, str] = {
    Purpose.PROBE: "probe",
    Purpose.DIRECTION: "take a direction from, steering untested",
    Purpose.STEER: "steer at, tested at the last token",
    Purpose.EMBED: "embed",
    Purpose.EXIT: "stop at",
    Purpose.PRUNE: "prune",
}


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """The layer to use for a purpose, and the layers that are as good.

    - `purpose`, `level`, `task`, `component`, `method`, `metric`: the purpose, and the curve it is based on; the
      level is `all` for a layer that serves all levels, the task is `all` for one that serves a whole level;
    - `layer`: the layer to use, or None if none can be recommended; `unit` is the kind of layer (`point`, `block` or
      `exit`) and `last` the number of the last one;
    - `as_good`: the layers that are as good with probability `confidence`, in order;
    - `value`, `lo`, `hi`: the metric with its 95 % interval, of a layer that the same rule chooses on one half of the
      groups, read on the other half (`stats.chosen`), so that the choice does not raise it; `chance`: the score of
      guessing;
    - `reason`: one sentence on why this layer, or why none, was chosen.
    """

    purpose: str
    level: str
    task: str
    component: str
    method: str
    metric: str
    unit: str
    last: int
    layer: int | None
    as_good: tuple[int, ...]
    confidence: float
    value: float
    lo: float
    hi: float
    chance: float
    reason: str

    @property
    def subject(self) -> str:
        """The subject: the task, or the level if the recommendation covers all its tasks."""
        return self.level if self.task == ALL else self.task

    @property
    def short(self) -> str:
        """The layer and the equally good layers, such as `12 (10-14)`; `none` if there is no layer."""
        if self.layer is None:
            return "none"
        return f"{self.layer} ({ranges(self.as_good)})" if len(self.as_good) > 1 else f"{self.layer}"

    def __str__(self) -> str:
        head = f"{self.subject}, {self.purpose}: "
        if self.layer is None:
            return f"{head}no {self.unit}. {self.reason}"
        place = f"{self.unit} {self.layer} of 0-{self.last}"
        sure = f"as good with {self.confidence:.0%} confidence: {ranges(self.as_good)}"
        score = f"{self.metric.replace('_', ' ')} {self.value:.2f} [{self.lo:.2f}, {self.hi:.2f}]"
        known = "" if math.isnan(self.chance) else f", chance {self.chance:.2f}"
        return f"{head}{place} ({sure}); {score}{known}. {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A layer chosen on a curve: the fields of a Recommendation that a rule sets; by default no layer."""

    reason: str
    layer: int | None = None
    as_good: tuple[int, ...] = ()
    value: float = math.nan
    lo: float = math.nan
    hi: float = math.nan


def recommend(curve: Curve, purpose: Purpose, choice: Choice, *, unit: str = "") -> Recommendation:
    """Return a choice on a curve as a recommendation; the default unit is `point` for `resid`, else `block`."""
    return Recommendation(
        purpose=purpose,
        level=curve.level,
        task=curve.task,
        component=curve.component,
        method=curve.method,
        metric=curve.metric,
        unit=unit or ("point" if curve.component == "resid" else "block"),
        last=curve.layers[-1],
        confidence=CONFIDENCE,
        chance=curve.chance,
        **{field.name: getattr(choice, field.name) for field in fields(choice)},
    )


def write_recommendations(folder: Path, recommendations: Sequence[Recommendation], rules: Mapping[Purpose, str]) -> str:
    """Write the recommendations of a run with the rule of each purpose, and return the file's name."""
    rows = as_records(recommendations)
    write_sealed(folder / FILE, {"format": _FORMAT, "rules": dict(rules), "recommendations": rows})
    return FILE


def read_recommendations(folder: Path) -> list[Recommendation]:
    """Return the recommendations of a run; raises StoreError if there are none, or if the file was changed."""
    if not (folder / FILE).is_file():
        raise StoreError(
            f"no {FILE} in '{folder}'",
            "a run of a study that recommends layers, made by this version",
            "run the study again in a new --out",
        )
    kept = read_sealed(folder / FILE)
    rows = kept["recommendations"]
    if kept["format"] == 1:
        untested = {"purpose": Purpose.DIRECTION}
        rows = [row | untested if row["purpose"] == Purpose.STEER and row["method"] != _TESTED else row for row in rows]
    return from_records(rows)


def as_records(recommendations: Sequence[Recommendation]) -> list[dict[str, Any]]:
    """Return recommendations as JSON objects, with None for missing numbers."""
    return [{key: _finite(value) for key, value in asdict(row).items()} for row in recommendations]


def from_records(records: Sequence[Mapping[str, Any]]) -> list[Recommendation]:
    """Return the recommendations of `as_records`."""
    return [Recommendation(**{**record, **_read(record)}) for record in records]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _read(row: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {name: math.nan if row[name] is None else row[name] for name in ("value", "lo", "hi", "chance")}
    return {**numbers, "as_good": tuple(row["as_good"])}


def main_recommendations(recommendations: Sequence[Recommendation]) -> list[Recommendation]:
    """Return the main recommendations: of whole levels, in the residual stream or else the first component."""
    levels = [row for row in recommendations if row.task == ALL]
    components = [row.component for row in levels]
    main = _MAIN_COMPONENT if _MAIN_COMPONENT in components else next(iter(components), "")
    return [row for row in levels if row.component == main]


def summary_lines(recommendations: Sequence[Recommendation], most: int = 2) -> list[str]:
    """Return the recommendations of whole levels, one line per purpose, at most `most` lines."""
    by_purpose: dict[str, list[Recommendation]] = {}
    for row in main_recommendations(recommendations):
        by_purpose.setdefault(row.purpose, []).append(row)
    lines = []
    for purpose, rows in list(by_purpose.items())[:most]:
        layers = ", ".join(f"{row.subject} {row.short}" for row in rows)
        use = f"{rows[0].unit} to {USES.get(purpose, purpose)}"
        lines.append(f"{use} (as good, {rows[0].confidence:.0%} confidence): {layers}")
    return lines
