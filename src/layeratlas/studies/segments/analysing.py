"""The stage that derives tables and findings from the measurements."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from layeratlas.runs.coherence import gated
from layeratlas.runs.draws import write_draws
from layeratlas.runs.finding import Finding
from layeratlas.runs.finding_table import finding_table
from layeratlas.runs.recommendation import write_recommendations
from layeratlas.runs.tables import CURVE_KEYS, CURVE_VALUES, write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.store.shards import Tensors
from layeratlas.studies.segments.attention.findings import SIGNALS, Kinds, attention_findings
from layeratlas.studies.segments.attention.table import attention_table
from layeratlas.studies.segments.coherence import PRESUPPOSED
from layeratlas.studies.segments.dependence import segment_findings
from layeratlas.studies.segments.dropping.findings import drop_findings, drop_table
from layeratlas.studies.segments.dropping.stage import read_dropped
from layeratlas.studies.segments.information import stage as informing
from layeratlas.studies.segments.information.bounds import bounds_of, information_table
from layeratlas.studies.segments.information.findings import information_findings
from layeratlas.studies.segments.information.stage import read_informed
from layeratlas.studies.segments.intervention.tables import write_intervention_tables
from layeratlas.studies.segments.measuring import TRAINED, UNTRAINED, VIEWS, read_values
from layeratlas.studies.segments.names import (
    ATTENTION_FILE,
    BRITTLENESS,
    BRITTLENESS_FILE,
    CURVES_FILE,
    DROPPED_FILE,
    FINDINGS_FILE,
    INFORMATION_FILE,
    SIMILARITY_FILE,
)
from layeratlas.studies.segments.passages import groups_of, kinds_of
from layeratlas.studies.segments.perturbation.brittleness import Brittleness
from layeratlas.studies.segments.perturbation.findings import brittleness_findings
from layeratlas.studies.segments.perturbation.stage import read_effects
from layeratlas.studies.segments.perturbation.tables import curve_rows, segment_rows
from layeratlas.studies.segments.recommending import RULES, recommendations
from layeratlas.studies.segments.record import read_segments
from layeratlas.studies.segments.signals import passage_signals, set_metrics
from layeratlas.studies.segments.tables import as_numbers, passage_rows, set_rows, settle_finding, similarity_map
from layeratlas.studies.segments.tested import TESTED


def analyse_stage(work: Workspace) -> list[str]:
    """Write the curves, the findings, the similarity map, and the tables of perturbations and interventions."""
    trained = read_values(work, TRAINED)
    effects = read_effects(work)
    brittleness = Brittleness(effects, work.spec.seed) if effects else None
    rows = _signal_rows(work, trained)
    findings = segment_findings(read_segments(work.folder))
    if "settled" in _measured(work, trained):
        findings.append(settle_finding(trained["settled"], work.spec.seed))
    outputs = [CURVES_FILE, FINDINGS_FILE, SIMILARITY_FILE]
    if brittleness:
        rows.append(as_numbers(pl.DataFrame(curve_rows(brittleness))))
        findings += brittleness_findings(brittleness)
        write_table(work, BRITTLENESS_FILE, pl.DataFrame(segment_rows(brittleness)))
        outputs += [BRITTLENESS_FILE, write_recommendations(work.folder, recommendations(brittleness), RULES)]
    dropped = read_dropped(work)
    if dropped:
        findings += drop_findings(dropped, work.spec.seed)
        write_table(work, DROPPED_FILE, drop_table(dropped, work.spec.seed))
        outputs.append(DROPPED_FILE)
    information = _write_information(work)
    if information:
        findings += information
        outputs.append(INFORMATION_FILE)
    attention = _write_attention(work, trained)
    if attention:
        findings += attention
        outputs.append(ATTENTION_FILE)
    tables, text_findings = write_intervention_tables(work)
    _write_curves(work, rows)
    _write_findings(work, [*findings, *text_findings])
    write_table(work, SIMILARITY_FILE, similarity_map(trained["cka"]))
    return [*outputs, *tables, _write_draws(work, brittleness)]


def _write_information(work: Workspace) -> list[Finding]:
    """Write the bounds of mutual information and return their findings; empty if nothing was decoded."""
    trained = read_informed(work, informing.TRAINED)
    if trained is None:
        return []
    random, passages = read_informed(work, informing.RANDOM), int(trained.passages.max()) + 1
    own = bounds_of(trained, work.spec.seed)
    control = None if random is None else bounds_of(random, work.spec.seed)
    write_table(work, INFORMATION_FILE, information_table(own, control, passages))
    return information_findings(own, control, passages)


def _write_attention(work: Workspace, trained: Tensors) -> list[Finding]:
    """Write attention by kind of text and return its findings; empty for one kind, or without attention maps."""
    segments, sets = work.manifest["segments"], work.manifest["datasets"]
    kinds = Kinds.of(
        kinds_of(work),
        groups_of(work),
        segments.get("characters_per_token", {}),
        languages=all(data.get("languages", False) for data in sets),
    )
    measured = {name: trained[name] for name in SIGNALS if name in _measured(work, trained)}
    if kinds is None or not measured:
        return []
    write_table(work, ATTENTION_FILE, attention_table(measured, kinds, work.spec.seed))
    return attention_findings(measured, kinds, work.spec.seed)


def _measured(work: Workspace, trained: Tensors) -> list[str]:
    """Return the per-passage signals that were measured in every passage."""
    missing = work.manifest["segments"]["missing"]
    return [name for name in passage_signals() if name in trained and name not in missing]


def _signal_rows(work: Workspace, trained: Tensors) -> list[pl.DataFrame]:
    """Return the table rows of every signal, both per-passage and whole-set signals."""
    signals, metrics, seed = passage_signals(), set_metrics(), work.spec.seed
    control = read_values(work, UNTRAINED)
    vectors = {"means": trained["means"], "tokens": trained["tokens"]} | read_values(work, VIEWS)
    rows = []
    measured = _measured(work, trained)
    with work.progress.stage("analyse", len(measured) + len(metrics)) as step:
        for name in measured:
            rows.append(passage_rows(signals[name], trained[name], control.get(name), seed))
            step.advance()
        for metric in metrics:
            if metric.reads in vectors:
                rows += set_rows(metric, vectors[metric.reads], seed)
            step.advance()
    return rows


def _write_curves(work: Workspace, rows: Sequence[pl.DataFrame]) -> None:
    curves = _of_run(work, pl.concat(rows, how="diagonal_relaxed"))
    write_table(work, CURVES_FILE, curves.select(*CURVE_KEYS, *CURVE_VALUES))


def _write_findings(work: Workspace, findings: Sequence[Finding]) -> None:
    write_table(
        work,
        FINDINGS_FILE,
        finding_table(gated(findings, PRESUPPOSED), work.manifest["model"]["name"], work.spec.study, TESTED),
    )


def _of_run(work: Workspace, table: pl.DataFrame) -> pl.DataFrame:
    """Return a table with added columns that name the run."""
    return table.with_columns(
        model=pl.lit(work.manifest["model"]["name"]),
        study=pl.lit(work.spec.study),
    )


def _write_draws(work: Workspace, brittleness: Brittleness | None) -> str:
    """Write the draws of each segment's brittleness.

    All models are perturbed on the same passages with the same resampling, so differences between models are paired.
    """
    values = {}
    if brittleness:
        for name, span in brittleness.effects.segments.items():
            values[f"{BRITTLENESS} {name}"] = brittleness.measured("segment", span).plausible
    return write_draws(work.folder, [], values)
