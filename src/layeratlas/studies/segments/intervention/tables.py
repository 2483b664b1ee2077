"""The tables of interventions: what each did to predictions and to generated text, beside other stretches."""

from __future__ import annotations

from typing import Any

import polars as pl

from layeratlas.runs.finding import Finding
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.segments.intervention.generated_spans import Key, generated_rows, generated_span_findings
from layeratlas.studies.segments.intervention.plan import effect_of
from layeratlas.studies.segments.intervention.stage import read_stage
from layeratlas.studies.segments.outcomes import OUTCOMES

EFFECTS = "interventions.parquet"
TEXTS = "generated_texts.parquet"
GENERATED = "generated.parquet"
_WHAT = ("edit", "kind", "component", "strength", "span")


def edit_tables(work: Workspace) -> tuple[list[str], list[Finding]]:
    """Write the tables of interventions that were made; return their names and the findings on generated text."""
    outputs: list[str] = []
    findings: list[Finding] = []
    if (made := read_stage(work, "intervene")) is not None:
        write_table(work, EFFECTS, effect_table(made, work.spec.seed))
        outputs.append(EFFECTS)
    if (texts := read_stage(work, "generate")) is not None:
        clean, edited, controls = _texts(texts)
        rows = pl.DataFrame(generated_rows(clean, edited, controls, work.spec.seed))
        places = texts.filter(~pl.col("control")).select(*_WHAT, "blocks").unique(maintain_order=True)
        table = places.join(rows, on=["edit", "span"], how="inner", maintain_order="right")
        write_table(work, GENERATED, table)
        write_table(work, TEXTS, texts)
        outputs += [GENERATED, TEXTS]
        findings = generated_span_findings(clean, edited, controls, work.spec.seed)
    return outputs, findings


def effect_table(made: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return a row for each intervention, stretch and outcome, from a row for each passage and place.

    `control_blocks` names the other stretches that it is held against, parted by semicolons; empty where none fits.
    """
    rows: list[dict[str, Any]] = []
    for what, part in made.group_by(*_WHAT, maintain_order=True):
        own, other = (part.filter(pl.col("control") == control) for control in (False, True))
        against = other["blocks"].unique(maintain_order=True).to_list()
        places = {"blocks": own["blocks"][0], "control_blocks": "; ".join(against)}
        for outcome in OUTCOMES:
            controls = other[outcome].to_numpy().reshape(len(against), len(own))
            effect = effect_of(own[outcome].to_numpy(), controls, seed=seed)
            row: dict[str, Any] = dict(zip(_WHAT, what, strict=True)) | places | {"outcome": outcome}
            for name in ("estimate", "control", "difference"):
                ends = ("lo", "hi") if name == "estimate" else (f"{name}_lo", f"{name}_hi")
                row |= dict(zip((name, *ends), getattr(effect, name), strict=True))
            rows.append(row | {"random_spans": len(against), "n": len(own)})
    return pl.DataFrame(rows)


def _texts(texts: pl.DataFrame) -> tuple[list[str], dict[Key, list[str]], dict[Key, list[str]]]:
    """Return the unperturbed texts, and those of every intervention on a stretch and on its control."""
    found: tuple[dict[Key, list[str]], dict[Key, list[str]]] = ({}, {})
    for (edit, span, control), part in texts.group_by("edit", "span", "control", maintain_order=True):
        found[int(bool(control))][str(edit), str(span)] = part.sort("prompt")["text"].to_list()
    clean = found[0].pop(("none", "none"))
    return clean, found[0], found[1]
