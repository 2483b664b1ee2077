"""The exits study: which layer can already answer?

Re-implements the approach described in arXiv 2312.04333; questions, readouts, baselines and tests are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core import formatting as wording
from layeratlas.core import registry
from layeratlas.core.errors import SpecError
from layeratlas.core.files import read_json
from layeratlas.core.spec import ProbeSpec, RunSpec, Size
from layeratlas.data.questions import QuestionSet
from layeratlas.data.readers.questions import read_questions
from layeratlas.report.stage import report_stage
from layeratlas.runs.claims_exhibit import claims_exhibit
from layeratlas.runs.draws import write_draws
from layeratlas.runs.finding import FINDING_COLUMNS, Finding
from layeratlas.runs.study import Exhibit, Study, Words
from layeratlas.runs.tables import curve_table, write_table
from layeratlas.runs.workspace import StageFunction, Workspace
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.exits import decoding, scoring, tables
from layeratlas.studies.exits.ablation.stage import ablate_stage
from layeratlas.studies.exits.ablation.tables import FILE as ABLATION
from layeratlas.studies.exits.ablation.tables import ablation_results
from layeratlas.studies.exits.ablation.tables import methods as ablation_methods
from layeratlas.studies.exits.choices import ExitCurve, Scored, level_curves, set_curves
from layeratlas.studies.exits.claim_findings import (
    agreement_curve,
    claim_findings,
    float_findings,
    language_finding,
    token_count_finding,
)
from layeratlas.studies.exits.findings import answered, exit_findings, last_findings
from layeratlas.studies.exits.prompts import LETTERS, ExitSettings

BASELINES = "baselines.parquet"


class Exits(Study):
    """Multiple-choice questions scored at every point of the residual stream, as if the model ended there."""

    summary = "which layer can already answer? choices scored by early exit at every layer, over surface baselines"
    tasks = ("arithmetic", "word_problems", "xmps", "facts", "truth", "logic")
    reads = QuestionSet
    uses = frozenset({"probe.bootstrap", "capture.batch_tokens"})
    settings = ExitSettings
    words = Words(
        method="Score",
        control="the choice without the question",
        baseline="best of fewest tokens, fewest bytes and commonest answer",
        origin="This re-implements the approach described in arXiv 2312.04333; questions, readouts, baselines and "
        "tests are ours.",
    )

    def probe_spec(self, size: Size) -> ProbeSpec:
        """Return the settings of the bootstrap; nothing is probed."""
        return ProbeSpec(bootstrap=1000)

    def read(self, path: str) -> QuestionSet:
        """Return a file of questions."""
        return read_questions(path)

    def check(self, spec: RunSpec, settings: ExitSettings, material: Sequence[QuestionSet]) -> None:
        """Refuse what could not be asked: too few worked examples, more choices than letters."""
        for data in material:
            place = data.source or data.name
            if settings.format == "letter" and (most := max(len(q.choices) for q in data.items)) > len(LETTERS):
                raise SpecError(f"{place} has a question with {most} choices", "26 letters", "use --set format=text")
        if material and "shots" in spec.settings:
            _check_shots(min(material, key=lambda data: len(data.shots)), settings.shots)

    def stages(self) -> dict[str, StageFunction]:
        """Return the stages in order."""
        return {
            "score": scoring.score_stage,
            "ablate": ablate_stage,
            "analyse": _analyse,
            "report": report_stage(self),
        }

    def exhibits(self, folder: Path) -> list[Exhibit]:
        """Return what needs no model, the ablations, if any, the published curves, and the paper's claims."""
        from layeratlas.studies.exits import charts as exit_charts
        from layeratlas.studies.exits.ablation import charts as ablation_charts
        from layeratlas.studies.exits.reference import reference

        if not (folder / BASELINES).exists():
            return ablation_charts.exhibits(folder)
        run, curves = read_json(folder / "run.json"), pl.read_parquet(folder / "curves.parquet")
        settings = ExitSettings(**run["spec"].get("settings", {}))
        named = f"{run['model'].get('id', '')} {run['model'].get('name', '')}"
        baselines = pl.read_parquet(folder / BASELINES)
        made = [*exit_charts.exhibits(baselines, curves, settings), *tables.exhibits(baselines)]
        made += [*ablation_charts.exhibits(folder), *reference(curves, named, settings, run.get("datasets", []))]
        return [*made, claims_exhibit(registry.claims_of("exits"), folder)]

    def methods(self, run: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what was done, from the run's manifest."""
        settings = ExitSettings(**run["spec"].get("settings", {}))
        said = tables.methods(run, settings, wording.word(wording.METHODS, settings.score))
        return [*said, *ablation_methods(run)]


def _check_shots(fewest: QuestionSet, asked: int) -> None:
    """Raise SpecError where the set that has the fewest worked examples has fewer than were asked for."""
    there = len(fewest.shots)
    if asked > there:
        raise SpecError(
            f"{fewest.source or fewest.name} has {there or 'no'} worked example{'s' * (there != 1)}, "
            f"and {asked} are asked for",
            f"--set shots={there}{' at most' if there else ''}",
        )


def _analyse(work: Workspace) -> list[str]:
    settings = work.settings
    scored = list(scoring.load_scored(work))
    bootstrap, seed = work.spec.probe.bootstrap, work.spec.seed
    curves, findings = analyse(scored, settings, bootstrap, seed)
    for one in scored if settings.format == "free" else ():
        sampler = Resampler([q.group for q in one.data.items], bootstrap, seed)
        curves.append(decoding.load_curve(work, one.data, one.asked.shape[1], sampler))
    write_table(work, "curves.parquet", curve_table(work, list(curves)))
    ablated = ablation_results(work)
    findings += ablated[1] if ablated else []
    empty = None if findings else dict.fromkeys(FINDING_COLUMNS, pl.String)
    made = pl.DataFrame([asdict(f) for f in findings], schema=empty, infer_schema_length=None)
    made = made.with_columns(model=pl.lit(work.manifest["model"]["name"]), study=pl.lit(work.spec.study))
    write_table(work, "findings.parquet", made.select(FINDING_COLUMNS))
    write_table(work, BASELINES, tables.baselines(scored, curves, settings))
    if ablated:
        write_table(work, ABLATION, ablated[0])
    # The score that decides the findings stands first, as in the findings.
    ranked = sorted(curves, key=lambda curve: curve.method != settings.score)
    kept = write_draws(work.folder, ranked)
    return ["curves.parquet", "findings.parquet", BASELINES, kept, *([ABLATION] if ablated else [])]


def analyse(
    scored: Sequence[Scored], settings: ExitSettings, bootstrap: int, seed: int
) -> tuple[list[ExitCurve], list[Finding]]:
    """Return the curves, those of whole levels first, and the findings on them."""
    levels = list(dict.fromkeys(one.data.level for one in scored))
    groups = {level: [q.group for s in scored if s.data.level == level for q in s.data.items] for level in levels}
    samplers = {level: Resampler(groups[level], bootstrap, seed + i) for i, level in enumerate(levels)}
    sets = [c for s in scored for c in set_curves(s, samplers[s.data.level], settings.strict, settings.score)]
    whole = level_curves(sets, {level: len(set(names)) for level, names in groups.items()})
    main = [c for c in whole if c.metric == "accuracy" and c.method == settings.score]
    says = ", norm left out" if settings.exit_norm == "none" else ""
    unsure = {one.data.level for one in scored if one.data.confounded}
    found = answered([c for c in main if c.level not in unsure])
    last = last_findings(found, says)
    claims = claim_findings(found, last, says)
    for one in found:
        mine = [s for s in scored if s.data.level == one.curve.level]
        if agreement := agreement_curve(mine, one.curve, samplers[one.curve.level], settings.strict):
            whole.append(agreement)
            said = language_finding(one, agreement)
            claims += [said] if said else []
        own = [c for c in sets if c.level == one.curve.level and c.stratum == "all"]
        own = [c for c in own if c.metric == "accuracy" and c.method == settings.score]
        claims += float_findings(own, mine, samplers[one.curve.level], settings.strict)
    everyone = Resampler([q.group for s in scored for q in s.data.items], bootstrap, seed)
    counted = token_count_finding(scored, everyone, main[0], says)
    surface = [counted] if counted else []
    return [*whole, *sets], [*surface, *exit_findings(found, says), *last, *claims]


PLUGIN = Exits()
