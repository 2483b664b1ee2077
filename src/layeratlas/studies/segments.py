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
from layeratlas.studies import _measuring as measuring
from layeratlas.studies import _perturbing as perturbing
from layeratlas.studies import _probing as probing
from layeratlas.studies._claims import claims_exhibit
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
        """Raise SpecError where no passage would be read."""
        if not material:
            raise SpecError("no passages were named", "the study's own task or files of passages")

    def stages(self) -> dict[str, probing.StageFunction]:
        """Return the stages in order."""
        return {
            "measure": measuring.measure_stage,
            "cut": cut_stage,
            "perturb": perturbing.stage,
            "analyse": analyse_stage,
            "report": probing.report_stage,
        }

    def exhibits(self, folder: Path) -> list[Exhibit]:
        """Return the stretches, the signals, the map of similarities, the number of cuts and the paper's claims."""
        from layeratlas.studies._segment_charts import exhibits

        return [*exhibits(folder), claims_exhibit("segments", folder)]

    def methods(self, run: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what was done, from the run's manifest."""
        noise = run.get("brittleness", {})
        done, own = run.get("segments", {}), self.settings(**run["spec"].get("settings", {}))
        missing = ", ".join(name.replace("_", " ") for name in done.get("missing", []))
        lacking = f" Not measured, because the model gave no attention maps or no finite values: {missing}."
        return [
            (
                "Passages",
                f"{done.get('passages', 0)} passages of {done.get('tokens', 0)} tokens, without padding; the first "
                "position is left out of every number. States are those of the residual stream before the final norm.",
            ),
            (
                "Signals",
                "Computed passage by passage and averaged; 95 % intervals by resampling passages (for metrics of the "
                "whole set, by leaving out a tenth of the passages in turn). They hold for other such passages, not "
                f"for other models.{lacking if missing else ''}",
            ),
            (
                "Cuts",
                "Each signal is centred on its median over blocks, divided by 1.4826 times the median deviation and "
                "clipped at 3; signals of a group (attention, geometry, information, prediction) are averaged, so that "
                "no group counts twice. Two cuts of least squared error, by exact search, each stretch at least "
                f"max(2, 0.08 L) blocks. {own.draws} draws of the passages give the 90 % intervals."
                + (" The cuts shown are those of the first version's rule instead." if own.method == "v1" else ""),
            ),
            (
                "Existence",
                f"{own.surrogates} surrogates with each signal's cubic trend and first-order autocorrelation, and no "
                "boundaries, are cut in the same way; p is the share whose two cuts leave no more of the variation. "
                "Prominent means p < 0.05 and 90 % intervals of at most 0.15 of the depth.",
            ),
            (
                "Brittleness",
                "Noise of a standard deviation relative to the stream's size at each token, of equal total variance in "
                "every stretch; teacher-forced KL of the model's predictions over "
                f"{noise.get('passages', 0)} passages, over the squared strength. Bootstrap over passages; random "
                "stretches of the same width as control."
                if "spec" in noise
                else f"Not measured: {noise.get('missing', 'not asked for')}.",
            ),
            (
                "Random weights",
                f"{done.get('untrained', 0)} passages in a model of the same architecture with initial weights."
                if done.get("untrained")
                else "No random-weight model was measured (size quick, --set untrained=0, or no memory for it).",
            ),
        ]


PLUGIN = Segments()
