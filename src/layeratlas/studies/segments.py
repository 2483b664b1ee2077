"""The segments study: do a model's layers fall into stretches, where are the boundaries, and do they exist at all?

Re-implements the approach described in arXiv 2505.18244; detector, nulls and thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layeratlas.contracts import Exhibit, Study, Words
from layeratlas.errors import SpecError
from layeratlas.passages import Passages
from layeratlas.spec import RunSpec
from layeratlas.studies import _generating as generating
from layeratlas.studies import _intervening as intervening
from layeratlas.studies import _measuring as measuring
from layeratlas.studies import _perturbing as perturbing
from layeratlas.studies import _probing as probing
from layeratlas.studies._claims import claims_exhibit
from layeratlas.studies._segment_methods import methods
from layeratlas.studies._segment_tables import analyse_stage
from layeratlas.studies._segmenting import cut_stage
from layeratlas.tasks._prose import read_passages


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

    def prepare(self, spec: RunSpec) -> RunSpec:
        """Ask for the eager kernel, the only one that gives attention maps, unless the run goes without them."""
        if not self.settings(**spec.settings).maps:
            return spec
        return spec.model_copy(update={"model": spec.model.model_copy(update={"attention": "eager"})})

    def check(self, spec: RunSpec, material: Sequence[Any]) -> None:
        """Raise SpecError where no passage would be read, or an edit is not understood."""
        _ = self.settings(**spec.settings).wanted
        if not material:
            raise SpecError("no passages were named", "the study's own task or files of passages")

    def stages(self) -> dict[str, probing.StageFunction]:
        """Return the stages in order."""
        return {
            "measure": measuring.measure_stage,
            "cut": cut_stage,
            "perturb": perturbing.stage,
            "intervene": intervening.stage,
            "generate": generating.stage,
            "analyse": analyse_stage,
            "report": probing.report_stage,
        }

    def exhibits(self, folder: Path) -> list[Exhibit]:
        """Return the stretches, the signals, the map of similarities, the number of cuts and the paper's claims."""
        from layeratlas.studies._segment_charts import exhibits

        return [*exhibits(folder), claims_exhibit("segments", folder)]

    def methods(self, run: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what was done, from the run's manifest."""
        return methods(run, self.settings(**run["spec"].get("settings", {})))


PLUGIN = Segments()
