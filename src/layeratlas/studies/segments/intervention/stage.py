"""The stage that makes every intervention, on the segments and on control spans of the same shape, over passages.

The folder `intervened/` holds one file per intervention, so an interrupted stage resumes where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from layeratlas.core.edits import Edit, blocks_named
from layeratlas.core.errors import AtlasError
from layeratlas.core.spec import Component, Size, hash_of
from layeratlas.runs.tables import has_part, read_table, write_part
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.segments.intervention.plan import (
    NEED_VECTORS,
    Intervention,
    Site,
    read_interventions,
    sites_of,
)
from layeratlas.studies.segments.outcomes import OUTCOMES, judge_of
from layeratlas.studies.segments.perturbation.stage import choose_texts
from layeratlas.studies.segments.perturbation.trials import noise_spec
from layeratlas.studies.segments.record import read_segments

if TYPE_CHECKING:
    from layeratlas.capture.typical import Typical
    from layeratlas.models import LoadedModel

FOLDER = "intervened"
# Absolute noise is a tenth of the stream's median size, equal for all blocks.
_ABSOLUTE = 0.1
_DEFAULT = "noise 0.1; noise 0.3; absolute noise {:.3g}; scale 1.2; translate 0.3; zero of mlp; mean of attn; skip"
_CONTROLS: dict[Size, int] = {"quick": 1, "standard": 1, "full": 4}


@dataclass(kw_only=True)
class Bench:
    """A model, the passages on which it is edited, and the typical values of its components on these."""

    model: LoadedModel
    ids: list[list[int]]
    seed: int
    _known: dict[Component, Typical] = field(default_factory=dict)

    def typical(self, component: Component) -> Typical:
        """Return the typical values of a component; they are computed once."""
        from layeratlas.capture.typical import typical

        if component not in self._known:
            self._known[component] = typical(self.model, self.ids, component)
        return self._known[component]

    def edit(self, intervention: Intervention, site: Site) -> Edit:
        """Return an intervention at a site, with its vectors."""
        vectors = None
        if intervention.kind in NEED_VECTORS:
            vectors = self.typical(intervention.component).vectors(intervention.kind, self.seed)
        return intervention.edit(site.blocks, vectors, self.seed)

    def interventions(self, text: str) -> list[Intervention]:
        """Return the interventions named in `edits`; those of `default` are scaled to the size of the stream."""
        if text == "default":
            text = _DEFAULT.format(_ABSOLUTE * float(np.median(self.typical("resid").sizes)))
        return [] if text == "none" else read_interventions(text)


def bench_of(work: Workspace) -> Bench:
    """Return the model and the passages on which a run's interventions are made."""
    spec = noise_spec(work.spec.size)
    texts = choose_texts([passages.texts for passages in work.material], spec.passages)
    context = work.manifest["segments"]["tokens"] + int(work.model.bos_id is not None)
    ids = [work.model.encode(text)[: min(spec.tokens, context)] for text in texts]
    return Bench(model=work.model, ids=ids, seed=work.spec.seed)


def run_sites(work: Workspace, intervention: Intervention, controls: int) -> list[Site]:
    """Return the sites of an intervention: the run's segments or the blocks it names, and their controls."""
    layers = work.model.anatomy.n_layers
    return sites_of(intervention, layers, read_segments(work.folder).spans, controls, work.spec.seed)


def intervene_stage(work: Workspace) -> list[str]:
    """Make every intervention; return the files written (none with `--set edits=none`).

    An intervention that cannot be made (the model lacks the component, or logits overflow) is left out, and `run.json`
    gives the reason under `interventions`.
    """
    if work.settings.edits == "none":
        return []
    bench = bench_of(work)
    interventions = bench.interventions(work.settings.edits)
    outputs: list[str] = []
    missing: dict[str, str] = {}
    with work.progress.stage("intervene", len(interventions)) as step:
        for intervention in interventions:
            try:
                outputs.append(_write_effects(work, bench, intervention))
            except AtlasError as error:
                missing[intervention.name] = str(error)
                work.progress.note(f"{intervention.name} is not measured: {error}")
            step.advance()
    names = [intervention.name for intervention in interventions if intervention.name not in missing]
    work.manifest["interventions"] = {"edits": names, "passages": len(bench.ids), "missing": missing}
    return outputs


def _write_effects(work: Workspace, bench: Bench, intervention: Intervention) -> str:
    """Write one intervention's effects at all its sites and return the file's name."""
    from layeratlas.capture.effects import cut_passages, judge_edits

    spec = noise_spec(work.spec.size)
    passages = cut_passages([np.array(text, np.int64) for text in bench.ids], min(map(len, bench.ids)), spec.read)
    sites = run_sites(work, intervention, _CONTROLS[work.spec.size])
    edits = [[bench.edit(intervention, site)] for site in sites]
    key = [work.key, intervention.name, [site.blocks for site in sites], passages.ids.tolist(), passages.read]
    name = f"{FOLDER}/{hash_of(key)}.parquet"
    if has_part(work, name):
        return name
    values = np.empty((len(sites), len(bench.ids), len(OUTCOMES)))
    for trial, text, outcome in judge_edits(bench.model, passages, edits, judge_of([True] * len(sites))):
        values[trial, text] = outcome
    rows = [
        {**site_columns(intervention, site), "passage": text, **dict(zip(OUTCOMES, outcome.tolist(), strict=True))}
        for site, by_passage in zip(sites, values, strict=True)
        for text, outcome in enumerate(by_passage)
    ]
    write_part(work, name, pl.DataFrame(rows))
    return name


def site_columns(intervention: Intervention, site: Site) -> dict[str, Any]:
    """Return the columns that name an intervention and its site."""
    return {
        "edit": intervention.name,
        "kind": intervention.kind,
        "component": intervention.component,
        "strength": float("nan") if intervention.strength is None else intervention.strength,
        "span": site.span,
        "blocks": blocks_named(site.blocks),
        "control": site.control,
    }


def read_stage(work: Workspace, stage: str) -> pl.DataFrame | None:
    """Return all that a stage of interventions wrote, or None if it wrote nothing."""
    names: Sequence[str] = work.manifest["stages"].get(stage, {}).get("outputs", [])
    return pl.concat([read_table(work.folder / name) for name in names]) if names else None
