"""The stage that drops blocks in several orders and measures the loss in predictions; one file per half of passages."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from layeratlas.core.errors import AtlasError
from layeratlas.core.spec import hash_of
from layeratlas.runs.tables import has_part, read_table, write_part
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.segments.dropping.orders import Drop, make_drops
from layeratlas.studies.segments.measuring import TRAINED, read_values
from layeratlas.studies.segments.outcomes import OUTCOMES, judge_of
from layeratlas.studies.segments.perturbation.stage import choose_texts, read_effects
from layeratlas.studies.segments.perturbation.trials import noise_spec

FOLDER = "dropped"
_SHOWN = ("kl", "nll", "flips")


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """The measurements: one row per drop and passage, with `rule`, `number`, `count`, `passage` and outcomes."""

    table: pl.DataFrame
    influence: list[float]
    order: list[int]


def drop_stage(work: Workspace) -> list[str]:
    """Drop blocks in every order; runs only with `--set drop=true`.

    If the model cannot be edited (streamed), the stage is skipped and `run.json` gives the reason under `dropping`.
    """
    if not work.settings.drop:
        return []
    try:
        return _drop(work)
    except AtlasError as error:
        work.manifest["dropping"] = {"missing": str(error)}
        work.progress.note(f"no blocks are dropped: {error}")
        return []


def _drop(work: Workspace) -> list[str]:
    from layeratlas.capture.effects import cut_passages

    model, spec = work.model, noise_spec(work.spec.size)
    influence = read_values(work, TRAINED)["block_influence"].mean(0)
    effects = read_effects(work)
    drops = make_drops(influence, None if effects is None else effects.by_skip(), work.spec.seed)
    texts = choose_texts([passages.texts for passages in work.material], spec.passages)
    tokens = min(spec.tokens, work.manifest["segments"]["tokens"] + int(model.bos_id is not None))
    ids = [np.array(model.encode(text), np.int64) for text in texts]
    work.manifest["dropping"] = {
        "passages": len(ids),
        "tokens": tokens,
        "influence": [float(value) for value in influence],
        "measured_alone": effects is not None,
    }
    outputs = []
    with work.progress.stage("drop", sum(len(ids[drop.half :: 2]) for drop in drops)) as step:
        for half in (0, 1):
            own = [drop for drop in drops if drop.half == half]
            rows = list(range(half, len(ids), 2))
            passages = cut_passages([ids[row] for row in rows], tokens, spec.read)
            key = hash_of([work.key, [asdict(drop) for drop in own], passages.ids.tolist()])
            name = f"{FOLDER}/{key}.parquet"
            if not has_part(work, name):
                write_part(work, name, _measured(work, own, rows, passages))
            step.advance(len(own) * len(rows))
            outputs.append(name)
    return outputs


def _measured(work: Workspace, drops: list[Drop], rows: list[int], passages: object) -> pl.DataFrame:
    from layeratlas.capture.effects import PassageTokens, judge_edits

    assert isinstance(passages, PassageTokens)
    found = []
    for trial, text, outcome in judge_edits(
        work.model, passages, [[drop.edit] for drop in drops], judge_of([False] * len(drops))
    ):
        drop, values = drops[trial], dict(zip(OUTCOMES, outcome.tolist(), strict=True))
        own = {"rule": drop.rule, "number": drop.number, "count": len(drop.blocks), "passage": rows[text]}
        found.append(own | {name: values[name] for name in _SHOWN} | {"blocks": list(drop.blocks)})
    return pl.DataFrame(found).sort("rule", "number", "count", "passage")


def read_dropped(work: Workspace) -> Dropped | None:
    """Return the stage's measurements; None if nothing was dropped."""
    record = work.manifest.get("dropping", {})
    if "influence" not in record or not work.settings.drop:
        return None
    parts = [read_table(work.folder / name) for name in work.manifest["stages"]["drop"]["outputs"]]
    influence = record["influence"]
    return Dropped(table=pl.concat(parts), influence=influence, order=np.argsort(influence, kind="stable").tolist())
