"""The atlas of one model: all studies in one call, one page, and a study that refuses the model leaves the others."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import fake_models as fake
import layeratlas as la
from fake_models import FakeModel
from layeratlas.core.errors import ModelError
from layeratlas.core.spec import RunSpec
from layeratlas.runs import pipeline
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.quantity import UNUSED, USED
from layeratlas.runs.recommendation import Recommendation, write_recommendations
from layeratlas.studies.causal.charts import exhibits
from layeratlas.studies.causal.marks import marks_of
from layeratlas.studies.causal.names import TABLE_FILE

MODEL = FakeModel("early", lambda level, d: fake.hump({"item": 0.2, "relation": 0.4}.get(level, 0.8))(d))
LEVELS = {"hierarchy": ("item", "relation"), "exits": ("facts",), "causal": ("item",), "segments": ("signal",)}
# At point 3 of the causal run the answers need the level, at point 2 they are shown not to.
USE = {"level": ["item"] * 3, "point": [1, 2, 3], "used": ["inconclusive", "not supported", "supported"]}


def _as_causal(folder: Path) -> None:
    """Give a run the curves of probes and of what erasing costs, and findings on the latter, as a causal run has."""
    curves, findings = (pl.read_parquet(folder / f"{name}.parquet") for name in ("curves", "findings"))
    erased = curves.with_columns(method=pl.lit("erase"), estimate=pl.lit(0.0))
    pl.concat([curves.with_columns(method=pl.lit("probe")), erased]).write_parquet(folder / "curves.parquet")
    used = findings.with_columns(method=pl.lit("erase"))
    answered = used.filter(finding="used").with_columns(finding=pl.lit("answered"))
    pl.concat([used, answered]).write_parquet(folder / "findings.parquet")


def write(out: Path, study: str) -> Path:
    """Write what a run of the study on a fake model leaves."""
    boundaries = (0.2, 0.7) if study == "segments" else None
    folder = fake.write_model(out, replace(MODEL, study=study, levels=LEVELS[study], boundaries=boundaries))
    if study == "causal":
        _as_causal(folder)
        effects = {"encoded": ["supported"] * 3, "used_by": [0.0, 0.0, 1.2], "clean": [2.4] * 3}
        pl.DataFrame(USE | effects).write_parquet(folder / TABLE_FILE)
    return folder


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The studies that refuse the model; the others find at once what a fake model's run holds."""
    studies: set[str] = set()

    def execute(study: object, spec: RunSpec, out: Path, progress: object, models: object) -> Path:
        if spec.study in studies:
            raise ModelError(f"the model has too few blocks for {spec.study}")
        return write(out, spec.study)

    monkeypatch.setattr(pipeline, "execute", execute)
    return studies


def found_by(folder: Path) -> set[str]:
    return set(pl.read_parquet(folder / "findings.parquet")["statement"])


def test_the_page_tells_what_each_study_found_and_compares_nothing(refused, tmp_path):
    made = la.atlas(model="early", size="quick", out=tmp_path / "out")
    assert made.manifest["studies"] == list(LEVELS)
    assert set(made.findings["model"]) == {"early"}
    for study in LEVELS:
        told = made.findings.filter(study=study)["statement"]
        assert len(told)
        assert set(told) <= found_by(tmp_path / "out" / study)
    assert made.differences.is_empty()
    page = made.report_path.read_text(encoding="utf-8")
    assert "<h1>early</h1>" in page
    assert "Differences between pairs" not in page
    assert made.report_path == tmp_path / "out/atlas/comparison.html"


def test_a_study_that_refuses_the_model_is_left_out_and_named(refused, tmp_path):
    refused.add("segments")
    made = la.atlas(model="early", size="quick", out=tmp_path / "out")
    assert made.manifest["studies"] == ["hierarchy", "exits", "causal"]
    assert made.manifest["notes"] == ["segments is left out: the model has too few blocks for segments"]
    assert "segments is left out: the model has too few blocks" in made.report_path.read_text(encoding="utf-8")


@pytest.mark.parametrize("names", [{"hierarchy"}, {"exits", "causal", "segments"}])
def test_too_little_for_a_page_is_the_error_itself(refused, tmp_path, names):
    refused |= names
    with pytest.raises(ModelError, match=r"too few blocks for (hierarchy|segments)"):
        la.atlas(model="early", size="quick", out=tmp_path / "out")


def test_the_map_marks_what_is_encoded_and_used_in_rows_of_their_own(refused, tmp_path):
    made = la.atlas(model="early", size="quick", out=tmp_path / "out")
    marks = pl.read_parquet(made.folder / "marks.parquet")
    assert marks.select("study", "entry", "layer", "meaning", "size").rows() == [
        ("causal", "item (prompts)", 2, "not used", 0.0),
        ("causal", "item (prompts)", 3, "used", 0.5),
    ]
    # The row shows what the probe reads, though the findings are on what erasing costs.
    prompts = made.curves.filter(entry="item (prompts)")
    assert set(prompts["method"]) == {"probe"}
    assert prompts["shade"].max() == 1
    # The hierarchy's row of the same level is another one, and has no mark.
    assert {"item", "item (prompts)"} <= set(made.curves["entry"])
    assert "Rows of prompts are of the causal study" in made.report_path.read_text(encoding="utf-8")
    (row,) = (line for line in made.summary(100).splitlines() if line.strip().startswith("item (prompts)"))
    assert row.endswith(" used at 3")


