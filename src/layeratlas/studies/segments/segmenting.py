"""The stage that cuts: signals of blocks, the cuts and how sure they are, the existence test; all into segments.json.

What comes after (interventions, tables, report) reads the cuts from that file alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.core.errors import DataError
from layeratlas.core.files import write_json
from layeratlas.metrics import Signal
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.store.shards import Tensors
from layeratlas.studies.segments import boundaries, measuring
from layeratlas.studies.segments.boundaries import Cuts
from layeratlas.studies.segments.existence import Existence, existence_of

FILE = "segments.json"
DRAWS = "boundary_draws.parquet"
NAMES = ("Local", "Intermediate", "Global")


@dataclass(frozen=True)
class Fused:
    """The signals that are cut: passage-level values of blocks (P, S, L), their names and groups."""

    values: Floats
    names: list[str]
    groups: list[str]


def signals_of() -> dict[str, Signal]:
    """Return every signal of single passages, by name."""
    return {signal.name: signal for metric in measuring.metrics_of()[0] for signal in metric.signals}


def fused_of(found: Tensors, signals: Mapping[str, Signal]) -> Fused:
    """Return the fused signals that are there, on blocks: a point belongs to the block that it comes out of."""
    there = [s for s in signals.values() if s.fused and s.name in found and np.isfinite(found[s.name]).all()]
    if not there:
        raise DataError("no signal could be measured in every passage", "at least one", "check the texts")
    parts = [np.log1p(found[s.name]) if s.log else found[s.name] for s in there]
    blocks = [part[:, 1:] if s.axis == "point" else part for part, s in zip(parts, there, strict=True)]
    return Fused(np.stack(blocks, 1), [s.name for s in there], [s.group for s in there])


def cut_stage(work: Workspace) -> list[str]:
    """Cut the layers in two places, ask whether the cuts exist, and write `segments.json`."""
    settings, signals = work.settings, signals_of()
    fused = fused_of(measuring.values_of(work, "trained"), signals)
    kinds = measuring.texts_of(work)[1]
    with work.progress.stage("cut", 4) as step:
        exact = boundaries.find_cuts(fused.values, fused.groups, settings.draws, work.spec.seed)
        found = {"exact": exact}
        passed: list[int] = []
        if "matrix_information" in fused.names:
            found["v1"], passed = _v1(fused, settings.draws, work.spec.seed)
        if settings.method not in found:
            raise DataError(
                "the mutual information of neighbouring layers could not be measured",
                "it, for the rule of the first version",
                "use --set method=exact",
            )
        step.advance()
        exists = existence_of(fused.values.mean(0), fused.groups, work.spec.seed, settings.surrogates)
        step.advance()
        record = {
            "method": settings.method,
            "blocks": fused.values.shape[2],
            "passages": len(fused.values),
            "signals": dict(zip(fused.names, fused.groups, strict=True)),
            "missing": [name for name in work.manifest["segments"]["missing"] if signals[name].fused],
            "shortest": boundaries.shortest(fused.values.shape[2]),
            **_cut_record(found[settings.method]),
            "existence": _existence_record(exists),
            "v1": {"cuts": found["v1"].cuts.tolist(), "below two sd": passed} if "v1" in found else {},
            "exact": {"cuts": exact.cuts.tolist(), "cut_ci": np.stack([exact.lo, exact.hi], 1).tolist()},
        }
        out = boundaries.without_one(fused.values, fused.groups) if len(fused.names) > 1 else np.zeros((0, 2), int)
        record["leave_one_out"] = {name: cut.tolist() for name, cut in zip(fused.names, out, strict=False)}
        record["kinds"] = _kinds(fused, kinds, settings, work.spec.seed)
        step.advance()
        record["untrained"] = _untrained(work, signals, settings)
        step.advance()
    write_json(work.folder / FILE, record)
    write_table(work, DRAWS, draw_table(found))
    return [FILE, DRAWS]


def draw_table(found: Mapping[str, Cuts]) -> pl.DataFrame:
    """Return the bootstrap draws of the cuts by method: `draw` from 0, `boundary` 1 or 2, `layer` where it falls.

    `layer` is the first block (0-based) after the boundary. Runs of as many passages and the same seed resample the
    same passages in a draw, so that the difference of two models is paired.
    """
    parts = []
    for method, cuts in found.items():
        draw, boundary = np.indices(cuts.draws.shape)
        columns = {"draw": draw.ravel(), "boundary": boundary.ravel() + 1, "layer": cuts.draws.ravel()}
        parts.append(pl.DataFrame({"method": [method] * cuts.draws.size, **columns}))
    return pl.concat(parts)


def _cut_record(cuts: Cuts) -> dict[str, Any]:
    blocks = len(cuts.together)
    ends = [0, *cuts.cuts.tolist(), blocks]
    return {
        "cuts": cuts.cuts.tolist(),
        "cut_mode": cuts.mode.tolist(),
        "cut_ci": np.stack([cuts.lo, cuts.hi], 1).tolist(),
        "cut_share": cuts.share.tolist(),
        "segments": [
            {"name": name, "first": ends[i], "last": ends[i + 1] - 1, "blocks": ends[i + 1] - ends[i]}
            for i, name in enumerate(NAMES)
        ],
        "together": np.round(cuts.together, 4).tolist(),
    }


def _existence_record(found: Existence) -> dict[str, Any]:
    lo, hi = np.quantile(found.null_curves, [0.05, 0.95], axis=0)
    return {
        "left": found.left,
        "p": found.p,
        "smooth_p": found.smooth_p,
        "unclipped_p": found.unclipped_p,
        "second_p": found.second_p,
        "first": found.first,
        "null_left": np.quantile(found.surrogates, [0.05, 0.5, 0.95]).tolist(),
        "shuffled_p": found.shuffled_p,
        "curve": found.curve.tolist(),
        "null_lo": lo.tolist(),
        "null_hi": hi.tolist(),
        "surrogates": len(found.surrogates),
    }


def _v1(fused: Fused, draws: int, seed: int) -> tuple[Cuts, list[int]]:
    """Return the first version's cuts, from the mutual information alone, with their bootstrap."""
    information = fused.values[:, [fused.names.index("matrix_information")]]
    cuts, passed = boundaries.v1_cuts(information.mean((0, 1)))
    means = boundaries.resampled(information, draws, seed)[:, 0]
    drawn = np.array([boundaries.v1_cuts(mean)[0] for mean in means])
    return boundaries.summarise(cuts, drawn, float("nan"), fused.values.shape[2]), passed.tolist()


