"""The stage that asks: prompts and choices to log-likelihoods at every exit, written as tables of the run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from layeratlas.core.spec import CaptureSpec, hash_of
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.store.shards import load_shard, write_shard
from layeratlas.studies.exits.choices import Scored
from layeratlas.studies.exits.decoding import free_answers
from layeratlas.studies.exits.posing import Posed, pose
from layeratlas.studies.exits.prompts import ExitSettings

if TYPE_CHECKING:
    from layeratlas.capture import Readout, Slots
    from layeratlas.capture.exit_store import ExitStore

EXITS = "exits"


def score_stage(work: Workspace) -> list[str]:
    """Run every distinct prefix of every question and choice through the model once and keep log-likelihoods."""
    settings, model = work.settings, work.model

    from layeratlas.capture import Readout, make_slots

    posed = [pose(model, data, settings) for data in work.material]
    for data in work.material:
        if data.confounded:
            work.progress.note(f"{data.name} is drawn, and no finding is made of it: {data.confounded}")
    every = [one for part in posed for one in (*part.after, *part.bare)]
    readout = Readout(model, settings.exit_norm == "final")
    found = _run(work, make_slots(every), readout, settings)
    work.manifest["boundaries"] = {
        part.data.name: sum(not one.clean for one in part.after) for part in posed
    }  # choices whose prompt's tokens are no true prefix
    outputs, start = [], 0
    for part in posed:
        middle, end = start + len(part.after), start + len(part.after) + len(part.bare)
        outputs += [_write_items(work, part), _write_scores(work, part, found[start:middle], found[middle:end])]
        start = end
    return outputs + (free_answers(work, posed, settings, readout) if settings.format == "free" else [])


def _run(work: Workspace, slots: Slots, readout: Readout, settings: ExitSettings) -> NDArray[np.float64]:
    """Return the log-likelihood of every continuation at every exit, from the shards of a run that was stopped too."""
    from layeratlas.capture import capture, choose_plan, store_key
    from layeratlas.capture.exit_store import ExitStore, exit_shape
    from layeratlas.store import DiskStore

    model, spec = work.model, CaptureSpec(components=("resid",), batch_tokens=work.spec.capture.batch_tokens)
    key = hash_of([store_key(model, slots.readings, spec), slots.tokens.tolist(), settings.exit_norm])
    inner = DiskStore(work.folder / EXITS, exit_shape(readout, slots), key)
    inner.check_space()
    store: ExitStore = ExitStore(inner, readout, slots)
    packing = choose_plan(model, slots.readings, spec)
    work.manifest["capture"] = packing.record() | {"rows": len(slots.readings), "wanted": len(slots.tokens)}
    capture(model, packing.batches, store, work.progress, packing.form)
    return store.log_likelihoods()


def _write_items(work: Workspace, part: Posed) -> str:
    """Write a set's questions with the sizes of their choices; note the set in `run.json`."""
    data, lengths = part.data, [len(one.ids) for one in part.after]
    sizes, at = [len(one.ids) - one.start for one in part.after], 0
    rows: list[dict[str, Any]] = []
    for question, asked in zip(data.items, part.asked, strict=True):
        end = at + len(question.choices)
        rows.append(
            asdict(question)
            | {
                "task": data.name,
                "level": data.level,
                "language": data.language,
                "prompt": asked.prompt,
                "prompt_tokens": part.after[at].start,
                "tokens": sizes[at:end],
                "bytes": [len(c.strip().encode()) for c in asked.choices],
                "characters": [len(c.strip()) for c in asked.choices],
            }
        )
        at = end
    name = f"items/{data.name}.parquet"
    write_table(work, name, pl.DataFrame(rows, infer_schema_length=None))
    places = [str(q.answers[0] + 1) for q in data.items]
    record = {"name": data.name, "level": data.level, "n": len(rows), "n_groups": len({q.group for q in data.items})}
    record |= {"classes": {f"choice {p}": places.count(p) for p in sorted(set(places), key=int)}}
    record |= {"tokens": {"mean": float(np.mean(lengths)), "max": max(lengths)}}
    record |= {"language": data.language, "shots": min(work.settings.shots, len(data.shots))}
    record |= {"confounded": data.confounded} if data.confounded else {}
    others = [d for d in work.manifest["datasets"] if d["name"] != data.name]
    work.manifest["datasets"] = [*others, record]
    return name


def _write_scores(work: Workspace, part: Posed, after: NDArray[np.float64], bare: NDArray[np.float64]) -> str:
    name = f"scores/{part.data.name}.safetensors"
    write_shard(work.folder / name, work.key, {"after": after, "bare": bare})
    return name


def load_scored(work: Workspace) -> Iterator[Scored]:
    """Yield every question set with what its choices got; raises StoreError for a damaged file or another run's."""
    for data in work.material:
        items = pl.read_parquet(work.folder / f"items/{data.name}.parquet")
        sizes = [items[name].explode().to_numpy().astype(float) for name in ("tokens", "characters", "bytes")]
        found, _ = load_shard(work.folder / f"scores/{data.name}.safetensors", work.key)
        yield Scored(data, found["after"], found["bare"], *sizes)
