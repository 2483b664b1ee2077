"""The stage that makes interventions on every stretch, and on others of its shape, over passages.

A folder `intervened/` holds one file per intervention, so that an interrupted stage goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from layeratlas.core.edits import Edit, blocks_named
from layeratlas.core.errors import AtlasError
from layeratlas.core.files import read_json
from layeratlas.core.spec import Size, hash_of
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.segments.intervention.plan import NEED_VECTORS, Place, Wanted, places_of, read_wanted
from layeratlas.studies.segments.outcomes import OUTCOMES, Reference
from layeratlas.studies.segments.perturbation.stage import choose_texts
from layeratlas.studies.segments.perturbation.trials import noise_spec
from layeratlas.studies.segments.segmenting import FILE as SEGMENTS

if TYPE_CHECKING:
    from layeratlas.capture.typical import Typical
    from layeratlas.models import LoadedModel

FOLDER = "intervened"
# Absolute noise stands for a tenth of the stream's median size, one number for all blocks.
_DEFAULT = "noise 0.1; noise 0.3; absolute noise {:.3g}; scale 1.2; translate 0.3; zero of mlp; mean of attn; skip"
_CONTROLS: dict[Size, int] = {"quick": 1, "standard": 1, "full": 4}


@dataclass
class Bench:
    """A model with the passages on which it is edited, and what its components typically hold there."""

    model: LoadedModel
    ids: list[list[int]]
    seed: int
    _known: dict[str, Typical] = field(default_factory=dict)

    def typical(self, component: Any) -> Typical:
        """Return what a component holds, read once."""
        from layeratlas.capture.typical import typical

        if component not in self._known:
            self._known[component] = typical(self.model, self.ids, component)
        return self._known[component]

    def edit(self, wanted: Wanted, place: Place) -> Edit:
        """Return an intervention at a place, with its vectors."""
        needs = wanted.kind in NEED_VECTORS
        vectors = self.typical(wanted.component).vectors(wanted.kind, self.seed) if needs else None
        return wanted.edit(place.blocks, vectors, self.seed)

    def wanted(self, text: str) -> list[Wanted]:
        """Return the interventions of the setting `edits`; those of `default` take their size from the stream."""
        if text == "default":
            text = _DEFAULT.format(0.1 * float(np.median(self.typical("resid").sizes)))
        return [] if text == "none" else read_wanted(text)


def bench_of(work: Workspace) -> Bench:
    """Return the model and the passages on which a run's interventions are made."""
    spec = noise_spec(work.spec.size)
    ids = [work.model.encode(text) for text in choose_texts([data.texts for data in work.material], spec.passages)]
    most = work.manifest["segments"]["tokens"] + int(work.model.bos_id is not None)
    return Bench(work.model, [one[: min(spec.tokens, most)] for one in ids], work.spec.seed)


def places_for(work: Workspace, wanted: Wanted, controls: int) -> list[Place]:
    """Return where an intervention is made: the run's stretches or its own blocks, and others of their shape."""
    found = read_json(work.folder / SEGMENTS)["segments"]
    stretches = {part["name"]: (part["first"], part["last"] + 1) for part in found}
    return places_of(wanted, work.model.anatomy.n_layers, stretches, controls, work.spec.seed)


def stage(work: Workspace) -> list[str]:
    """Make every intervention and return the files made; nothing with `--set edits=none`.

    What cannot be made (a component that the model has not, logits that overflow) is left out, and `run.json` says
    why under `interventions`.
    """
    if work.settings.edits == "none":
        return []
    bench, outputs, missing = bench_of(work), [], {}
    wanted = bench.wanted(work.settings.edits)
    with work.progress.stage("intervene", len(wanted)) as step:
        for one in wanted:
            try:
                outputs.append(_make(work, bench, one))
            except AtlasError as error:
                missing[one.name] = str(error)
                work.progress.note(f"{one.name} is not measured: {error}")
            step.advance()
    names = [one.name for one in wanted if one.name not in missing]
    work.manifest["interventions"] = {"edits": names, "passages": len(bench.ids), "missing": missing}
    return outputs


def _make(work: Workspace, bench: Bench, wanted: Wanted) -> str:
    """Write one intervention's effects at all its places and return the file's name."""
    from layeratlas.capture.effects import cut_passages, judge_edits

    spec = noise_spec(work.spec.size)
    passages = cut_passages([np.array(one, np.int64) for one in bench.ids], min(map(len, bench.ids)), spec.read)
    places = places_for(work, wanted, _CONTROLS[work.spec.size])
    edits = [bench.edit(wanted, place) for place in places]
    key = [work.key, wanted.name, [place.blocks for place in places], passages.ids.tolist(), passages.read]
    name = f"{FOLDER}/{hash_of(key)}.parquet"
    if (work.folder / name).exists():
        return name
    values = np.empty((len(places), len(bench.ids), len(OUTCOMES)))
    for trial, text, numbers in judge_edits(bench.model, passages, [[edit] for edit in edits], _judge):
        values[trial, text] = numbers
    rows = [
        {**place_columns(wanted, place), "passage": text, **dict(zip(OUTCOMES, numbers.tolist(), strict=True))}
        for place, of_place in zip(places, values, strict=True)
        for text, numbers in enumerate(of_place)
    ]
    write_table(work, name, pl.DataFrame(rows))
    return name


def _judge(clean: Any, targets: Any) -> Any:
    reference = Reference(clean, targets)

    def numbers(trial: int, edited: Any) -> Any:
        found = reference.against(edited, jsd=True)
        return np.array([getattr(found, name).mean() for name in OUTCOMES])

    return numbers


def place_columns(wanted: Wanted, place: Place) -> dict[str, Any]:
    """Return the columns that say what was done where."""
    return {
        "edit": wanted.name, "kind": wanted.kind, "component": wanted.component,
        "strength": float("nan") if wanted.strength is None else wanted.strength,
        "span": place.name, "blocks": blocks_named(place.blocks), "control": place.control,
    }  # fmt: skip


def read_stage(work: Workspace, stage_name: str) -> pl.DataFrame | None:
    """Return all that a stage of interventions wrote, or None where it wrote nothing."""
    names: Sequence[str] = work.manifest["stages"].get(stage_name, {}).get("outputs", [])
    return pl.concat([pl.read_parquet(work.folder / name) for name in names]) if names else None
