"""The stage that perturbs a model over passages, and what later stages read of it.

A folder `perturbed/` holds one file per first edited block, so that an interrupted stage goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from layeratlas.core.edits import thirds
from layeratlas.core.errors import AtlasError, ModelError
from layeratlas.core.files import read_json
from layeratlas.core.spec import hash_of
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.segments.outcomes import OUTCOMES, Reference
from layeratlas.studies.segments.perturbation.trials import (
    Effects,
    NoiseSpec,
    Spans,
    Trial,
    make_trials,
    noise_spec,
)
from layeratlas.studies.segments.segmenting import FILE as SEGMENTS

FOLDER = "perturbed"
_KEYS = ("role", "name", "start", "stop", "sigma", "seed")


def choose_texts(texts: Sequence[Sequence[str]], count: int) -> list[str]:
    """Return `count` texts, in turns from each kind, from the front of each; fewer where there are not so many."""
    ranked = sorted((i, kind, text) for kind, own in enumerate(texts) for i, text in enumerate(own))
    return [text for _, _, text in ranked[:count]]


def stage(work: Workspace) -> list[str]:
    """Perturb the stretches that the cuts give, and every layer; nothing with `--set noise=none`."""
    noise = work.settings.noise
    if noise == "none":
        return []
    kind: Any = {"relative": "noise", "absolute": "absolute noise"}[noise]
    found = read_json(work.folder / SEGMENTS)["segments"]
    stretches = {part["name"]: (part["first"], part["last"] + 1) for part in found}
    spec = noise_spec(work.spec.size)
    # No longer than the passages measured, which fit into the model's context.
    tokens = min(spec.tokens, work.manifest["segments"]["tokens"] + int(work.model.bos_id is not None))
    return perturb_stage(work, spec.model_copy(update={"noise": kind, "tokens": tokens}), stretches)


def perturb_stage(work: Workspace, spec: NoiseSpec, segments: Spans | None = None) -> list[str]:
    """Measure every perturbation of the run's passages and return the files made.

    `work.material` are passages with `texts`; `segments` half-open ranges of blocks by name, thirds of the depth where
    none are given. Where the model cannot be measured (streamed, half precision), nothing is made and
    `run.json` says why under `brittleness`.
    """
    model = work.model
    try:
        _demand_measurable(work)
        texts = choose_texts([data.texts for data in work.material], spec.passages)
        ids = [np.array(model.encode(text), np.int64) for text in texts]
        trials = make_trials(model.anatomy.n_layers, segments or thirds(model.anatomy.n_layers), spec, work.spec.seed)
        outputs = measure(work, ids, trials, spec)
    except AtlasError as error:
        work.manifest["brittleness"] = {"missing": str(error)}
        work.progress.note(f"brittleness is not measured: {error}")
        return []
    work.manifest["brittleness"] = {"spec": spec.model_dump(mode="json"), "passages": len(ids), "trials": len(trials)}
    return outputs


def _demand_measurable(work: Workspace) -> None:
    if work.model.streamer is not None:
        raise ModelError(
            f"'{work.spec.model.id}' is streamed", "a model whose weights are in memory", "use --weights resident"
        )
    if work.spec.model.dtype != "float32":
        raise ModelError(
            f"weights in {work.spec.model.dtype}, whose rounding is larger than the noise of the quadratic regime",
            "float32",
            "use --dtype float32",
        )


def measure(work: Workspace, ids: Sequence[NDArray[np.int64]], trials: Sequence[Trial], spec: NoiseSpec) -> list[str]:
    """Run the trials that are not yet in the run's folder; a file per first edited block, and the stream's size."""
    from layeratlas.capture.effects import cut_passages, judge_edits, stream_sizes

    passages = cut_passages(ids, spec.tokens, spec.read)
    key = hash_of([work.key, spec.model_dump(mode="json"), passages.ids.tolist(), passages.read])
    parts = [list(part) for _, part in groupby(sorted(trials, key=lambda t: t.start), key=lambda t: t.start)]
    names = [f"{FOLDER}/{hash_of([key, [asdict(t) for t in part]])}.parquet" for part in parts]
    sizes = f"{FOLDER}/{key}-sizes.parquet"
    if not (work.folder / sizes).exists():
        found = stream_sizes(work.model, passages)
        write_table(work, sizes, pl.DataFrame({str(i): found[:, i] for i in range(found.shape[1])}))
    left = {i: len(part) * len(ids) for i, part in enumerate(parts) if not (work.folder / names[i]).exists()}
    todo = [(i, j) for i in left for j in range(len(parts[i]))]
    values = {i: np.empty((len(parts[i]), len(ids), len(OUTCOMES))) for i in left}
    edits = [[parts[i][j].edit(spec.noise)] for i, j in todo]
    with work.progress.stage("perturb", len(todo) * len(ids)) as step:
        for trial, text, numbers in judge_edits(work.model, passages, edits, _judge([parts[i][j] for i, j in todo])):
            i, j = todo[trial]
            values[i][j, text] = numbers
            left[i] -= 1
            step.advance()
            if not left[i]:
                write_table(work, names[i], _table(parts[i], values.pop(i)))
    return [sizes, *names]


def _judge(trials: Sequence[Trial]) -> Any:
    """Return a judge of edited logits; the costly divergence only where the perturbation is large."""

    def of(clean: Any, targets: Any) -> Any:
        reference = Reference(clean, targets)

        def numbers(trial: int, edited: Any) -> NDArray[np.float64]:
            found = reference.against(edited, jsd=trials[trial].role in ("skip", "segment"))
            return np.array([getattr(found, name).mean() for name in OUTCOMES])

        return numbers

    return of


def _table(trials: Sequence[Trial], values: NDArray[np.float64]) -> pl.DataFrame:
    count = values.shape[1]
    columns = {key: [getattr(t, key) for t in trials for _ in range(count)] for key in _KEYS}
    columns["passage"] = [i for _ in trials for i in range(count)]
    return pl.DataFrame(columns | {name: values[..., i].ravel() for i, name in enumerate(OUTCOMES)})


def read_effects(work: Workspace) -> Effects | None:
    """Return what the stage measured, or None where it could not."""
    record = work.manifest.get("brittleness", {})
    if "spec" not in record:
        return None
    sizes, *names = work.manifest["stages"]["perturb"]["outputs"]
    frame = pl.concat([pl.read_parquet(work.folder / name) for name in names])
    count = int(record["passages"])
    trials = [Trial(*row) for row in frame.gather_every(count).select(_KEYS).iter_rows()]
    values = frame.select(OUTCOMES).to_numpy().reshape(len(trials), count, len(OUTCOMES))
    return Effects(trials, values, pl.read_parquet(work.folder / sizes).to_numpy(), NoiseSpec(**record["spec"]))
