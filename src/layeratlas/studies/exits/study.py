"""The exits study: which layer can already answer?

Re-implements the approach described in arXiv 2312.04333; questions, readouts, baselines and tests are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layeratlas.core import registry
from layeratlas.core.errors import SpecError
from layeratlas.core.files import read_json
from layeratlas.core.spec import ProbeSpec, RunSpec, Size
from layeratlas.data.questions import QuestionSet, sample_groups
from layeratlas.data.readers.questions import read_questions
from layeratlas.runs.question import Question
from layeratlas.runs.study import Exhibit, Study, Words
from layeratlas.runs.uses import CHAT, PRECISION
from layeratlas.studies.exits import questions
from layeratlas.studies.exits.chains import check_chains
from layeratlas.studies.exits.coherence import PRESUPPOSED
from layeratlas.studies.exits.names import (
    AGREEMENT,
    ALL,
    BASELINES_FILE,
    EXACT_MATCH,
    METHOD_NAMES,
    METRIC_NAMES,
    PUBLISHED,
    ExitFinding,
)
from layeratlas.studies.exits.prompts import BARE, LETTERS, make_prompt
from layeratlas.studies.exits.reading_out import ALL_EXITS, check_exits
from layeratlas.studies.exits.recommending import RULES
from layeratlas.studies.exits.settings import ExitSettings, settings_of
from layeratlas.studies.exits.tested import TESTED
from layeratlas.studies.exits.tuned.checking import check_tuned

if TYPE_CHECKING:  # a study is listed without loading polars
    import polars as pl

    from layeratlas.runs.finished import FinishedRun
    from layeratlas.runs.fitting import Reader
    from layeratlas.runs.mistakes import Mistakes
    from layeratlas.runs.workspace import StageFunction


class Exits(Study):
    """Multiple-choice questions scored at every point of the residual stream, as if the model ended there."""

    summary = "which layer can already answer? choices scored by early exit at every layer, over surface baselines"
    purposes = RULES
    across = questions.ACROSS
    published = PUBLISHED
    tasks = ("arithmetic", "word_problems", "xmps", "facts", "truth", "logic")
    reads = QuestionSet
    uses = frozenset({"probe.bootstrap", "capture.batch_tokens", PRECISION}) | CHAT
    settings = ExitSettings
    words = Words(
        method="Score",
        control="the choice without the question",
        floor="chance, surface rules and, where it is a control, the choice without the question",
        wrong="Questions",
        baseline="best of fewest tokens, fewest bytes and most frequent answer",
        origin="This re-implements the approach described in arXiv 2312.04333; questions, readouts, baselines and "
        "tests are ours.",
    )
    method_names = METHOD_NAMES
    metric_names = METRIC_NAMES
    presupposed = PRESUPPOSED
    tested = TESTED
    headlines = (ExitFinding.TOKEN_COUNT, ExitFinding.EXIT)
    details = (ExitFinding.LAST_EXIT, ExitFinding.LAST_AGAINST_BEST, ExitFinding.RANDOM_WEIGHTS, ExitFinding.ABLATION)

    presence = "exit"

    def probe_spec(self, size: Size) -> ProbeSpec:
        """Return the settings of the bootstrap; nothing is probed."""
        return ProbeSpec(bootstrap=1000)

    def read(self, path: str, spec: RunSpec) -> QuestionSet:
        """Return a file of questions."""
        return read_questions(path, bad_rows=spec.bad_rows)

    def select(self, spec: RunSpec, settings: ExitSettings, material: Sequence[QuestionSet]) -> list[QuestionSet]:
        """Return the sets, cut to whole groups of each if the setting `questions` is given."""
        if settings.questions is None:
            return list(material)
        return [sample_groups(data, settings.questions, spec.seed) for data in material]

    def texts_of(self, material: Sequence[QuestionSet], settings: ExitSettings) -> list[str]:
        """Return every prompt, and the one without a question, with each choice."""
        prompts = [make_prompt(data, question, settings) for data in material for question in data.items]
        asked = [(prompt, text) for prompt in prompts for text in (prompt.text, BARE)]
        return list(dict.fromkeys(read + choice for prompt, text in asked for read, choice in prompt.scored(text)))

    def unfit(self, spec: RunSpec, settings: ExitSettings, data: QuestionSet, model: Reader) -> dict[int, str]:
        """Return which questions exceed the model's context even without worked examples.

        Raises SpecError for an exit that the model does not have.
        """
        from layeratlas.studies.exits.reading_out import exits_of

        exits_of(settings.exits, model.blocks + 1)
        found: dict[int, str] = {}
        for number, question in enumerate(data.items if model.context else ()):
            prompt = make_prompt(data, question, settings.with_shots(0))
            texts = [read + choice for text in (prompt.text, BARE) for read, choice in prompt.scored(text)]
            if (longest := max(map(len, model.encode(texts)))) > (model.context or 0):
                found[number] = f"has {longest} tokens"
        return found

    def check(self, spec: RunSpec, settings: ExitSettings, material: Sequence[QuestionSet]) -> None:
        """Raise SpecError for what cannot be asked: too few worked examples, more choices than letters, no passages."""
        _check_exits(settings)
        check_tuned(settings)
        for data in material:
            _check_written(data, spec)
        for data in material if settings.format == "letter" else ():
            _check_letters(data)
        for data in material if settings.format == "chain" else ():
            check_chains(data, settings.shots)
        if material and "shots" in spec.settings:
            _check_shots(min(material, key=lambda data: len(data.shots)), settings.shots)

    def stages(self) -> dict[str, StageFunction]:
        """Return the stages in order."""
        from layeratlas.studies.exits.stages import stages

        return stages(self)

    def question(self, level: str, words: str) -> Question:
        """Return the question about a level."""
        return questions.of_level(level, words)

    def mistakes(self, run: FinishedRun) -> list[Mistakes]:
        """Return the questions that each exit answers wrongly by the deciding score."""
        from layeratlas.studies.exits.mistakes import mistakes

        return mistakes(run)

    def floored(self, run: FinishedRun, curves: pl.DataFrame) -> pl.DataFrame:
        """Return curves with the floor of the findings: no control where wrong choices can be recognised alone."""
        from layeratlas.runs.floors import with_floor_by_layer

        sets = run.manifest.get("datasets", [])
        evident = [data for data in sets if data.get("evident", False)]
        mixed = {data["level"] for data in sets if data not in evident}
        tasks = {(data["level"], data["name"]) for data in evident}
        levels = {(data["level"], ALL) for data in evident if data["level"] not in mixed}
        # What is exact or agrees is not chosen, so that nothing can be recognised: its control always counts.
        return with_floor_by_layer(curves, tasks | levels, bound=(EXACT_MATCH, AGREEMENT))

    def exhibits(self, folder: Path) -> list[Exhibit]:
        """Return the baselines, the ablations and published curves (if the run has them), and the claims."""
        from layeratlas.runs.claims_exhibit import claims_exhibit
        from layeratlas.runs.layer_order import layer_order_exhibits
        from layeratlas.runs.tables import read_table
        from layeratlas.studies.exits import baselines, charts, reference, written
        from layeratlas.studies.exits.ablation import charts as ablation_charts
        from layeratlas.studies.exits.tuned import charts as tuned_charts

        if not (folder / BASELINES_FILE).exists():
            return ablation_charts.exhibits(folder)
        run, curves = read_json(folder / "run.json"), read_table(folder / "curves.parquet")
        settings, table = settings_of(run), read_table(folder / BASELINES_FILE)
        return [
            *charts.exhibits(table, curves, settings),
            *baselines.exhibits(table),
            *written.exhibits(folder, run),
            *tuned_charts.exhibits(folder),
            *ablation_charts.exhibits(folder),
            *layer_order_exhibits(folder),
            *reference.exhibits(run, curves),
            claims_exhibit(registry.claims_of("exits"), folder),
        ]

    def methods(self, run: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what was done, from the run's manifest."""
        from layeratlas.studies.exits.ablation.methods import methods as ablation_methods
        from layeratlas.studies.exits.methods import methods

        return [*methods(run), *ablation_methods(run)]


