"""The stage that continues prompts under every intervention; each file holds the texts of one of them."""

from __future__ import annotations

from typing import Any

import polars as pl

from layeratlas.core.edits import Edit
from layeratlas.core.errors import AtlasError, DataError
from layeratlas.core.spec import hash_of
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.segments.intervention.plan import Place, Wanted
from layeratlas.studies.segments.intervention.stage import Bench, bench_of, place_columns, places_for
from layeratlas.studies.segments.perturbation.stage import choose_texts

FOLDER = "generated"
FEWEST = 6


def stage(work: Workspace) -> list[str]:
    """Generate without and under every intervention and return the files made; nothing without `generate`.

    Where text cannot be generated (too few passages, a context that is too short), nothing is made and `run.json` says
    why under `generated`.
    """
    settings = work.settings
    if not settings.generate:
        return []
    try:
        prompts = _prompts(work)
        bench = bench_of(work)
        wanted = bench.wanted(settings.edits)
        jobs = [(one, place) for one in wanted for place in places_for(work, one, controls=1)]
        outputs = []
        with work.progress.stage("generate", len(jobs) + 1) as step:
            for job in (None, *jobs):
                outputs.append(_write(work, bench, prompts, job))
                step.advance()
    except AtlasError as error:
        work.manifest["generated"] = {"missing": str(error)}
        work.progress.note(f"no text is generated: {error}")
        return []
    work.manifest["generated"] = {
        "prompts": len(prompts), "prompt tokens": len(prompts[0]), "new tokens": settings.new_tokens,
    }  # fmt: skip
    return outputs


def _prompts(work: Workspace) -> list[list[int]]:
    """Return the first tokens of passages of every kind in turn, all of one length."""
    settings = work.settings
    texts = choose_texts([data.texts for data in work.material], settings.prompts)
    if len(texts) < FEWEST:
        raise DataError(f"{len(texts)} passages to take prompts from", f"{FEWEST} or more, to test anything")
    ids = [work.model.encode(text) for text in texts]
    length = min(settings.prompt_tokens + int(work.model.bos_id is not None), *map(len, ids))
    return [one[:length] for one in ids]


def _write(work: Workspace, bench: Bench, prompts: list[list[int]], job: tuple[Wanted, Place] | None) -> str:
    """Write the texts of one intervention at one place (or of none) and return the file's name."""
    settings = work.settings
    columns: dict[str, Any] = {
        "edit": "none", "kind": "none", "component": "resid", "strength": float("nan"), "span": "none",
        "blocks": "none", "control": False,
    } if job is None else place_columns(*job)  # fmt: skip
    key = [work.key, prompts, settings.new_tokens, {**columns, "strength": str(columns["strength"])}]
    name = f"{FOLDER}/{hash_of(key)}.parquet"
    if not (work.folder / name).exists():
        texts = continued(work, prompts, [] if job is None else [bench.edit(*job)], settings.new_tokens)
        rows = [{**columns, "prompt": i, "text": text} for i, text in enumerate(texts)]
        write_table(work, name, pl.DataFrame(rows))
    return name


def continued(work: Workspace, prompts: list[list[int]], edits: list[Edit], new_tokens: int) -> list[str]:
    """Return what prompts (token ids) are continued with under edits, greedily."""
    from layeratlas.models import intervene
    from layeratlas.models.decoding import greedy

    with intervene(work.model, edits) as lines:

        def number(rows: list[int]) -> None:
            lines.samples = rows

        made = greedy(work.model, prompts, new_tokens, number)
    return [str(work.model.tokenizer.decode(ids, skip_special_tokens=True)) for ids in made]
