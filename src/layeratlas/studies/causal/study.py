"""The causal study: does the model use the information that a probe decodes at a layer?

It erases this information from the stream in closed form, steers along it, and measures the answers that need it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layeratlas.core import registry
from layeratlas.core.errors import DataError
from layeratlas.core.spec import ProbeSpec, RunSpec, Size
from layeratlas.data.prompts import PromptSet
from layeratlas.data.readers.texts import read_table
from layeratlas.runs.study import Exhibit, Study, Words
from layeratlas.runs.workspace import StageFunction
from layeratlas.studies.causal.coherence import PRESUPPOSED
from layeratlas.studies.causal.methods import methods
from layeratlas.studies.causal.names import METHOD_NAMES, METRIC_NAMES, PROBE, PUBLISHED, CausalFinding
from layeratlas.studies.causal.questions import ACROSS
from layeratlas.studies.causal.recommending import RULES
from layeratlas.studies.causal.settings import CausalSettings
from layeratlas.studies.causal.tested import TESTED

if TYPE_CHECKING:
    from layeratlas.runs.finished import FinishedRun
    from layeratlas.runs.fitting import Reader
    from layeratlas.runs.quantity import ModelMark


class Causal(Study):
    """Prompts whose answers need a label, which is erased from the stream, and steered, at several points."""

    summary = "is what a probe reads used? erased and steered at several layers, beside directions of equal norm"
    tasks = ("completions",)
    reads = PromptSet
    uses = frozenset(
        {"probe.methods", "probe.folds", "probe.repeats", "probe.shuffles", "probe.bootstrap", "capture.batch_tokens"}
    )
    settings = CausalSettings
    words = Words(method="Method", control="directions of equal norm", baseline="none")
    curves = False
    method_names = METHOD_NAMES
    metric_names = METRIC_NAMES
    presupposed = PRESUPPOSED
    tested = TESTED
    row = "{} (prompts)"
    mapped = PROBE
    purposes = RULES
    across = ACROSS
    published = PUBLISHED
    headlines = (CausalFinding.USED, CausalFinding.UNUSED, CausalFinding.STEERED)
    details = (CausalFinding.ANSWERED, CausalFinding.SPECIFIC)

    def probe_spec(self, size: Size) -> ProbeSpec:
        """Return the settings of the probe: one repeat, and enough shuffles for Holm's correction over eight points."""
        return ProbeSpec(methods=("ridge",), repeats=1, shuffles=399)

    def read(self, path: str, spec: RunSpec) -> PromptSet:
        """Return a file of labelled texts whose labels are the words that continue them."""
        return PromptSet.of(read_table(path, "classes", spec.bad_rows))

    def check(self, spec: RunSpec, settings: CausalSettings, material: Sequence[PromptSet]) -> None:
        """Raise DataError for several sets of the same level, which would share a row of the map.

        Raises ModelError for a model that is to be streamed.
        """
        from layeratlas.studies.causal.capturing import not_streamed

        if spec.model.weights == "streamed":
            raise not_streamed(spec.model.id)
        levels = [data.level for data in material]
        repeated = next((level for level in levels if levels.count(level) > 1), None)
        if repeated is not None:
            raise DataError(f"two data sets have the level '{repeated}'", "a level for each", "rename a file")

    def unfit(self, spec: RunSpec, settings: CausalSettings, data: PromptSet, model: Reader) -> dict[int, str]:
        """Return which prompts cannot be posed."""
        from layeratlas.studies.causal.posing import unfit_prompts

        return unfit_prompts(model.encode, model.context, data)

    def stages(self) -> dict[str, StageFunction]:
        """Return the stages in order."""
        from layeratlas.studies.causal.stages import stages

        return stages(self)

    def exhibits(self, folder: Path) -> list[Exhibit]:
        """Return the map of what is encoded and used, the losses with their controls, the table and the claims."""
        from layeratlas.runs.claims_exhibit import claims_exhibit

        # Altair is imported here because it takes long, and listing studies does not need it.
        from layeratlas.studies.causal.charts import exhibits

        return [*exhibits(folder), claims_exhibit(registry.claims_of("causal"), folder)]

    def marks_of(self, run: FinishedRun) -> list[ModelMark]:
        """Return where the answers need each level, and where they are shown not to."""
        from layeratlas.studies.causal.marks import marks_of

        return marks_of(run)

    def methods(self, run: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what was done, from the run's manifest."""
        return methods(run, self.settings(**run["spec"].get("settings", {})))


PLUGIN = Causal()
