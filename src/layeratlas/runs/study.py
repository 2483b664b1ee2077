"""The interface of a study: its material, its stages, and the content of its report."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layeratlas.core.spec import ProbeSpec, RunSpec, Size, Spec
from layeratlas.data.items import Dataset
from layeratlas.data.task import Material
from layeratlas.runs import question
from layeratlas.runs.published import Published
from layeratlas.runs.recommendation import Purpose
from layeratlas.runs.uses import OPTIONS

if TYPE_CHECKING:  # listing studies must not load polars
    import polars as pl

    from layeratlas.runs.coherence import Rule
    from layeratlas.runs.finding import Finding
    from layeratlas.runs.finished import FinishedRun
    from layeratlas.runs.fitting import Reader
    from layeratlas.runs.mistakes import Mistakes
    from layeratlas.runs.quantity import ModelMark, ModelSegment, RunQuantity


@dataclass(frozen=True, kw_only=True)
class Words:
    """The wording of a study's report: how estimates were made, and the references they are compared with.

    `floor` names what a gain is counted from (`Study.floored`).
    """

    method: str = "Probe"
    control: str = "shuffled labels"
    floor: str = "chance and shuffled labels"
    baseline: str = "best surface-only baseline"
    origin: str = ""
    wrong: str = "Held-out texts"


PROBED = Words()


@dataclass(frozen=True)
class Exhibit:
    """A chart or a table that a study adds to its report; also written to `figures/NAME`.

    `chart` takes a function from a palette name (`ink`, `control`, `series-1` ...) to a colour and returns a chart
    with its data in it, of `report.vega` or of Altair. `table` has the column names that the reader sees.
    """

    name: str
    title: str
    text: str
    chart: Callable[[Callable[[str], str]], Any] | None = None
    table: Any = None


class Study(ABC):
    """A question asked of a model: what it reads and the stages that answer it.

    A stage is a function of the run's workspace that reads and writes only the run's folder and returns the names of
    the files it wrote; a finished stage is skipped when the run is resumed. `settings` is the class of the `--set`
    options. `curves` tells whether the report plots the run's curves by level. `method_names` and `metric_names` are
    words for the codes in the study's tables, in reading order. `headlines` are the kinds of findings that the report
    shows first, in that order; `details` are the kinds that a long overview omits. `uses` are the options of probes,
    capture and chat that change the study's numbers; other options are refused. `purposes` are those for which its runs
    recommend a layer, each with its rule in words. `presupposed` are the rules by which kinds of findings presuppose or
    exclude others. `across` are the report's questions that are not about a single level; `question` words the question
    about a level. `published` lists which of its outputs hold no text of the user and may be shared.

    `tested` says for each kind of finding, in a few words, what a supported one says; it is shown where one is not
    supported.
    `keeps_vectors` tells whether a run keeps the vectors of its texts.

    A comparison of models reads `presence`, the kind of finding that says whether a level is encoded (or answered) at
    all, and `scaled`, the kinds whose estimates are compared with model size, each with its component. On the map of
    models, the row of a level is named by `row`, and shows the curve of the method `mapped`, by default that of the
    first finding. It calls `quantities`, `segments_of`, `marks_of` and
    `cohort_findings`.
    """

    summary: str = ""
    tasks: tuple[str, ...] = ()
    reads: type = Dataset
    uses: frozenset[str] = OPTIONS
    purposes: Mapping[Purpose, str] = {}
    settings: type[Spec] = Spec
    words: Words = PROBED
    curves: bool = True
    method_names: Mapping[str, str] = {}
    metric_names: Mapping[str, str] = {}
    headlines: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    presence: str = ""
    tested: Mapping[str, str] = {}
    row: str = "{}"
    mapped: str = ""
    scaled: Mapping[str, str] = {}
    keeps_vectors: bool = False
    presupposed: tuple[Rule, ...] = ()
    across: tuple[question.Question, ...] = ()
    published: Published = Published()

    def probe_spec(self, size: Size) -> ProbeSpec:
        """Return the default probe settings at a size."""
        return ProbeSpec()

    @abstractmethod
    def read(self, path: str, spec: RunSpec) -> Material:
        """Return a user's file as material; raises DataError with the file, the row and the advice.

        With `bad_rows="drop"` in the run's spec, malformed rows are left out and listed in the material's `dropped`.
        """

    def prepare(self, spec: RunSpec, settings: Any) -> RunSpec:
        """Return the spec as the study runs it, with the options that it requires (such as an attention kernel)."""
        return spec

    def select(self, spec: RunSpec, settings: Any, material: Sequence[Any]) -> list[Any]:
        """Return the material to read: all of it, or a sample if the settings ask for one."""
        return list(material)

    def check(self, spec: RunSpec, settings: Any, material: Sequence[Any]) -> None:
        """Raise SpecError if the settings do not fit the material."""
        return None

    def texts_of(self, material: Sequence[Any], settings: Any) -> list[str]:
        """Return the distinct texts that a model reads at least once, to estimate the cost of a run."""
        return list(dict.fromkeys(text for data in material for text in data.texts))

    def unfit(self, spec: RunSpec, settings: Any, data: Any, model: Reader) -> dict[int, str]:
        """Return why texts of a set do not fit a model, by their numbers from 0 on, as a run would find.

        Raises AtlasError if the study cannot be run on the model at all.
        """
        lengths = [len(ids) for ids in model.encode(self.texts_of([data], settings))]
        longest = model.context or max(lengths, default=0)
        return {number: f"has {length} tokens" for number, length in enumerate(lengths) if length > longest}

    @abstractmethod
    def stages(self) -> Mapping[str, Callable[[Any], list[str]]]:
        """Return the stages by name, in order."""

    def question(self, level: str, words: str) -> question.Question:
        """Return the question about a level; `words` is its task's name for the level, or ''."""
        return question.of_level(words or level)

    def mistakes(self, run: FinishedRun) -> list[Mistakes]:
        """Return the texts that each layer gets wrong, for the report; empty if the study has none."""
        return []

    def exhibits(self, folder: Path) -> list[Exhibit]:
        """Return the study's charts and tables, built only from the run's tables."""
        return []

    def methods(self, run: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the methods as (heading, plain text), built from the run's manifest."""
        return []

    def floored(self, run: FinishedRun, curves: pl.DataFrame) -> pl.DataFrame:
        """Return curves of a run with the column `floor`: what a layer must exceed to have gained anything."""
        from layeratlas.runs.floors import with_floor

        return with_floor(curves)

    def quantities(self, run: FinishedRun) -> list[RunQuantity]:
        """Return the numbers of a run on which models are compared, in addition to those of its curves."""
        return []

    def segments_of(self, run: FinishedRun) -> list[ModelSegment]:
        """Return the segments into which a run divides its model, for the map of all models."""
        return []

    def marks_of(self, run: FinishedRun) -> list[ModelMark]:
        """Return the marks on the rows of a run's levels, for the map of all models."""
        return []

    def cohort_findings(self, runs: Sequence[FinishedRun]) -> list[Finding]:
        """Return the findings that need several models, from comparable runs of this study."""
        return []
