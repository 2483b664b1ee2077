"""The stage that perturbs a model over passages, and the reader of its measurements for later stages.

The folder `perturbed/` holds one file per first edited block, so an interrupted stage resumes where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats
from layeratlas.core.edits import thirds
from layeratlas.core.errors import AtlasError, ModelError
from layeratlas.core.spec import hash_of
from layeratlas.runs.tables import has_part, read_table, write_part
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.segments.outcomes import OUTCOMES, judge_of
from layeratlas.studies.segments.perturbation.trials import (
    NoiseKind,
    NoiseSpec,
    Spans,
    Trial,
    TrialEffects,
    make_trials,
    noise_spec,
)
from layeratlas.studies.segments.record import read_segments

FOLDER = "perturbed"
_KEYS = ("role", "name", "start", "stop", "sigma", "seed")
_KINDS: dict[str, NoiseKind] = {"relative": "noise", "absolute": "absolute noise"}


def choose_texts(texts: Sequence[Sequence[str]], count: int) -> list[str]:
    """Return the first `count` texts, taken in turn from each set; all if there are fewer."""
    ranked = sorted(
        (i, number, text) for number, texts_of_set in enumerate(texts) for i, text in enumerate(texts_of_set)
    )
    return [text for _, _, text in ranked[:count]]


def perturb_stage(work: Workspace) -> list[str]:
    """Perturb every layer and the run's segments; does nothing with `--set noise=none`."""
    noise = work.settings.noise
    if noise == "none":
        return []
    spec = noise_spec(work.spec.size)
    # No longer than the measured passages, which fit the model's context.
    tokens = min(spec.tokens, work.manifest["segments"]["tokens"] + int(work.model.bos_id is not None))
    spec = spec.model_copy(update={"noise": _KINDS[noise], "tokens": tokens})
    return perturb(work, spec, read_segments(work.folder).spans)


def perturb(work: Workspace, spec: NoiseSpec, segments: Spans | None = None) -> list[str]:
    """Measure every perturbation on the run's passages; return the files written.

    `work.material` are passages with `texts`; `segments` are half-open ranges of blocks by name, by default thirds of
    the depth. If the model cannot be measured (streamed, half precision), no file is written and `run.json` gives the
    reason under `brittleness`.
    """
    model = work.model
    try:
        _check_measurable(work)
        texts = choose_texts([passages.texts for passages in work.material], spec.passages)
        ids = [np.array(model.encode(text), np.int64) for text in texts]
        trials = make_trials(model.anatomy.n_layers, segments or thirds(model.anatomy.n_layers), spec, work.spec.seed)
        outputs = measure(work, ids, trials, spec)
    except AtlasError as error:
        work.manifest["brittleness"] = {"missing": str(error)}
        work.progress.note(f"brittleness is not measured: {error}")
        return []
    work.manifest["brittleness"] = {"spec": spec.model_dump(mode="json"), "passages": len(ids), "trials": len(trials)}
    return outputs


def _check_measurable(work: Workspace) -> None:
    work.model.demand_whole("perturbations")
    if work.spec.model.dtype != "float32":
        raise ModelError(
            f"weights in {work.spec.model.dtype}, whose rounding is larger than the noise of the quadratic regime",
            "float32",
            "use --dtype float32",
        )


def measure(work: Workspace, ids: Sequence[NDArray[np.int64]], trials: Sequence[Trial], spec: NoiseSpec) -> list[str]:
    """Run the trials missing from the run's folder; writes one file per first edited block, and the stream's size."""
    from layeratlas.capture.effects import cut_passages, judge_edits, stream_sizes

    passages = cut_passages(ids, spec.tokens, spec.read)
    key = hash_of([work.key, spec.model_dump(mode="json"), passages.ids.tolist(), passages.read])
    groups = [list(group) for _, group in groupby(sorted(trials, key=lambda t: t.start), key=lambda t: t.start)]
    names = [f"{FOLDER}/{hash_of([key, [asdict(trial) for trial in group]])}.parquet" for group in groups]
    sizes = f"{FOLDER}/{key}-sizes.parquet"
    if not has_part(work, sizes):
        rms = stream_sizes(work.model, passages)
        write_part(work, sizes, pl.DataFrame({str(i): rms[:, i] for i in range(rms.shape[1])}))
    remaining = {i: len(group) * len(ids) for i, group in enumerate(groups) if not has_part(work, names[i])}
    todo = [(i, j) for i in remaining for j in range(len(groups[i]))]
    values = {i: np.empty((len(groups[i]), len(ids), len(OUTCOMES))) for i in remaining}
    edits = [[groups[i][j].edit(spec.noise)] for i, j in todo]
    # The Jensen-Shannon divergence is expensive, so it is measured only for large perturbations.
    large = [groups[i][j].role in ("skip", "segment") for i, j in todo]
    with work.progress.stage("perturb", len(todo) * len(ids)) as step:
        for trial, text, outcome in judge_edits(work.model, passages, edits, judge_of(large)):
            i, j = todo[trial]
            values[i][j, text] = outcome
            remaining[i] -= 1
            step.advance()
            if not remaining[i]:
                write_part(work, names[i], _table(groups[i], values.pop(i)))
    return [sizes, *names]


def _table(trials: Sequence[Trial], values: Floats) -> pl.DataFrame:
    count = values.shape[1]
    columns: dict[str, Any] = {key: [getattr(trial, key) for trial in trials for _ in range(count)] for key in _KEYS}
    columns["passage"] = [i for _ in trials for i in range(count)]
    return pl.DataFrame(columns | {name: values[..., i].ravel() for i, name in enumerate(OUTCOMES)})


def read_effects(work: Workspace) -> TrialEffects | None:
    """Return the stage's measurements; None if the model could not be measured."""
    manifest = work.manifest.get("brittleness", {})
    if "spec" not in manifest:
        return None
    sizes, *names = work.manifest["stages"]["perturb"]["outputs"]
    frame = pl.concat([read_table(work.folder / name) for name in names])
    count = int(manifest["passages"])
    trials = [Trial(**row) for row in frame.gather_every(count).select(_KEYS).iter_rows(named=True)]
    return TrialEffects(
        trials=trials,
        values=frame.select(OUTCOMES).to_numpy().reshape(len(trials), count, len(OUTCOMES)),
        sizes=read_table(work.folder / sizes).to_numpy(),
        spec=NoiseSpec(**manifest["spec"]),
    )
