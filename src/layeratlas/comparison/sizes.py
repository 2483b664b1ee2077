"""What size changes within a family, and what goes with the family rather than with size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from layeratlas.comparison.models import Model, Place
from layeratlas.core import formatting as wording
from layeratlas.data.levels import LEVELS
from layeratlas.runs.finding import Finding
from layeratlas.stats.contrasts import Quantity, sized
from layeratlas.stats.draws import Key
from layeratlas.stats.families import Parts, Spread, spread_of, variance_parts
from layeratlas.stats.scaling import BySize, Growth, by_size, equal_p, growth, slope_p
from layeratlas.stats.tests import holm
from layeratlas.stats.verdicts import Verdict

WHERE = ("peak", "last", "depth 0.50")
FEWEST = 3
SIZES: dict[str, Any] = {
    "study": pl.String, "family": pl.String, "level": pl.String, "where": pl.String, "model": pl.String,
    "parameters": pl.Float64, "value": pl.Float64, "lo": pl.Float64, "hi": pl.Float64, "shape": pl.String,
}  # fmt: skip
_NAN = float("nan")
_NULL = "equal values at every size"
_NOTE = "Items' noise alone is counted: what else sets one model apart from the next is not"


def families_of(models: Sequence[Model]) -> dict[str, list[Model]]:
    """Return the models of each family by size; a model of unknown size is in none."""
    known = [m for m in models if m.run.parameters > 0]
    names = dict.fromkeys(m.run.family for m in known)
    return {name: sorted((m for m in known if m.run.family == name), key=lambda m: m.run.parameters) for name in names}


class _Series(NamedTuple):
    family: str
    key: Key
    where: str
    models: list[Model]
    values: list[Quantity]
    data: BySize


def size_findings(study: str, models: Sequence[Model]) -> tuple[list[Finding], pl.DataFrame]:
    """Return what size does to every level of the residual stream in families of three sizes or more, and the values.

    Read at the peak, at the last layer and at half of the depth; p of a change is corrected over all of them and over
    the levels (Holm).
    """
    large = {
        name: mine for name, mine in families_of(models).items() if len({m.run.parameters for m in mine}) >= FEWEST
    }
    if not large:
        return _too_few(study, models), pl.DataFrame(schema=SIZES)
    findings: list[Finding] = []
    rows: list[dict[str, Any]] = []
    for family, mine in large.items():
        keys = [key for key in mine[0].curves if key.component == "resid" and all(key in m.curves for m in mine)]
        series = [one for where in WHERE for key in keys if (one := _series(family, key, where, mine))]
        for one, p in zip(series, holm([equal_p(one.data) for one in series]), strict=True):
            found = growth(one.data, p=p)
            findings += _growth_findings(one, found)
            rows += _rows(study, one, found)
        findings += _by_size(mine, family, "second peak", "resid")
        findings += _by_size(mine, family, "coordination", "attn")
    return findings, pl.DataFrame(rows, schema=SIZES)


def _too_few(study: str, models: Sequence[Model]) -> list[Finding]:
    most = max((len(mine) for mine in families_of(models).values()), default=0)
    text = (
        f"What size changes cannot be told from {most} size{'s' * (most != 1)} of a family: flat, linear and threshold "
        f"take three or more (layeratlas run {study} on further sizes)."
    )
    return [Finding("size", "all", "resid", "all", text, _NAN, _NAN, _NAN, _NAN, _NULL, "inconclusive", len(models))]


def _series(family: str, key: Key, where: str, models: list[Model]) -> _Series | None:
    curves = [m.curves[key] for m in models]
    data = by_size(curves, [m.run.parameters for m in models], key.component, where)
    values = [sized(curve, key.component, where)[0] for curve in curves]
    return None if data is None else _Series(family, key, where, models, values, data)


def _growth_findings(one: _Series, found: Growth) -> list[Finding]:
    level, first, last = one.key.level, one.models[0], one.models[-1]
    at = {"peak": "at its peak", "last": "at the last layer"}.get(one.where, f"at {one.where}")
    name = f"Reading {LEVELS.get(level, level)} {at}"
    says = {"supported": "changes", "not supported": "hardly changes", "inconclusive": "may or may not change"}
    text = (
        f"{name} {says[found.verdict]} with size in {one.family} ({len(one.models)} sizes): {first.name} to "
        f"{last.name} {found.rise:+.2f} [{found.lo:+.2f}, {found.hi:+.2f}]."
    )
    n = len(one.models)
    numbers = (found.rise, found.lo, found.hi, found.p)
    out = [Finding("size", level, "resid", one.key.method, text, *numbers, _NULL, found.verdict, n)]
    if found.verdict == "supported":
        out.append(_shape_finding(one, found, name))
    return out


def _shape_finding(one: _Series, found: Growth, name: str) -> Finding:
    flat, line, step = (np.sqrt(error) for error in found.errors)
    below, above = one.models[found.at - 1].name, one.models[found.at].name
    says = {
        "threshold": f"is a threshold between {below} and {above}, not a line in log parameters",
        "linear": "is a line in log parameters, not a threshold",
    }.get(found.shape, f"may be a line or a threshold (between {below} and {above})")
    verdict: Verdict = {"threshold": "supported", "linear": "not supported"}.get(found.shape, "inconclusive")  # type: ignore[assignment]
    text = (
        f"{name} in {one.family} {says}: errors on held-out items {flat:.3f} (flat), {line:.3f} (line), {step:.3f} "
        f"(threshold). {_NOTE}."
    )
    lead = float(line - step)
    return Finding(
        "size threshold", one.key.level, "resid", one.key.method, text, lead, _NAN, _NAN, found.p_shape,
        "data of the other shape favour this one as strongly", verdict, len(one.models),
    )  # fmt: skip


def _rows(study: str, one: _Series, found: Growth) -> list[dict[str, Any]]:
    rows = []
    for model, value in zip(one.models, one.values, strict=True):
        lo, hi = value.interval
        rows.append(
            {
                "study": study, "family": one.family, "level": one.key.level, "where": one.where, "model": model.name,
                "parameters": model.run.parameters, "value": value.estimate, "lo": lo, "hi": hi, "shape": found.shape,
            }
        )  # fmt: skip
    return rows


def _by_size(models: Sequence[Model], family: str, finding: str, component: str) -> list[Finding]:
    """Return whether second peaks or coordination grow with size: a slope on log10 parameters over a level's runs."""
    levels = dict.fromkeys(row.level for m in models for row in m.run.of_kind(finding, component))
    out = []
    for level in levels:
        found = [next((r for r in m.run.of_kind(finding, component) if r.level == level), None) for m in models]
        rows = [row for row in found if row is not None]
        mine = [m for m, row in zip(models, found, strict=True) if row is not None]
        sizes = np.log10([m.run.parameters for m in mine])
        if len(set(sizes)) < FEWEST:
            continue
        slope, p, least = slope_p(np.array([row.estimate for row in rows]), sizes)
        each = ", ".join(f"{m.name} {r.estimate:.2f} ({r.verdict})" for m, r in zip(mine, rows, strict=True))
        verdict: Verdict = "supported" if p <= 0.05 and slope > 0 else "inconclusive"
        link = "grows with size" if verdict == "supported" else "is not shown to grow with size"
        what = LEVELS.get(level, level)
        text = f"The {finding} of {what} {link} in {family}: {each}; the smallest p here is {least:.3f}."
        null = "all orders of the models (exact permutation)"
        name = f"{finding} by size"
        out.append(
            Finding(name, level, component, rows[0].method, text, slope, _NAN, _NAN, p, null, verdict, len(mine))
        )
    return out


