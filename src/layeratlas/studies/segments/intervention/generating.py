"""The stage that continues prompts under every intervention; one file per intervention and site."""

from __future__ import annotations

from typing import Any

import polars as pl

from layeratlas.core.edits import Edit
from layeratlas.core.errors import AtlasError, DataError
from layeratlas.core.spec import hash_of
from layeratlas.runs.tables import has_part, write_part
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.segments.intervention.plan import Intervention, Site
from layeratlas.studies.segments.intervention.stage import Bench, bench_of, run_sites, site_columns
from layeratlas.studies.segments.intervention.text_tests import FEWEST_PROMPTS
from layeratlas.studies.segments.perturbation.stage import choose_texts

FOLDER = "generated"
# The values of the columns `edit` and `span` for texts generated without an intervention.
UNPERTURBED = "none"
_UNPERTURBED_COLUMNS = {
    "edit": UNPERTURBED,
    "kind": UNPERTURBED,
    "component": "resid",
    "strength": float("nan"),
    "span": UNPERTURBED,
    "blocks": "none",
    "control": False,
}


def generate_stage(work: Workspace) -> list[str]:
    """Generate text without and with every intervention; return the files written (none without `generate`).

    If text cannot be generated (too few passages, or a context that is too short), no file is written and `run.json`
    gives the reason under `generated`.
    """
    settings = work.settings
    if not settings.generate:
        return []
    try:
        prompts = _prompts(work)
        bench = bench_of(work)
        jobs = [
            (intervention, site)
            for intervention in bench.interventions(settings.edits)
            for site in run_sites(work, intervention, controls=1)
        ]
        outputs = []
        with work.progress.stage("generate", len(jobs) + 1) as step:
            for job in (None, *jobs):
                outputs.append(_write_texts(work, bench, prompts, job))
                step.advance()
    except AtlasError as error:
        work.manifest["generated"] = {"missing": str(error)}
        work.progress.note(f"no text is generated: {error}")
        return []
    work.manifest["generated"] = {
        "prompts": len(prompts),
        "prompt tokens": len(prompts[0]),
        "new tokens": settings.new_tokens,
    }
    return outputs


def _prompts(work: Workspace) -> list[list[int]]:
    """Return the first tokens of passages, taken in turn from each set, all of equal length."""
    settings = work.settings
    texts = choose_texts([passages.texts for passages in work.material], settings.prompts)
    if len(texts) < FEWEST_PROMPTS:
        raise DataError(f"{len(texts)} passages to take prompts from", f"{FEWEST_PROMPTS} or more, for a test")
    ids = [work.model.encode(text) for text in texts]
    length = min(settings.prompt_tokens + int(work.model.bos_id is not None), *map(len, ids))
    return [text[:length] for text in ids]


def _write_texts(work: Workspace, bench: Bench, prompts: list[list[int]], job: tuple[Intervention, Site] | None) -> str:
    """Write the texts generated under one intervention at one site (or under none); return the file name."""
    new_tokens = work.settings.new_tokens
    columns: dict[str, Any] = _UNPERTURBED_COLUMNS if job is None else site_columns(*job)
    key = [work.key, prompts, new_tokens, {**columns, "strength": str(columns["strength"])}]
    name = f"{FOLDER}/{hash_of(key)}.parquet"
    if not has_part(work, name):
        texts = continue_prompts(work, prompts, [] if job is None else [bench.edit(*job)], new_tokens)
        rows = [{**columns, "prompt": i, "text": text} for i, text in enumerate(texts)]
        write_part(work, name, pl.DataFrame(rows))
    return name


def continue_prompts(work: Workspace, prompts: list[list[int]], edits: list[Edit], new_tokens: int) -> list[str]:
    """Return the greedy continuations of prompts (token ids) under edits."""
    from layeratlas.models import intervene
    from layeratlas.models.decoding import greedy

    with intervene(work.model, edits) as lines:

        def number(rows: list[int]) -> None:
            lines.samples = rows

        continuations = greedy(work.model, prompts, new_tokens, number)
    return [str(work.model.tokenizer.decode(ids, skip_special_tokens=True)) for ids in continuations]