def _kinds(fused: Fused, kinds: Sequence[str], settings: measuring.Settings, seed: int) -> dict[str, Any]:
    """Return the cuts of each kind of passage, and whether two kinds differ more than shuffled kinds do."""
    names = list(dict.fromkeys(kinds))
    marks = {name: np.array([kind == name for kind in kinds]) for name in names}
    if len(names) < 2 or min(mark.sum() for mark in marks.values()) < 2:
        return {}
    found: dict[str, Any] = {}
    for name, mark in marks.items():
        cuts = boundaries.find_cuts(fused.values[mark], fused.groups, settings.draws, seed)
        found[name] = {"n": int(mark.sum()), "cuts": cuts.cuts.tolist()}
        found[name]["cut_ci"] = np.stack([cuts.lo, cuts.hi], 1).tolist()
    first = marks[names[0]]
    pair = first | marks[names[1]]
    p = boundaries.kinds_differ(fused.values[pair], fused.groups, first[pair], settings.surrogates, seed)
    return {"cuts": found, "compared": names[:2], "p": p}


def _untrained(work: Workspace, signals: Mapping[str, Signal], settings: measuring.Settings) -> dict[str, Any]:
    values = measuring.values_of(work, "untrained")
    if not values:
        return {}
    fused = fused_of(values, signals)
    cuts = boundaries.two_cuts(fused.values.mean(0), fused.groups)[0]
    exists = existence_of(fused.values.mean(0), fused.groups, work.spec.seed, settings.surrogates)
    return {
        "passages": len(fused.values),
        "signals": fused.names,
        "cuts": cuts.tolist(),
        "left": exists.left,
        "p": exists.p,
        "curve": exists.curve.tolist(),
    }
