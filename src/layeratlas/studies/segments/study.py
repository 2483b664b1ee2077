"""The segments study: do a model's layers fall into stretches, where are the boundaries, and do they exist at all?

Re-implements the approach described in arXiv 2505.18244; detector, nulls and thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layeratlas.core import registry
from layeratlas.core.errors import SpecError
from layeratlas.core.spec import RunSpec
from layeratlas.data.passages import Passages
from layeratlas.data.readers.passages import read_passages
from layeratlas.report.stage import report_stage
from layeratlas.runs.claims_exhibit import claims_exhibit
from layeratlas.runs.study import Exhibit, Study, Words
from layeratlas.runs.workspace import StageFunction
from layeratlas.studies.segments import measuring
from layeratlas.studies.segments.intervention import generating
from layeratlas.studies.segments.intervention import stage as intervening
from layeratlas.studies.segments.methods import methods
from layeratlas.studies.segments.perturbation import stage as perturbing
from layeratlas.studies.segments.segmenting import cut_stage
from layeratlas.studies.segments.tables import analyse_stage


class Segments(Study):
    """Layer metrics on running text, two exact cuts, and the test whether they stand out of smooth change."""

    summary = "do the layers fall into Local, Intermediate and Global stretches, and do the boundaries exist?"
    words = Words(
        method="Texts",
        control="random weights",
        baseline="none",
        origin="This re-implements the approach described in arXiv 2505.18244; detector, nulls and thresholds "
        "are ours.",
    )
    tasks = ("passages",)
    reads = Passages
    settings = measuring.Settings
    curves = False

    def read(self, path: str) -> Passages:
        """Return a file of passages."""
        return read_passages(path)

    def prepare(self, spec: RunSpec, settings: measuring.Settings) -> RunSpec:
        """Ask for the eager kernel, the only one that gives attention maps, unless the run goes without them."""
        if not settings.maps:
            return spec
        return spec.model_copy(update={"model": spec.model.model_copy(update={"attention": "eager"})})

    def check(self, spec: RunSpec, settings: measuring.Settings, material: Sequence[Any]) -> None:
        """Raise SpecError where no passage would be read, or an edit is not understood."""
        _ = settings.wanted
        if not material:
            raise SpecError("no passages were named", "the study's own task or files of passages")

    def stages(self) -> dict[str, StageFunction]:
        """Return the stages in order."""
        return {
            "measure": measuring.measure_stage,
            "cut": cut_stage,
            "perturb": perturbing.stage,
            "intervene": intervening.stage,
            "generate": generating.stage,
            "analyse": analyse_stage,
            "report": report_stage(self),
        }

    def exhibits(self, folder: Path) -> list[Exhibit]:
        """Return the stretches, the signals, the map of similarities, the number of cuts and the paper's claims."""
        from layeratlas.studies.segments.charts import exhibits

        return [*exhibits(folder), claims_exhibit(registry.claims_of("segments"), folder)]

    def methods(self, run: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what was done, from the run's manifest."""
        return methods(run, self.settings(**run["spec"].get("settings", {})))


PLUGIN = Segments()
