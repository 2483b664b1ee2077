"""The functional hierarchy: at which depth do items, relations and analogies decode best?

Re-implements the approach described in arXiv 2501.07359; stimuli, hyper-parameters and thresholds are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layeratlas.core import registry
from layeratlas.core.errors import SpecError
from layeratlas.core.spec import ProbeSpec, RunSpec, Size
from layeratlas.data.items import Dataset
from layeratlas.data.readers.texts import read_table
from layeratlas.runs.question import Question
from layeratlas.runs.study import Exhibit, Study, Words
from layeratlas.runs.uses import LABELS, OPTIONS, PRECISION
from layeratlas.studies.hierarchy import questions
from layeratlas.studies.hierarchy.coherence import PRESUPPOSED
from layeratlas.studies.hierarchy.names import DETAILS, HEADLINES, METRIC_NAMES, PUBLISHED, method_names
from layeratlas.studies.hierarchy.recommending import RULES
from layeratlas.studies.hierarchy.settings import ProbingSettings, is_large
from layeratlas.studies.hierarchy.tested import TESTED

if TYPE_CHECKING:  # a study is listed without loading polars
    from layeratlas.runs.finished import FinishedRun
    from layeratlas.runs.mistakes import Mistakes
    from layeratlas.runs.workspace import StageFunction


class Hierarchy(Study):
    """Linear probes on six kinds of texts (or the user's own) at every layer and component."""

    summary = "at which depth do items, relations, analogies, grammar, documents (or your own labels) decode best?"
    settings = ProbingSettings
    words = Words(
        origin="This re-implements the approach described in arXiv 2501.07359; stimuli, hyper-parameters and "
        "thresholds are ours."
    )
    uses = OPTIONS | {LABELS, PRECISION}
    tasks = ("items", "relations", "analogies", "grammar", "documents", "buried", "graded")
    metric_names = METRIC_NAMES
    presupposed = PRESUPPOSED
    tested = TESTED
    headlines = HEADLINES
    details = DETAILS
    purposes = RULES
    across = questions.ACROSS
    published = PUBLISHED

    @property
    def method_names(self) -> Mapping[str, str]:  # type: ignore[override]
        """The labels of all installed probes; looked up on use, because other packages can add probes."""
        return method_names()

    presence = "peak"
    keeps_vectors = True
    scaled = {"second peak": "resid", "coordination": "attn"}

    def probe_spec(self, size: Size) -> ProbeSpec:
        """Return the probe settings of a size; the five repeats at `full` average over the choice of folds.

        `quick` leaves out the SVM, which takes half of the time of the probes and never decides a level alone: its
        p-values are at least those of ridge.
        """
        return {
            "quick": ProbeSpec(methods=("ridge",), repeats=1, shuffles=40),
            "standard": ProbeSpec(repeats=2, shuffles=100),
            "full": ProbeSpec(repeats=5, shuffles=200),
        }[size]

    def read(self, path: str, spec: RunSpec) -> Dataset:
        """Return the data set of a file of labelled texts; its label columns may be declared in `spec`."""
        return read_table(path, spec.label_kind, spec.bad_rows)

    def check(self, spec: RunSpec, settings: ProbingSettings, material: Sequence[Dataset]) -> None:
        """Raise SpecError if a data set does not fit the probes (numeric labels, too many texts for `pca`).

        Also if the SVM is given its C but does not run.
        """
        if spec.probe.svm_c != ProbeSpec().svm_c and "svm" not in spec.probe.methods:
            raise SpecError(
                f"svm_c={spec.probe.svm_c:g} is given to a run of {' and '.join(spec.probe.methods)} alone",
                "a run of the SVM",
                "add --probe ridge --probe svm",
            )
        numbers = next((data for data in material if data.kind == "number"), None)
        if numbers is not None and not any(
            registry.get("probes", name).predicts_numbers for name in spec.probe.methods
        ):
            raise SpecError(
                f"{numbers.source or numbers.name} has numbers to predict, which {' and '.join(spec.probe.methods)} "
                "cannot",
                "a probe for numbers",
                "add --probe ridge",
            )
        large = next((data for data in material if is_large(len(data.items), settings)), None)
        if large is not None and spec.probe.pca is not None:
            raise SpecError(
                f"{large.source or large.name} has {len(large.items):,} texts, which are probed from disk on all "
                "features",
                "no principal components",
                f"leave out --pca, or add --set sample={len(large.items)} to probe it in memory",
            )

    def stages(self) -> dict[str, StageFunction]:
        """Return the stages in order."""
        from layeratlas.studies.hierarchy.stages import stages

        return stages(self)

    def question(self, level: str, words: str) -> Question:
        """Return the question about a level."""
        return questions.of_level(level, words)

    def mistakes(self, run: FinishedRun) -> list[Mistakes]:
        """Return the held-out texts that the first probe gets wrong at each point of the residual stream."""
        from layeratlas.studies.hierarchy.mistakes import mistakes

        return mistakes(run)

    def exhibits(self, folder: Path) -> list[Exhibit]:
        """Return the claims of the paper, judged on this run, where its levels emerge, and its learning curves."""
        from layeratlas.runs.claims_exhibit import claims_exhibit
        from layeratlas.runs.layer_order import layer_order_exhibits
        from layeratlas.studies.hierarchy.emergence_exhibit import emergence_exhibits
        from layeratlas.studies.hierarchy.experts.exhibit import expert_exhibits
        from layeratlas.studies.hierarchy.learning.exhibit import learning_exhibits
        from layeratlas.studies.hierarchy.positions.exhibit import position_exhibits
        from layeratlas.studies.hierarchy.robustness.exhibit import robustness_exhibits
        from layeratlas.studies.hierarchy.transfer.exhibit import transfer_exhibits

        return [
            claims_exhibit(registry.claims_of("hierarchy"), folder),
            *emergence_exhibits(folder),
            *robustness_exhibits(folder),
            *layer_order_exhibits(folder),
            *learning_exhibits(folder),
            *transfer_exhibits(folder),
            *position_exhibits(folder),
            *expert_exhibits(folder),
        ]

    def methods(self, run: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the methods of a run, from its manifest."""
        from layeratlas.studies.hierarchy.methods import methods_text

        return methods_text(run)


PLUGIN = Hierarchy()
