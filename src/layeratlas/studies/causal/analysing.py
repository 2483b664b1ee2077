"""The stage that derives the table, the curves and the findings from logits and vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.arrays import Ints
from layeratlas.data.prompts import PromptSet
from layeratlas.runs.coherence import gated
from layeratlas.runs.finding import corrected
from layeratlas.runs.finding_table import finding_table
from layeratlas.runs.manifest import CURVES, FINDINGS
from layeratlas.runs.recommendation import write_recommendations
from layeratlas.runs.tables import CONTROL_SCHEMA, CURVE_SCHEMA, write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.causal.capturing import load_read
from layeratlas.studies.causal.coherence import PRESUPPOSED
from layeratlas.studies.causal.editing import load_effects
from layeratlas.studies.causal.effects import Cell, Measured, SetEffects, set_effects
from layeratlas.studies.causal.findings import causal_findings
from layeratlas.studies.causal.moving import Plan
from layeratlas.studies.causal.names import ACCURACY, ERASE, LOG_ODDS, PROBE, TABLE_FILE, CausalFinding, Edited
from layeratlas.studies.causal.reading import readings_of
from layeratlas.studies.causal.recommending import RULES, recommendations
from layeratlas.studies.causal.tested import TESTED


def analyse_stage(work: Workspace) -> list[str]:
    """Write `causal.parquet`, the curves, the findings and where to steer."""
    points: list[int] = work.manifest["points"]
    with work.progress.stage("analyse", len(work.material)) as step:
        sets = []
        for data in work.material:
            sets.append(_effects(work, data, points))
            step.advance()
    write_table(work, TABLE_FILE, effect_table(sets))
    write_table(work, CURVES, _curves(work, sets))
    found = gated(causal_findings(sets, work.manifest["words"]["levels"]), PRESUPPOSED)
    write_table(work, FINDINGS, finding_table(found, work.manifest["model"]["name"], work.spec.study, TESTED))
    steered = [f.level for f, _ in corrected(found) if (f.finding, f.verdict) == (CausalFinding.STEERED, "supported")]
    return [
        TABLE_FILE,
        CURVES,
        FINDINGS,
        write_recommendations(work.folder, recommendations(sets, steered, _layers(work)), RULES),
    ]


def _effects(work: Workspace, data: PromptSet, points: Sequence[int]) -> SetEffects:
    read, dataset = load_read(work, data.name), data.dataset
    plan = Plan.of(dataset, work.spec.probe, work.settings, work.spec.seed)
    rows, clean, edited = load_effects(work, data.name)
    measured = Measured(
        clean=clean, edited=edited, edits=plan.edits, codes=_at(plan.codes, rows), groups=_groups(data, rows)
    )
    return set_effects(
        data.level,
        measured,
        readings_of(read.vectors, dataset, plan, work.spec.probe, work.spec.seed),
        points,
        work.settings,
        Resampler(measured.groups, work.spec.probe.bootstrap, work.spec.seed),
    )


def _at(codes: Ints, rows: Ints) -> Ints:
    chosen: Ints = codes[rows]
    return chosen


def _groups(data: PromptSet, rows: Ints) -> list[str]:
    return [data.items[row].group for row in rows]


def effect_table(sets: Sequence[SetEffects]) -> pl.DataFrame:
    """Return one row per set and point."""
    rows = [_row(effects, cell) for effects in sets for cell in effects.cells]
    return pl.DataFrame(rows, infer_schema_length=None)


def _row(effects: SetEffects, cell: Cell) -> dict[str, Any]:
    reading = cell.reading
    row: dict[str, Any] = {
        "level": effects.level,
        "point": cell.point,
        "accuracy": reading.gain.estimate + reading.chance,
        "accuracy_lo": reading.gain.lo + reading.chance,
        "accuracy_hi": reading.gain.hi + reading.chance,
        "chance": reading.chance,
        "encoded_p": reading.gain.p,
        "encoded": reading.verdict,
        "accuracy_left": reading.left,
        "clean": effects.answered.estimate,
        "clean_accuracy": effects.accuracy,
        "erased_accuracy": cell.erased_accuracy,
        "margin": cell.margin,
        "least_shift": cell.least,
    }
    row |= {f"loss_{edit.replace(' ', '_')}": cell.losses[edit] for edit in Edited}
    for name, effect in (("used", cell.used), ("specific", cell.specific), ("steered", cell.steered)):
        row |= {f"{name}_by": effect.estimate, f"{name}_lo": effect.lo, f"{name}_hi": effect.hi, f"{name}_p": effect.p}
    verdicts = {"used": cell.verdict, "unused_p": cell.unused_p, "steered": cell.moves}
    return row | verdicts | {"n": effects.n, "n_groups": effects.n_groups}


def _curves(work: Workspace, sets: Sequence[SetEffects]) -> pl.DataFrame:
    """Return probe accuracy and the cost of erasing, as curves over the edited points."""
    rows = [row for effects in sets for row in _curve_rows(effects, _layers(work))]
    model = work.manifest["model"]["name"]
    shared = {"model": model, "study": work.spec.study, "component": "resid", "stratum": "all"}
    table = pl.DataFrame([shared | row for row in rows], infer_schema_length=None)
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in CONTROL_SCHEMA.items()]
    return table.with_columns(missing).select(*CURVE_SCHEMA, *CONTROL_SCHEMA).cast(CURVE_SCHEMA | CONTROL_SCHEMA)


def _layers(work: Workspace) -> int:
    layers: int = work.manifest["model"]["layers"]
    return layers


def _curve_rows(effects: SetEffects, layers: int) -> Iterator[dict[str, Any]]:
    for cell in effects.cells:
        reading = cell.reading
        own = {"level": effects.level, "task": "all", "layer": cell.point, "depth": cell.point / layers}
        accuracy = Effect(
            estimate=reading.gain.estimate + reading.chance,
            lo=reading.gain.lo + reading.chance,
            hi=reading.gain.hi + reading.chance,
        )
        control = max(cell.losses[Edited.RANDOM], cell.losses[Edited.SHUFFLED])
        for method, metric, effect, chance, level in (
            (PROBE, ACCURACY, accuracy, reading.chance, reading.shuffled),
            (ERASE, LOG_ODDS, cell.loss, 0.0, control),
        ):
            yield own | {
                "method": method,
                "metric": metric,
                "estimate": effect.estimate,
                "lo": effect.lo,
                "hi": effect.hi,
                "chance": chance,
                "control": level,
                "control_lo": np.nan,
                "control_hi": np.nan,
                "baseline": None,
                "n": effects.n,
                "n_groups": effects.n_groups,
            }
