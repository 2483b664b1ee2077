"""The stage that turns scores into curves, findings and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from layeratlas.runs.coherence import gated
from layeratlas.runs.draws import write_draws
from layeratlas.runs.finding import Finding
from layeratlas.runs.finding_table import finding_table
from layeratlas.runs.layer_order import LAYER_ORDER, layer_order_table
from layeratlas.runs.recommendation import Recommendation, write_recommendations
from layeratlas.runs.tables import curve_table, write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.curves import depths
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.exits.ablation.tables import ablation_results
from layeratlas.studies.exits.baselines import baseline_table
from layeratlas.studies.exits.coherence import PRESUPPOSED
from layeratlas.studies.exits.curves import ExitCurve, deciding_first, level_curves
from layeratlas.studies.exits.findings.gains import LevelGain, gain_findings, level_gains
from layeratlas.studies.exits.findings.languages import agreement_curve, language_finding
from layeratlas.studies.exits.findings.last_exit import compare_last, last_claims, last_findings
from layeratlas.studies.exits.findings.low_exits import low_exits_finding, low_reasoning_findings
from layeratlas.studies.exits.findings.number_controls import control_findings
from layeratlas.studies.exits.findings.number_types import float_findings
from layeratlas.studies.exits.findings.onsets import mid_network_finding, upper_half_findings
from layeratlas.studies.exits.findings.random_weights import random_weights_findings
from layeratlas.studies.exits.findings.starts import start_findings
from layeratlas.studies.exits.findings.token_count import token_count_finding
from layeratlas.studies.exits.free_answers import free_curve
from layeratlas.studies.exits.names import (
    ABLATION_FILE,
    ALL,
    BASELINES_FILE,
    CHAIN,
    GREEDY,
    TUNED_FILE,
    ExitFinding,
)
from layeratlas.studies.exits.random_weights import RandomSet, load_random, with_random_weights
from layeratlas.studies.exits.recommending import RULES, recommendations
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.scoring import load_scores
from layeratlas.studies.exits.set_curves import set_curves
from layeratlas.studies.exits.settings import ExitSettings
from layeratlas.studies.exits.tested import TESTED
from layeratlas.studies.exits.tuned.findings import level_credits, tuned_exits, tuned_findings, tuned_table
from layeratlas.studies.exits.tuned.stage import load_tuned


def analyse_stage(work: Workspace) -> list[str]:
    """Write curves, findings, baselines, draws and (if the run has them) ablations; return the files."""
    settings: ExitSettings = work.settings
    bootstrap, seed = work.spec.probe.bootstrap, work.spec.seed
    sets = list(load_scores(work))
    curves, findings = analyse(sets, settings, bootstrap, seed, load_random(work))
    if settings.decodes:
        method = CHAIN if settings.format == "chain" else GREEDY
        samplers = _samplers(_by_level(sets), bootstrap, seed)
        free = [free_curve(work, scored, samplers[scored.data.level], method) for scored in sets]
        curves += [*level_curves(free, _groups(_by_level(sets))), *free]
    write_table(work, "curves.parquet", curve_table(work, list(curves)))
    tuned = load_tuned(work)
    if tuned:
        credits = level_credits(sets, tuned, settings)
        exits = {c.level: tuned_exits(c, Resampler(c.groups, bootstrap, seed)) for c in credits}
        findings += tuned_findings(exits, credits, settings.score)
        write_table(work, TUNED_FILE, tuned_table(exits, work.manifest["tuned"]))
    ablated = ablation_results(work)
    if ablated:
        findings += ablated.findings
        write_table(work, ABLATION_FILE, ablated.table)
    table = finding_table(gated(findings, PRESUPPOSED), work.manifest["model"]["name"], work.spec.study, TESTED)
    write_table(work, "findings.parquet", table)
    advised = write_recommendations(work.folder, advise(curves, table, settings.score), RULES)
    # The layer order compares neighbouring layers, and comparisons of models derive depths from the number of points:
    # both need evenly spaced exits.
    even = [curve for curve in curves if is_even(curve)]
    write_table(work, LAYER_ORDER, layer_order_table(answered_levels(even, settings.score), seed))
    write_table(work, BASELINES_FILE, baseline_table(sets, curves, settings))
    kept = write_draws(work.folder, deciding_first(even, settings.score))
    return [
        "curves.parquet",
        "findings.parquet",
        BASELINES_FILE,
        LAYER_ORDER,
        advised,
        kept,
        *([TUNED_FILE] if tuned else []),
        *([ABLATION_FILE] if ablated else []),
    ]


def is_even(curve: ExitCurve) -> bool:
    """Return whether a curve's exits are evenly spaced over the whole depth."""
    return np.allclose(curve.depth, depths(len(curve.estimate), curve.component))