def family_findings(models: Sequence[Model]) -> list[Finding]:
    """Return what goes with the family: boundaries and brittleness, and peaks of levels, beside what goes with size."""
    known = [m for m in models if m.run.parameters > 0]
    out: list[Finding] = []
    groups: tuple[tuple[str, Callable[[Place], bool]], ...] = (
        ("boundary or brittleness", lambda p: p.quantity.startswith(("boundary", "brittleness"))),
        ("peak depth", lambda p: p.quantity == "peak depth" and p.component == "resid"),
        ("onset depth", lambda p: p.quantity == "onset depth" and p.component == "resid"),
        ("peak value", lambda p: p.quantity == "peak value" and p.component == "resid"),
    )
    for name, mine in groups:
        places = [p for p in known[0].values if mine(p) and all(p in m.values for m in known)] if known else []
        table = np.array([[m.values[p].estimate for p in places] for m in known])
        if places:
            places = [p for p, spread in zip(places, np.ptp(table, 0), strict=True) if spread > 0]
            table = table[:, np.ptp(table, 0) > 0]
        if not places:
            continue
        families = [m.run.family for m in known]
        parts = variance_parts(table, families, np.log10([m.run.parameters for m in known]))
        if not parts:
            out.append(_no_family(name, known))
        out += [_family_finding(place, one, known) for place, one in zip(places, parts, strict=False)]
    return out + _spread_findings(models)