def test_the_end_of_an_atlas_shows_the_rows_of_its_map_and_findings_of_every_study(refused, tmp_path):
    made = la.atlas(model="early", size="quick", out=tmp_path / "out")
    lines = made.summary(100).splitlines()
    rows = [name for line in lines[2:] if (name := line[:18].strip()) and not line.strip().startswith("[")]
    assert {"item", "facts", "item (prompts)"} <= set(rows)
    assert len(rows) == len(set(rows))
    found = [line.partition("] ")[2] for line in lines if line.strip().startswith("[")]
    first = {statement: study for study, statement in made.findings.select("study", "statement").iter_rows()}
    assert {first[statement] for statement in found[: len(LEVELS)]} == set(LEVELS)


def test_a_layer_to_steer_at_is_of_the_row_whose_prompts_were_steered(tmp_path):
    """Two studies have a level `item`, with other labels: the layers of one are not those of the other."""
    folders = [write(tmp_path / study, study) for study in ("hierarchy", "causal")]
    about = {"task": "all", "component": "resid", "method": "ridge", "metric": "accuracy", "unit": "point", "last": 24}
    sure = {"as_good": (9,), "confidence": 0.95, "value": 0.9, "lo": 0.8, "hi": 1.0, "chance": 0.5, "reason": "Best."}
    uses = (("probe", "item", 9), ("embed", "all", 12)), (("steer", "item", 20),)
    for folder, recommended in zip(folders, uses, strict=True):
        rows = [Recommendation(purpose=p, level=name, layer=at, **about, **sure) for p, name, at in recommended]
        write_recommendations(folder, rows, {})
    manifest = json.loads((folders[1] / "run.json").read_text())
    words = {"words": {"levels": {"item": "animal or object"}}}
    (folders[1] / "run.json").write_text(json.dumps(manifest | words))
    page = la.compare(folders, out=tmp_path / "out").report_path.read_text(encoding="utf-8")
    table = page[page.index('id="which"') :].partition("</table>")[0]
    note = "(embed: share of the way from chance to certainty; steer: nats by which the answers move). None:"
    assert note in page  # scores of two units are not compared
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr>(.*?)</tr>", table, re.S)[1:]]
    assert rows == [
        ["item", "item", "properties", "9", "(0.90)"],
        ["all", "levels", "together", "12", "(0.90)"],
        ["item", "(prompts)", "animal", "or", "object", "20", "(0.90)"],
    ]


@pytest.mark.parametrize(("kind", "left"), [("used", ["not used"]), ("answered", ["used"])])
def test_the_map_marks_no_more_than_the_report_says(kind, left, tmp_path):
    """The verdict of a point is corrected over its set alone; that of a finding over the report too."""
    folder = write(tmp_path / "causal", "causal")
    findings = pl.read_parquet(folder / "findings.parquet")
    verdict = pl.when(pl.col("finding") == kind).then(pl.lit("inconclusive")).otherwise("verdict")
    findings.with_columns(verdict=verdict).write_parquet(folder / "findings.parquet")
    assert [mark.meaning for mark in marks_of(FinishedRun(folder))] == left
    # The map of the run's own report says the same.
    table = pl.read_parquet(folder / TABLE_FILE)
    numbers = [f"loss_{edit}" for edit in ("erase", "random", "shuffled", "other")]
    numbers += [f"{name}_{end}" for name in ("used", "steered") for end in ("lo", "hi", "p")]
    numbers += ["accuracy", "accuracy_left", "chance", "steered_by"]
    table = table.with_columns(*(pl.lit(0.5).alias(name) for name in numbers), n=pl.lit(9), steered=pl.lit("supported"))
    table.write_parquet(folder / TABLE_FILE)
    drawn = exhibits(folder)[0].chart(str).to_dict()
    assert [row["use"] for row in drawn["data"]["values"] if row["use"] in (USED, UNUSED)] == left


def test_nothing_is_marked_as_unused_where_nothing_is_encoded(tmp_path):
    folder = write(tmp_path / "causal", "causal")
    pl.read_parquet(folder / TABLE_FILE).with_columns(encoded=pl.lit("inconclusive")).write_parquet(folder / TABLE_FILE)
    assert [mark.meaning for mark in marks_of(FinishedRun(folder))] == ["used"]


def test_a_model_whose_stream_cannot_be_edited_has_an_atlas_without_the_causal_study(refused, tmp_path):
    refused.add("causal")
    made = la.atlas(model="early", size="quick", out=tmp_path / "out")
    assert made.manifest["studies"] == ["hierarchy", "exits", "segments"]
    page = made.report_path.read_text(encoding="utf-8")
    assert "causal is left out: the model has too few blocks for causal" in page
    assert "Rows of prompts" not in page


def test_two_models_and_an_odd_study_are_still_refused(tmp_path):
    other = replace(MODEL, name="late", study="exits", levels=("facts",))
    runs = [fake.write_model(tmp_path / model.name, model) for model in (MODEL, other)]
    with pytest.raises(la.AtlasError, match="only run of the study"):
        la.compare(runs, out=tmp_path / "out")


def test_studies_that_take_the_model_alike_share_one_that_is_loaded_once(monkeypatch, tmp_path):
    loaded, closed = [], []

    class Model:
        def close(self) -> None:
            closed.append(self)

    monkeypatch.setattr("layeratlas.models.load", lambda spec, progress: loaded.append(spec) or Model())
    given = []

    def execute(study, spec, out, progress, models):
        # As `pipeline.execute` does: what a study cannot do without (attention maps) is set in its spec.
        given.append(models.load(study.prepare(spec, study.settings(**spec.settings)).model, progress))
        return write(out, spec.study)

    monkeypatch.setattr(pipeline, "execute", execute)
    la.atlas(model="early", size="quick", out=tmp_path / "out")
    assert given[0] is given[1] is given[2]
    assert closed == [given[0], given[3]]
    assert [spec.attention for spec in loaded] == ["sdpa", "eager"]