def _check_exits(settings: ExitSettings) -> None:
    """Raise SpecError if `exits` cannot be parsed, or if another setting needs all exits."""
    check_exits(settings.exits)
    if settings.tuned and settings.exits != ALL_EXITS:
        raise SpecError(f"tuned=true with exits={settings.exits}", "all exits", "leave out exits, or tuned=true")


def _check_written(data: QuestionSet, spec: RunSpec) -> None:
    """Raise SpecError for an option that would change prompts which another tool wrote."""
    given = [f"--set {name}" for name in ("shots", "format", "ablate_shots") if name in spec.settings]
    given += ["--chat"] if spec.model.chat else []
    if data.written is not None and given:
        todo = "leave it out" + ("; write #N after the task's name instead" if given[0] == "--set shots" else "")
        raise SpecError(f"{given[0]} with {data.source}", f"its prompts as {data.written.by} writes them", todo)


def _check_letters(data: QuestionSet) -> None:
    """Raise SpecError if a question has more choices than there are letters."""
    most = max(len(question.choices) for question in data.items)
    if most > len(LETTERS):
        raise SpecError(
            f"{data.source or data.name} has a question with {most} choices",
            f"{len(LETTERS)} letters",
            "use --set format=text",
        )


def _check_shots(data: QuestionSet, asked: int) -> None:
    """Raise SpecError if a set has fewer worked examples than requested."""
    available = len(data.shots)
    if asked > available:
        raise SpecError(
            f"{data.source or data.name} has {available or 'no'} worked example{'s' * (available != 1)}, "
            f"and {asked} are asked for",
            f"--set shots={available}{' at most' if available else ''}",
        )


PLUGIN = Exits()
