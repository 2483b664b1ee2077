"""The ablations of an exits run: off by default, whole, resumable, and showing what was planted and nothing else."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file, save_file

import families
from layeratlas.api import Run
from layeratlas.core.edits import Edit, thirds
from layeratlas.core.errors import StoreError
from layeratlas.core.progress import Progress
from layeratlas.core.spec import ModelSpec, ProbeSpec, RunSpec
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.models import load
from layeratlas.runs import pipeline
from layeratlas.studies.exits import stages
from layeratlas.studies.exits.ablation import stage as ablating
from layeratlas.studies.exits.ablation.findings import groups_needed
from layeratlas.studies.exits.ablation.passes import Pass, make_pass
from layeratlas.studies.exits.ablation.plan import plan_ablations
from layeratlas.studies.exits.posing import pose
from layeratlas.studies.exits.settings import ExitSettings
from layeratlas.studies.exits.study import PLUGIN

BLOCK = 1  # the only block that matters in the planted model
COUNT = 40
PLAN = plan_ablations(families.LAYERS, thirds(families.LAYERS))


def questions(name: str, level: str, count: int = COUNT) -> QuestionSet:
    rng = random.Random(name)
    words = [f"{a}{b}" for a in "bdfgklmnprst" for b in "aeiou"]
    items = tuple(Question(f"{name} {i}?", tuple(rng.sample(words, 4)), (0,), f"{name}{i}") for i in range(count))
    return QuestionSet(name, level, items)


SETS = [questions("facts", "facts"), questions("guess", "logic", 12)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny Llama in which the attention and the MLP of every other block than BLOCK add next to nothing.

    Nothing at all would be refused at load: attention has to mix positions.
    """
    folder = families.save(tmp_path_factory.mktemp("ablation") / "tiny", families.FAMILIES["llama"]())
    weights = load_file(folder / "model.safetensors")
    for name, tensor in weights.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")) and f".{BLOCK}." not in name:
            tensor.mul_(1e-6)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return str(folder)


@pytest.fixture(scope="module")
def known(model: str) -> QuestionSet:
    """The questions of `facts`, whose truth is whatever the planted model prefers: it knows them all."""
    (facts, _), settings = SETS, ExitSettings(shots=0)
    loaded = load(ModelSpec(id=model))
    found = make_pass(loaded, pose(loaded, facts, settings).after, 2048)([]).reshape(-1, 4)
    items = [replace(q, answers=(int(best),)) for q, best in zip(facts.items, found.argmax(1), strict=True)]
    return replace(facts, items=tuple(items))


def run(monkeypatch, model, out, sets, *, page=False, weights="auto", progress=None, **settings):
    monkeypatch.setattr(pipeline, "make_material", lambda study, spec: list(sets))
    if not page:
        monkeypatch.setattr(stages, "report_stage", lambda study: lambda work: [])
    spec = RunSpec(
        study="exits", size="quick", model=ModelSpec(id=model, weights=weights), probe=ProbeSpec(bootstrap=200),
        settings={"shots": 0, "ablate_to": "both", **settings},
    )  # fmt: skip
    return Run(pipeline.execute(PLUGIN, spec, out, progress))


