"""The table and the findings of a run's ablations, computed from the credit of each question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.data.questions import QuestionSet
from layeratlas.runs.finding import Finding
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.intervals import draws_interval
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.exits.ablation.effects import AblationEffect, ablation_effects
from layeratlas.studies.exits.ablation.findings import ablation_findings
from layeratlas.studies.exits.ablation.plan import WIDE, Ablation, Role
from layeratlas.studies.exits.ablation.stage import first_groups, load_ablated
from layeratlas.studies.exits.measures import accuracy, chance_levels
from layeratlas.studies.exits.names import ACCURACY, MINUS_ANSWER
from layeratlas.studies.exits.scoring import scored_set


@dataclass(frozen=True, kw_only=True)
class AblationResults:
    """The table of every level and ablation, and the findings."""

    table: pl.DataFrame
    findings: list[Finding]


@dataclass(frozen=True, kw_only=True)
class Credits:
    """The credit of each question of a level, 0 to 1.

    `clean` (n,): whole model; `ablated` (ablations, n); `chance` (n,): random choice; `groups`: n names.
    """

    level: str
    groups: list[str]
    clean: Floats
    ablated: Floats
    chance: Floats


def ablation_results(work: Workspace) -> AblationResults | None:
    """Return the table and the findings; None if nothing was ablated."""
    loaded = load_ablated(work)
    if loaded is None:
        return None
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    for credits in _by_level(work, loaded.log_likelihoods):
        resampler = Resampler(credits.groups, work.spec.probe.bootstrap, work.spec.seed)
        ablated = dict(zip(loaded.plan, credits.ablated, strict=True))
        effects = ablation_effects(credits.level, credits.clean, ablated, credits.groups, resampler)
        rows += _rows(effects, credits, resampler)
        findings += ablation_findings(effects, work.settings.score)
    return AblationResults(table=pl.DataFrame(rows, infer_schema_length=None), findings=findings)


def _by_level(work: Workspace, log_likelihoods: Floats) -> list[Credits]:
    """Return the credits of each level from `log_likelihoods` (1 + ablations, continuations).

    The columns are all choices after their questions, then without a question if the score needs it.
    """
    sets = [first_groups(data, work.settings.ablate_questions) for data in work.material]
    counts = [sum(len(question.choices) for question in data.items) for data in sets]
    total, end = sum(counts), 0
    levels: dict[str, list[Credits]] = {}
    for data, count in zip(sets, counts, strict=True):
        start, end = end, end + count
        after = log_likelihoods[:, start:end].T
        has_bare = work.settings.score == MINUS_ANSWER
        bare = log_likelihoods[:, total + start : total + end].T if has_bare else np.zeros_like(after)
        levels.setdefault(data.level, []).append(_credits(work, data, after, bare))
    return [_joined(parts) for parts in levels.values()]


def _credits(work: Workspace, data: QuestionSet, after: Floats, bare: Floats) -> Credits:
    scored = scored_set(work, data, after, bare)
    credit = accuracy(scored.scores(work.settings.score), scored.key, work.settings.strict)
    return Credits(
        level=data.level,
        groups=scored.groups,
        clean=credit[0],
        ablated=credit[1:],
        chance=chance_levels(ACCURACY, scored.key),
    )


def _joined(credits_of_sets: Sequence[Credits]) -> Credits:
    return Credits(
        level=credits_of_sets[0].level,
        groups=[group for credits in credits_of_sets for group in credits.groups],
        clean=np.concatenate([credits.clean for credits in credits_of_sets]),
        ablated=np.concatenate([credits.ablated for credits in credits_of_sets], 1),
        chance=np.concatenate([credits.chance for credits in credits_of_sets]),
    )


def _rows(effects: Sequence[AblationEffect], credits: Credits, resampler: Resampler) -> list[dict[str, Any]]:
    weights = resampler.weights(credits.groups, halves=False)[1:]
    draws = (weights @ credits.clean) / np.maximum(weights.sum(1), 1)
    lo, hi = draws_interval(draws, len(set(credits.groups)), least=0.0, most=1.0)
    shared = {
        "level": credits.level,
        "chance": float(credits.chance.mean()),
        "clean_lo": float(lo),
        "clean_hi": float(hi),
    }
    return [shared | _effect_columns(effect) | _control_columns(effect.ablation, effects) for effect in effects]


def _effect_columns(effect: AblationEffect) -> dict[str, Any]:
    ablation, change = effect.ablation, effect.change
    return {
        "role": ablation.role,
        "name": ablation.name,
        "kind": ablation.kind,
        "component": ablation.component,
        "start": ablation.start,
        "stop": ablation.stop,
        "clean": effect.clean,
        "edited": effect.ablated,
        "change": change.estimate,
        "lo": change.lo,
        "hi": change.hi,
        "p": change.p,
        "p_span": effect.share_as_large,
        "n": effect.n,
        "n_groups": effect.n_groups,
        "verdict": effect.verdict,
    }


def _control_columns(ablation: Ablation, effects: Sequence[AblationEffect]) -> dict[str, Any]:
    """Return the control columns: the effect of random ranges as wide as the half or span; empty for single blocks."""
    changes = [
        effect.change.estimate
        for effect in effects
        if ablation.role in WIDE and effect.ablation.role == Role.CONTROL and effect.ablation.width == ablation.width
    ]
    return {
        "control": float(np.mean(changes)) if changes else None,
        "control_lo": min(changes) if changes else None,
        "control_hi": max(changes) if changes else None,
        "controls": len(changes),
    }
