"""What a study is: what it reads, its stages, and what its report shows."""

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
from layeratlas.runs.recommendation import Purpose
from layeratlas.runs.uses import OPTIONS

if TYPE_CHECKING:  # a study is listed without loading polars
    from layeratlas.runs.coherence import Rule
    from layeratlas.runs.finding import Finding
    from layeratlas.runs.finished import FinishedRun
    from layeratlas.runs.mistakes import Mistakes
    from layeratlas.runs.quantity import ModelSegment, RunQuantity


@dataclass(frozen=True, kw_only=True)
class Words:
    """What a study's report calls things: how estimates were made, and what they are read against."""

    method: str = "Probe"
    control: str = "shuffled labels"
    baseline: str = "best surface-only baseline"
    origin: str = ""
    wrong: str = "Held-out texts"


PROBED = Words()


@dataclass(frozen=True)
class Exhibit:
    """A chart or a table that a study adds to its report; drawn into `figures/NAME` too.

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

    A stage is a function of the run's workspace that reads and writes only the run's folder and returns the
    files it made; a finished stage is skipped when the run is resumed. `settings` is the class of what `--set` may
    say; `curves` tells whether the report draws the run's curves level by level. `method_names` and `metric_names` are
    words for the codes of the study's tables, in reading order. `headlines` are the kinds of findings that the report
    tells first, in that order; `details` those that it leaves out of an overview that would be too long. `uses` are the
    options of probes, capture and chat that change the study's numbers; others are refused. `purposes` are those for
    which its runs recommend a layer, each with its rule in words. `presupposed` says which kinds of findings hold
    only where others do. `across` are the questions of the report that are about no single level; `question` words that
    about a level.

    A comparison of models reads `presence`, the kind of finding that says whether a level is encoded (or answered) at
    all, and `scaled`, the kinds whose estimates are set against model size, each with its component; and it calls
    `quantities`, `segments_of` and `cohort_findings`.
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
    scaled: Mapping[str, str] = {}
    keeps_vectors: bool = False
    presupposed: tuple[Rule, ...] = ()
    across: tuple[question.Question, ...] = ()

    def probe_spec(self, size: Size) -> ProbeSpec:
        """Return the default probe settings at a size."""
        return ProbeSpec()

    @abstractmethod
    def read(self, path: str, spec: RunSpec) -> Material:
        """Return a file of the user's as material; raises DataError with the file, the row and what to do.

        With `bad_rows="drop"` in the run's spec, malformed rows are left out and listed in the material's `dropped`.
        """

    def prepare(self, spec: RunSpec, settings: Any) -> RunSpec:
        """Return the spec as the study runs it: what it cannot do without (an attention kernel, say) is set here."""
        return spec

    def select(self, spec: RunSpec, settings: Any, material: Sequence[Any]) -> list[Any]:
        """Return what is read of the material: all of it, or a sample where the settings ask for one."""
        return list(material)

    def check(self, spec: RunSpec, settings: Any, material: Sequence[Any]) -> None:
        """Raise SpecError where the settings do not fit the material."""
        return None

    def texts_of(self, material: Sequence[Any], settings: Any) -> list[str]:
        """Return the distinct texts that a model reads at least once, to estimate what a run takes."""
        return list(dict.fromkeys(text for data in material for text in data.texts))

    @abstractmethod
    def stages(self) -> Mapping[str, Callable[[Any], list[str]]]:
        """Return the stages by name, in order."""

    def question(self, level: str, words: str) -> question.Question:
        """Return the question about a level; `words` are what its task calls it, empty where it has no words."""
        return question.of_level(words or level)

    def mistakes(self, run: FinishedRun) -> list[Mistakes]:
        """Return the texts that each layer gets wrong, where the study has such; shown layer by layer."""
        return []

    def exhibits(self, folder: Path) -> list[Exhibit]:
        """Return the charts and tables of the study's own, made from the run's tables alone."""
        return []

    def methods(self, run: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return the methods as (heading, plain text), made from the run's manifest."""
        return []

    def quantities(self, run: FinishedRun) -> list[RunQuantity]:
        """Return the numbers of a run that models are compared by, beside those of its curves."""
        return []

    def segments_of(self, run: FinishedRun) -> list[ModelSegment]:
        """Return the segments that a run divides its model into, for the map of all models."""
        return []

    def cohort_findings(self, runs: Sequence[FinishedRun]) -> list[Finding]:
        """Return what only several models together show, from comparable runs of this study."""
        return []
