"""The segments study: do a model's layers form segments, where are the boundaries, and do they exist at all?

Re-implements the approach described in arXiv 2505.18244; detector, nulls and thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layeratlas.core import registry
from layeratlas.core.errors import SpecError
from layeratlas.core.spec import RunSpec
from layeratlas.data.passages import Passages
from layeratlas.data.readers.passages import read_passages
from layeratlas.runs.study import Exhibit, Study, Words
from layeratlas.studies.segments import names, questions
from layeratlas.studies.segments.coherence import PRESUPPOSED
from layeratlas.studies.segments.methods import methods
from layeratlas.studies.segments.names import SegmentFinding
from layeratlas.studies.segments.perturbation import tables as brittleness
from layeratlas.studies.segments.recommending import RULES
from layeratlas.studies.segments.settings import SegmentSettings
from layeratlas.studies.segments.signals import all_signals
from layeratlas.studies.segments.tested import TESTED

if TYPE_CHECKING:  # a study is listed without loading polars
    from layeratlas.runs.finding import Finding
    from layeratlas.runs.finished import FinishedRun
    from layeratlas.runs.fitting import Reader
    from layeratlas.runs.quantity import ModelSegment, RunQuantity
    from layeratlas.runs.workspace import StageFunction

_BRITTLENESS_METRICS = {
    names.BRITTLENESS: "Brittleness (KL / strength², nats)",
    brittleness.HALF: "Noise strength at half agreement",
    brittleness.KL: "KL divergence (nats)",
    brittleness.NLL_RISE: "Rise of the loss (nats)",
    brittleness.AGREEMENT: "Top-1 agreement",
    brittleness.STREAM_RMS: "Size of the stream (root mean square)",
}


class Segments(Study):
    """Layer metrics on running text, two boundaries by exact search, and a test of whether they exist."""

    summary = "do the layers form Local, Intermediate and Global segments, and do the boundaries exist?"
    words = Words(
        method="Texts",
        control="random weights",
        baseline="none",
        origin="This re-implements the approach described in arXiv 2505.18244; detector, nulls and thresholds "
        "are ours.",
    )
    purposes = RULES
    across = questions.ACROSS
    published = names.PUBLISHED
    tasks = ("passages",)
    reads = Passages
    uses: frozenset[str] = frozenset()
    settings = SegmentSettings
    curves = False
    method_names = {
        names.PASSAGES: "Passages",
        "noise": "Relative noise",
        "absolute noise": "Absolute noise",
        names.SKIP: "Block left out",
        names.DECODING: "Held-out decoding",
        brittleness.UNPERTURBED: "Unperturbed",
    }
    presupposed = PRESUPPOSED
    tested = TESTED
    headlines = (
        SegmentFinding.EXISTENCE,
        SegmentFinding.BOUNDARY,
        SegmentFinding.LAYER_ORDER,
        SegmentFinding.TRAINING,
        SegmentFinding.BRITTLENESS,
    )
    details = (
        SegmentFinding.SIGNAL_LEFT_OUT,
        SegmentFinding.TEXT_KINDS,
        SegmentFinding.QUADRATIC_REGIME,
        SegmentFinding.ADDITIVITY,
    )

    @cached_property
    def metric_names(self) -> Mapping[str, str]:  # type: ignore[override]
        """The labels of every signal and of the measures of brittleness."""
        return {signal.name: signal.title for signal in all_signals().values()} | _BRITTLENESS_METRICS

    def read(self, path: str, spec: RunSpec) -> Passages:
        """Return a file of passages."""
        return read_passages(path, bad_rows=spec.bad_rows)

    def prepare(self, spec: RunSpec, settings: SegmentSettings) -> RunSpec:
        """Request the eager attention kernel, the only one with attention maps, unless the run does not need them."""
        if not settings.maps:
            return spec
        return spec.model_copy(update={"model": spec.model.model_copy(update={"attention": "eager"})})

    def check(self, spec: RunSpec, settings: SegmentSettings, material: Sequence[Any]) -> None:
        """Raise SpecError if there are no passages, or an edit cannot be parsed."""
        _ = settings.interventions
        if not material:
            raise SpecError("no passages were named", "the study's own task or files of passages")

    def unfit(self, spec: RunSpec, settings: SegmentSettings, data: Passages, model: Reader) -> dict[int, str]:
        """Return which passages are too short.

        Raises DataError if the model's context is, or if it has too few blocks, and SpecError for an edit of a block
        that it does not have.
        """
        from layeratlas.stats.segmentation import shortest_segment
        from layeratlas.studies.segments.intervention.plan import demand_blocks
        from layeratlas.studies.segments.passages import room_of, short_ones

        shortest_segment(model.blocks)
        for intervention in settings.interventions:
            demand_blocks(intervention, model.blocks)
        bos = len(model.encode([""])[0])
        room_of(model, bos, settings.tokens, asked_for="tokens" in spec.settings)
        return short_ones([len(ids) - bos for ids in model.encode(data.texts)], settings.tokens)

    def stages(self) -> dict[str, StageFunction]:
        """Return the stages in order."""
        from layeratlas.studies.segments.stages import stages

        return stages(self)

    def exhibits(self, folder: Path) -> list[Exhibit]:
        """Return the boundaries, the signals, the similarity map, brittleness, interventions and the paper's claims."""
        from layeratlas.runs.claims_exhibit import claims_exhibit
        from layeratlas.studies.segments.exhibits import exhibits

        return [*exhibits(folder), claims_exhibit(registry.claims_of("segments"), folder)]

    def quantities(self, run: FinishedRun) -> list[RunQuantity]:
        """Return the boundaries and the brittleness of a run's segments."""
        from layeratlas.studies.segments.quantities import quantities

        return quantities(run)

    def segments_of(self, run: FinishedRun) -> list[ModelSegment]:
        """Return the segments between a run's boundaries."""
        from layeratlas.studies.segments.quantities import segments_of

        return segments_of(run)

    def cohort_findings(self, runs: Sequence[FinishedRun]) -> list[Finding]:
        """Return how far boundaries vary within each family."""
        from layeratlas.studies.segments.quantities import spread_findings

        return spread_findings(runs)

    def methods(self, run: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the methods, from the run's manifest."""
        return methods(run, self.settings(**run["spec"].get("settings", {})))


PLUGIN = Segments()