def _no_family(name: str, models: Sequence[Model]) -> Finding:
    counts = {family: len(mine) for family, mine in families_of(models).items()}
    each = ", ".join(f"{family}: {n}" for family, n in counts.items())
    text = f"What goes with family in {name} takes two models or more of two families, and one to spare ({each})."
    null = "families assigned at random"
    return Finding("family", "all", "resid", "all", text, _NAN, _NAN, _NAN, _NAN, null, "inconclusive", len(models))


def _family_finding(place: Place, part: Parts, models: Sequence[Model]) -> Finding:
    could = part.smallest <= 0.05
    verdict: Verdict = "supported" if part.p_all <= 0.05 else "not supported" if could else "inconclusive"
    says = {"supported": "goes with the family", "not supported": "is not shown to go with the family"}
    what = place.quantity if place.quantity.startswith("boundary") else f"{place.quantity} of {place.level}"
    text = (
        f"{what[0].upper()}{what[1:]} {says.get(verdict, 'cannot be shown to go with the family')}: partial R² "
        f"{part.family:.2f} given size ({part.lo:.2f} to {part.hi:.2f} with one model left out; omega² "
        f"{part.omega2:.2f}), size {part.size:.2f} given family; p = {part.p_all:.3f} over {part.assignments} "
        f"assignments of models to families, of which the smallest possible is {part.smallest:.3f}. Families differ "
        "in more than their name."
    )
    null = "families assigned to models at random (exact permutation, largest of the quantities)"
    return Finding(
        "family", what, place.component, place.method, text, part.family, part.lo, part.hi, part.p_all, null, verdict,
        len(models),
    )  # fmt: skip


def _spread_findings(models: Sequence[Model]) -> list[Finding]:
    """Return, for each family with three models or more, the CV of both boundaries beside its nulls."""
    out = []
    for family, mine in families_of(models).items():
        both = [[q for p, q in m.values.items() if p.quantity == f"boundary {i}"] for m in mine for i in (1, 2)]
        if len(mine) < FEWEST or not all(both):
            continue
        cuts = np.array([q[0].estimate for q in both]).reshape(-1, 2)
        blocks = [int(m.run.manifest["model"].get("layers") or 0) for m in mine]
        if min(blocks) < 8:
            continue
        out += [_spread_finding(family, i, one, len(mine)) for i, one in enumerate(spread_of(cuts, blocks), 1)]
    return out


def _spread_finding(family: str, boundary: int, one: Spread, n: int) -> Finding:
    verdict: Verdict = "supported" if one.stable else "not supported" if one.variable else "inconclusive"
    says = {
        "supported": "is steadier than boundary-free signals and random cuts give",
        "not supported": "varies as random cuts do",
        "inconclusive": "varies as cuts of a smooth ramp without boundaries do",
    }[verdict]
    bands = [f"{lo:.2f} to {hi:.2f} ({name})" for name, (lo, _, hi) in _nulls(one)]
    text = (
        f"Boundary {boundary} {says} in {family} ({n} models): coefficient of variation {one.cv:.2f}, "
        f"standard deviation {wording.num(one.sd, 3)} of depth; without boundaries {', '.join(bands)}."
    )
    null = "two cuts of a smooth ramp or of white noise, and random cuts, of as many blocks"
    return Finding(
        "boundary spread", f"boundary {boundary} in {family}", "resid", "all", text, one.cv, one.ramp[0], one.ramp[2],
        _NAN, null, verdict, n,
    )  # fmt: skip


def _nulls(one: Spread) -> list[tuple[str, tuple[float, float, float]]]:
    return [("smooth ramp", one.ramp), ("white noise", one.white), ("random cuts", one.random)]