class Notes(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def test_nothing_is_ablated_by_default(monkeypatch, model, tmp_path):
    done = run(monkeypatch, model, tmp_path / "run", SETS)
    assert done.manifest["stages"]["ablate"]["outputs"] == []
    assert "ablation" not in done.manifest
    assert not (done.folder / "ablated").exists()
    assert not (done.folder / "ablation.parquet").exists()
    assert not done.findings["finding"].str.starts_with("ablation").any()
    assert [exhibit.name for exhibit in PLUGIN.exhibits(done.folder)] == ["first-exit", "baselines", "claims"]


def test_the_only_block_that_matters_is_the_only_one_on_the_map(monkeypatch, model, known, tmp_path):
    notes = Notes()
    settings = {"ablate": True, "ablate_questions": COUNT}
    done = run(monkeypatch, model, tmp_path / "run", [known, SETS[1]], page=True, progress=notes, **settings)
    record = done.manifest["ablation"]
    assert record["questions"] == {"facts": COUNT, "guess": 12}
    assert record["ablations"] == len(PLAN)
    said = f"ablations: {len(PLAN) + 1} of {len(PLAN) + 1} passes (the whole model, and {len(PLAN)} ablations) of "
    assert any(line.startswith(said) for line in notes.said)
    found = pl.read_parquet(done.folder / "ablation.parquet")
    assert len(found) == 2 * len(PLAN)
    facts = found.filter(level="facts")
    assert set(facts["clean"]) == {1.0}
    touched = (pl.col("start") <= BLOCK) & (pl.col("stop") > BLOCK)
    # Blocks that add next to nothing can be skipped, and what they add can be set to zero, without moving one answer.
    idle = found.filter(~touched)
    assert len(idle) > 20
    assert set(idle["change"]) == {0.0}
    assert set(idle["p"]) == {1.0}
    assert (idle["lo"] < 0).all()  # so many groups could not show a rarer loss
    block = facts.filter(role="layer", kind="skip", start=BLOCK).row(0, named=True)
    assert block["change"] < -0.4
    assert block["verdict"] == "supported"
    assert facts.filter(verdict="supported").select(touched.all()).item()
    # What the model does not know it cannot lose, whichever block is gone.
    assert "supported" not in found.filter(level="logic")["verdict"]
    assert done.findings.filter(finding="ablation", level="facts", verdict="supported").height >= 1
    assert set(done.findings.filter(finding="ablation")["method"]) == {"sum"}
    shown = {exhibit.name: exhibit for exhibit in PLUGIN.exhibits(done.folder)}
    first, spans = shown["ablation"], shown["ablation-spans"]
    facts_text, logic_text = first.text.split("logic (")
    whole = "1.00 [0.93, 1.00] for the whole model, chance 0.25"
    assert f"facts ({COUNT} questions in {COUNT} groups; {whole}): lower " in facts_text
    assert f"without block {BLOCK}" in facts_text
    assert logic_text.startswith("12 questions in 12 groups; ")
    # 40 groups are enough for 15 single ablations, and so are 12; what is not known cannot be lost.
    assert "cannot support a single loss" not in first.text
    assert "not shown to be above chance" in logic_text
    assert "not shown to be above chance" not in facts_text
    assert spans.table.height == 2 * 5
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    for words in ("What each block is needed for", "Random ranges", "ablations, each one pass over the first"):
        assert words in page
    assert (done.draw_figures() / "ablation.svg").exists()
    # A run of version 0.1 calls the column of levels otherwise.
    found.rename({"level": "ability"}).write_parquet(done.folder / "ablation.parquet")
    assert next(one for one in PLUGIN.exhibits(done.folder) if one.name == "ablation").text == first.text


def test_a_stopped_stage_goes_on_where_it_stopped(monkeypatch, model, tmp_path):
    sets = [questions("facts", "facts", 6)]
    whole = run(monkeypatch, model, tmp_path / "whole", sets, ablate=True, ablate_questions=4, score="minus_answer")
    passes, write, written = [], ablating.write_shard, []
    called = Pass.__call__
    monkeypatch.setattr(Pass, "__call__", lambda one, edits: passes.append(edits) or called(one, edits))

    def stops(path, *what):
        if len(written) == 5:
            written.append("")
            raise StoreError("the disk is full")
        written.append(path.name)
        write(path, *what)

    monkeypatch.setattr(ablating, "write_shard", stops)
    again = {"ablate": True, "ablate_questions": 4, "score": "minus_answer"}
    with pytest.raises(StoreError, match="the disk is full"):
        run(monkeypatch, model, tmp_path / "run", sets, **again)
    done = run(monkeypatch, model, tmp_path / "run", sets, **again)
    assert len(passes) == len(PLAN) + 2  # the pass that was stopped is made again, no other
    assert pl.read_parquet(done.folder / "ablation.parquet").equals(pl.read_parquet(whole.folder / "ablation.parquet"))
    run(monkeypatch, model, tmp_path / "run", sets, **again)
    assert len(passes) == len(PLAN) + 2
    # One file is lost: it alone is made again.
    (done.folder / done.manifest["stages"]["ablate"]["outputs"][3]).unlink()
    run(monkeypatch, model, tmp_path / "run", sets, **again)
    assert len(passes) == len(PLAN) + 3


def test_a_streamed_model_is_not_ablated_and_says_why(monkeypatch, model, tmp_path):
    done = run(monkeypatch, model, tmp_path / "run", [SETS[1]], weights="streamed", ablate=True)
    assert "is streamed" in done.manifest["ablation"]["missing"]
    assert done.manifest["stages"]["ablate"]["outputs"] == []
    assert not (done.folder / "ablation.parquet").exists()
    assert "Requested, not done" in str(PLUGIN.methods(done.manifest))


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_an_ablation_of_nothing_changes_nothing_and_the_whole_model_is_scored_as_itself(loaded_of, family):
    loaded = loaded_of(family)
    posed = pose(loaded, questions("facts", "facts", 6), ExitSettings(shots=0))
    again = make_pass(loaded, posed.after, 2048)
    clean = again([])
    layers = tuple(range(families.LAYERS))
    for component in ("resid", "attn", "mlp"):
        np.testing.assert_allclose(again([Edit("scale", layers, component, strength=1.0)]), clean, atol=2e-5)
    assert np.abs(again([Edit("skip", (0,))]) - clean).max() > 1e-3
    # As the study scores them: the last exit of the whole model, every choice alone.
    import torch

    for exhibit, value in list(zip(posed.after, clean, strict=True))[:4]:
        with torch.no_grad():
            logits = loaded.model(input_ids=torch.tensor([exhibit.ids])).logits[0].log_softmax(-1)
        own = sum(float(logits[i - 1, exhibit.ids[i]]) for i in range(exhibit.start, len(exhibit.ids)))
        assert value == pytest.approx(own, abs=1e-3)


def test_questions_are_whole_groups_and_fewer_are_some_of_more():
    items = tuple(Question(f"q{i}", ("a", "b"), (0,), f"g{i // 3}") for i in range(20))
    data = QuestionSet("d", "facts", items)
    taken = [ablating.first_groups(data, count).items for count in (1, 3, 5, 6, 7, 20, 99)]
    assert [len(part) for part in taken] == [3, 3, 3, 6, 6, 20, 20]
    for few, more in pairwise(taken):
        assert more[: len(few)] == few


def test_so_many_groups_are_needed_that_the_smallest_p_value_survives_the_correction():
    for tests in (15, 150, 400):
        enough = groups_needed(tests)
        assert tests * 2.0 ** (1 - enough) <= 0.05 < tests * 2.0 ** (2 - enough)