def answered_levels(curves: Sequence[ExitCurve], score: str) -> list[ExitCurve]:
    """Return the main curves of whole levels in which some exit beats its floor."""
    return [c for c in curves if c.is_main(score) and c.task == ALL and (c.interval[0] > c.floor).any()]


def advise(curves: Sequence[ExitCurve], findings: pl.DataFrame, score: str) -> list[Recommendation]:
    """Return the recommended exit for every level with findings."""
    exits = findings.filter(pl.col("finding") == ExitFinding.EXIT)
    tested = [c for c in curves if c.task == ALL and c.is_main(score) and c.level in exits["level"].to_list()]
    return recommendations(tested, exits.filter(pl.col("verdict") == "supported")["level"].to_list())


def analyse(
    sets: Sequence[ScoredSet],
    settings: ExitSettings,
    bootstrap: int,
    seed: int,
    random: Mapping[str, RandomSet] | None = None,
) -> tuple[list[ExitCurve], list[Finding]]:
    """Return the curves (whole levels first) and the findings.

    `bootstrap` is the number of draws over groups. `random` holds a random-weight model's scores of some questions, by
    set. Levels with a confounded set have curves but are excluded from the tests.
    """
    levels = _by_level(sets)
    samplers = _samplers(levels, bootstrap, seed)
    of_sets = [
        curve
        for scored in sets
        for curve in set_curves(scored, samplers[scored.data.level], strict=settings.strict, score=settings.score)
    ]
    by_name = {scored.data.name: scored for scored in sets}
    of_sets = with_random_weights(of_sets, by_name, random or {}, samplers, strict=settings.strict)
    of_levels = level_curves(of_sets, _groups(levels))
    confounded = {scored.data.level for scored in sets if scored.data.confounded}
    tested = [c for c in of_levels if c.is_main(settings.score) and c.level not in confounded]
    gains = level_gains(tested)
    all_groups = Resampler([group for scored in sets for group in scored.groups], bootstrap, seed)
    counting = token_count_finding(sets, all_groups, settings.score, settings.readout_note)
    findings = [counting] if counting else []
    findings += _level_findings(gains, settings.readout_note)
    findings += random_weights_findings(tested, settings.readout_note)
    for curve in tested:
        own, sampler = levels[curve.level], samplers[curve.level]
        if agreement := agreement_curve(own, curve, sampler, strict=settings.strict):
            of_levels.append(agreement)
            across = language_finding(curve, agreement)
            findings += [across] if across else []
        main = [c for c in of_sets if c.level == curve.level and c.is_main(settings.score)]
        findings += float_findings(own, main, sampler, strict=settings.strict)
        findings += control_findings(own, main, sampler, strict=settings.strict)
    return [*of_levels, *of_sets], findings


def _by_level(sets: Sequence[ScoredSet]) -> dict[str, list[ScoredSet]]:
    """Return the sets of each level."""
    levels: dict[str, list[ScoredSet]] = {}
    for scored in sets:
        levels.setdefault(scored.data.level, []).append(scored)
    return levels


def _samplers(levels: Mapping[str, Sequence[ScoredSet]], bootstrap: int, seed: int) -> dict[str, Resampler]:
    """Return a resampler per level, so that the curves of its sets share their draws."""
    return {
        level: Resampler([group for scored in own for group in scored.groups], bootstrap, seed + i)
        for i, (level, own) in enumerate(levels.items())
    }


def _groups(levels: Mapping[str, Sequence[ScoredSet]]) -> dict[str, int]:
    """Return how many groups of questions each level has."""
    return {level: len({group for scored in own for group in scored.groups}) for level, own in levels.items()}


def _level_findings(gains: Sequence[LevelGain], readout_note: str) -> list[Finding]:
    """Return the findings about whole levels, and the published claims X1 to X5 and X9."""
    curves = [gain.curve for gain in gains]
    comparisons = compare_last(curves)
    findings = [*gain_findings(gains, readout_note), *last_findings(comparisons, readout_note)]
    findings += upper_half_findings(gains)
    findings += last_claims(comparisons, readout_note)
    findings += start_findings(gains)
    findings += low_reasoning_findings(curves, readout_note)
    if gains:
        findings += [mid_network_finding(gains), *low_exits_finding(curves, readout_note)]
    return findings
