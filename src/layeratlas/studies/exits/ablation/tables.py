"""What the ablations of a run say: credits of every question, effects by ability, table, findings and methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.data.questions import QuestionSet
from layeratlas.runs.finding import Finding
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.exits.ablation.effects import Ablation, AblationEffect, ablation_effects, ablation_findings
from layeratlas.studies.exits.ablation.stage import first_groups, load_ablated
from layeratlas.studies.exits.choices import Scored, accuracy, chances
from layeratlas.studies.exits.prompts import ExitSettings

FILE = "ablation.parquet"


@dataclass(frozen=True)
class Credits:
    """What each question of an ability earns, (1 + ablations, n), the whole model first, and by blind choice, (n,)."""

    ability: str
    groups: list[str]
    values: Floats
    chance: Floats


def ablation_results(work: Workspace) -> tuple[pl.DataFrame, list[Finding]] | None:
    """Return the table of every ability and ablation, and the findings; None where nothing was ablated."""
    loaded = load_ablated(work)
    if loaded is None:
        return None
    plan, values = loaded
    rows: list[dict[str, Any]] = []
    found: list[Finding] = []
    for one in _by_ability(work, values):
        sampler = Resampler(one.groups, work.spec.probe.bootstrap, work.spec.seed)
        edited = dict(zip(plan, one.values[1:], strict=True))
        effects = ablation_effects(one.ability, one.values[0], edited, one.groups, sampler)
        rows += _rows(effects, one, sampler)
        # The run's findings are read by score; what was taken away stands in the statement.
        found += [replace(f, method=work.settings.score) for f in ablation_findings(effects)]
    return pl.DataFrame(rows, infer_schema_length=None), found


def _by_ability(work: Workspace, values: Floats) -> list[Credits]:
    settings = work.settings
    parts = [first_groups(data, settings.ablate_questions) for data in work.material]
    counts = [sum(len(q.choices) for q in part.items) for part in parts]
    ends = np.cumsum(counts)
    whole = settings.score == "minus_answer"
    made: dict[str, list[Credits]] = {}
    for data, part, end, count in zip(work.material, parts, ends, counts, strict=True):
        after = values[:, end - count : end].T
        bare = values[:, ends[-1] + end - count : ends[-1] + end].T if whole else np.zeros_like(after)
        made.setdefault(part.level, []).append(_credits(work, data, part, (after, bare), settings))
    return [_joined(level, own) for level, own in made.items()]


def _credits(
    work: Workspace, data: QuestionSet, part: QuestionSet, values: tuple[Floats, Floats], settings: ExitSettings
) -> Credits:
    items = pl.read_parquet(
        work.folder / f"items/{data.name}.parquet", columns=["group", "tokens", "characters", "bytes"]
    )
    kept = items.filter(pl.col("group").is_in({q.group for q in part.items}))
    sizes = [kept[name].explode().to_numpy().astype(float) for name in ("tokens", "characters", "bytes")]
    scored = Scored(part, *values, *sizes)
    credit = accuracy(scored.scores(settings.score), scored.table, settings.strict)
    return Credits(part.level, [q.group for q in part.items], credit, chances("accuracy", scored.table))


def _joined(level: str, parts: Sequence[Credits]) -> Credits:
    groups = [group for part in parts for group in part.groups]
    return Credits(
        level, groups, np.concatenate([p.values for p in parts], 1), np.concatenate([p.chance for p in parts])
    )


def _rows(effects: Sequence[AblationEffect], one: Credits, sampler: Resampler) -> list[dict[str, Any]]:
    weights = sampler.weights(one.groups)[1 : 1 + sampler.bootstrap]
    draws = (weights @ one.values[0]) / np.maximum(weights.sum(1), 1)
    lo, hi = np.percentile(draws, [2.5, 97.5])
    # Where all are right, or all wrong, no draw knows of rarer errors.
    reach = 3 / len(set(one.groups)) if hi - lo < 1e-12 else 0.0
    lo, hi = max(lo - reach, 0.0), min(hi + reach, 1.0)
    shared = {"ability": one.ability, "chance": float(one.chance.mean()), "clean_lo": float(lo), "clean_hi": float(hi)}
    return [shared | _ablation(e.ablation) | _effect(e) | _alike(e, effects) for e in effects]


def _ablation(a: Ablation) -> dict[str, Any]:
    return {
        "role": a.role, "name": a.name, "kind": a.kind, "component": a.component, "start": a.start, "stop": a.stop
    }  # fmt: skip


def _effect(e: AblationEffect) -> dict[str, Any]:
    verdict = "inconclusive" if e.p > 0.05 else "supported" if e.change < 0 else "not supported"
    names = ("clean", "edited", "change", "lo", "hi", "p", "p_span", "n", "n_groups")
    return {name: getattr(e, name) for name in names} | {"verdict": verdict}


def _alike(own: AblationEffect, effects: Sequence[AblationEffect]) -> dict[str, Any]:
    """Return what random stretches as wide as a half or a span do."""
    width = own.ablation.stop - own.ablation.start
    wide = own.ablation.role in ("half", "span")
    same = [
        e.change
        for e in effects
        if wide and e.ablation.role == "control" and e.ablation.stop - e.ablation.start == width
    ]
    numbers = [float(f(same)) if same else None for f in (np.mean, np.min, np.max)]
    return dict(zip(("control", "control_lo", "control_hi"), numbers, strict=True)) | {"controls": len(same)}


def methods(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was ablated, or why nothing was."""
    record = run.get("ablation")
    if not record:
        return []
    if "missing" in record:
        return [("Ablation", f"Asked for and not made: {record['missing']}.")]
    asked = ", ".join(f"{name} {n}" for name, n in record["questions"].items())
    return [
        (
            "Ablation",
            f"{record['ablations']} ablations, each one pass of the first questions (whole groups: {asked}) after at "
            f"most {record['shots']} worked examples, read at the last exit. A skipped block's output is its input; "
            "what attention or MLP adds is set to zero or to its mean over these questions with their true choice. "
            "The first position, where attention rests, is left as it is. Change: ablated less whole, the same "
            "questions.",
        )
    ]
