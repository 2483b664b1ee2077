"""The tables of interventions: effects on predictions and on generated text, for segments and other spans."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from layeratlas.runs.finding import Finding
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.segments.intervention.effects import effect_of
from layeratlas.studies.segments.intervention.generating import UNPERTURBED
from layeratlas.studies.segments.intervention.stage import read_stage
from layeratlas.studies.segments.intervention.text_findings import EditedSpan, text_findings, text_rows
from layeratlas.studies.segments.names import GENERATED_FILE, GENERATED_TEXTS_FILE, INTERVENTIONS_FILE
from layeratlas.studies.segments.outcomes import OUTCOMES

_KEYS = ("edit", "kind", "component", "strength", "span")


def write_intervention_tables(work: Workspace) -> tuple[list[str], list[Finding]]:
    """Write the tables of the interventions made; return their names and the findings on generated text."""
    outputs: list[str] = []
    findings: list[Finding] = []
    if (effects := read_stage(work, "intervene")) is not None:
        write_table(work, INTERVENTIONS_FILE, effect_table(effects, work.spec.seed))
        outputs.append(INTERVENTIONS_FILE)
    if (table := read_stage(work, "generate")) is not None:
        texts = _texts_of(table)
        rows = pl.DataFrame(text_rows(texts.clean, texts.edited, texts.controls, work.spec.seed))
        sites = table.filter(~pl.col("control")).select(*_KEYS, "blocks").unique(maintain_order=True)
        joined = sites.join(rows, on=["edit", "span"], how="inner", maintain_order="right")
        write_table(work, GENERATED_FILE, joined)
        write_table(work, GENERATED_TEXTS_FILE, table)
        outputs += [GENERATED_FILE, GENERATED_TEXTS_FILE]
        findings = text_findings(texts.clean, texts.edited, texts.controls, work.spec.seed)
    return outputs, findings


def effect_table(effects: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return one row per intervention, span and outcome, from one row per passage and site.

    `control_blocks` names the control spans, separated by semicolons; empty if none fits. `random_spans` is their
    number.
    """
    rows: list[dict[str, Any]] = []
    for key, rows_of_span in effects.group_by(*_KEYS, maintain_order=True):
        segment, control = rows_of_span.filter(~pl.col("control")), rows_of_span.filter("control")
        control_blocks = control["blocks"].unique(maintain_order=True).to_list()
        for outcome in OUTCOMES:
            controls = control[outcome].to_numpy().reshape(len(control_blocks), len(segment))
            effect = effect_of(segment[outcome].to_numpy(), controls, seed=seed)
            rows.append(
                dict(zip(_KEYS, key, strict=True))
                | {"blocks": segment["blocks"][0], "control_blocks": "; ".join(control_blocks), "outcome": outcome}
                | effect.estimate.columns("estimate", bare=True)
                | effect.control.columns("control")
                | effect.difference.columns("difference")
                | {"random_spans": len(control_blocks), "n": len(segment)}
            )
    return pl.DataFrame(rows)


@dataclass(frozen=True, kw_only=True)
class _GeneratedTexts:
    """The unperturbed texts, and the texts under every intervention on a span and on its control, in prompt order."""

    clean: list[str]
    edited: dict[EditedSpan, list[str]] = field(default_factory=dict)
    controls: dict[EditedSpan, list[str]] = field(default_factory=dict)


def _texts_of(table: pl.DataFrame) -> _GeneratedTexts:
    unperturbed = table.filter(edit=UNPERTURBED, span=UNPERTURBED).sort("prompt")
    texts = _GeneratedTexts(clean=unperturbed["text"].to_list())
    others = table.filter(pl.col("edit") != UNPERTURBED)
    for (edit, span, control), rows in others.group_by("edit", "span", "control", maintain_order=True):
        group = texts.controls if control else texts.edited
        group[EditedSpan(str(edit), str(span))] = rows.sort("prompt")["text"].to_list()
    return texts
