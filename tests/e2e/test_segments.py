"""The segments study on tiny random models: its files, what it says is missing, and what it refuses."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import families
import layeratlas as la
from commands import manifest, the_line
from layeratlas.capture.passages import read_passages
from layeratlas.core.errors import SpecError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import load
from layeratlas.models.maps import is_map
from layeratlas.models.untrained import untrained
from layeratlas.studies.segments.intervention.text_measures import MEASURES
from layeratlas.studies.segments.names import (
    BOUNDARY_DRAWS_FILE,
    BRITTLENESS,
    BRITTLENESS_FILE,
    EXACT,
    FIRST_VERSION,
    GENERATED_FILE,
    GENERATED_TEXTS_FILE,
    INTERVENTIONS_FILE,
    SEGMENT_NAMES,
    SegmentFinding,
)
from layeratlas.studies.segments.record import read_segments

SMALL = {"tokens": 64, "view_passages": 4, "views": 2, "draws": 100, "surrogates": 99, "edits": "none"}
# All kinds of edits, on all components, on segments and on named blocks.
EDITS = (
    "noise 0.3; absolute noise 1; scale 1.5 of attn; translate 0.5 of mlp; zero of mlp; "
    "mean of attn of blocks 1, 3; skip"
)
WHOLE = {**SMALL, "untrained": 4, "edits": EDITS, "generate": True, "prompts": 8, "prompt_tokens": 8, "new_tokens": 12}


def model_of(folder: Path, family: str = "llama", layers: int = 8) -> Path:
    config = families.FAMILIES[family]()
    config.num_hidden_layers, config.max_position_embeddings = layers, 256
    if getattr(config, "layer_types", None):
        config.layer_types = (config.layer_types * layers)[:layers]
    return families.save(folder, config)


@pytest.fixture(scope="module")
def deep(tmp_path_factory) -> Path:
    return model_of(tmp_path_factory.mktemp("deep") / "deep")


@pytest.fixture(scope="module")
def run(deep, tmp_path_factory):
    out = tmp_path_factory.mktemp("segments") / "run"
    return la.run("segments", model=str(deep), size="quick", out=out, settings=WHOLE)


@pytest.fixture
def no_page(monkeypatch):
    """Leave the report out, which takes most of a small run's time."""
    monkeypatch.setattr("layeratlas.studies.segments.stages.report_stage", lambda study: lambda work: [])


def test_every_segment_has_a_brittleness(run):
    rows = run.findings.filter(pl.col("finding") == SegmentFinding.BRITTLENESS)
    assert rows["level"].to_list() == [*SEGMENT_NAMES]
    assert (rows["lo"] > 0).all()
    table = pl.read_parquet(run.folder / BRITTLENESS_FILE)
    assert table["segment"].to_list() == [*SEGMENT_NAMES]
    assert table["last"].to_list()[-1] == 7
    assert rows["estimate"].to_list() == table["b"].to_list()
    assert ((table["ratio_lo"] < table["ratio"]) & (table["ratio"] < table["ratio_hi"])).all()
    points = run.curves.filter(metric=BRITTLENESS, level=BRITTLENESS)
    assert points["layer"].to_list() == list(range(9))
    assert "How brittle" in (run.folder / "report.html").read_text(encoding="utf-8")


def test_a_run_has_every_signal_at_every_layer(run):
    assert set(run.curves["model"]) == {"deep"}
    signals = run.curves.filter(pl.col("level") != BRITTLENESS)
    for (name,), rows in signals.sort("layer").group_by("task", maintain_order=True):
        steps = name in ("cka_step", "update_size", "block_influence", "matrix_information")
        attention = name.startswith("attention")
        assert rows["layer"].to_list() == list(range(int(steps), 8 if attention else 9)), name
        assert rows["depth"][-1] == 1
        assert rows["component"][0] == ("attn" if attention else "resid")
        assert rows["estimate"].is_finite().all(), name
        assert (rows["lo"] <= rows["estimate"] + 1e-9).all()
        assert (rows["estimate"] <= rows["hi"] + 1e-9).all()
    assert {"dataset_entropy", "lidar", "settled", "attention_entropy"} <= set(run.curves["task"])
    assert run.curves.filter(task="norm")["control"].is_finite().all()


def test_the_boundaries_their_intervals_and_the_segments_agree(run):
    record = read_segments(run.folder)
    assert [segment.first for segment in record.segments] == [0, *record.boundaries]
    assert sum(segment.blocks for segment in record.segments) == record.blocks == 8
    assert min(segment.blocks for segment in record.segments) >= record.shortest
    assert set(record.kinds.by_kind) == {"narrative", "exposition"}
    assert set(record.leave_one_out) == set(record.signals)
    assert len(record.signals) == 7
    assert record.missing == []
    assert np.array(record.together).shape == (8, 8)
    rows = run.findings.filter(finding=SegmentFinding.BOUNDARY)
    assert rows["estimate"].to_list() == [boundary / 8 for boundary in record.boundaries]
    assert list(zip(rows["lo"] * 8, rows["hi"] * 8, strict=True)) == list(record.intervals)


def test_the_draws_of_the_boundaries_are_kept(run):
    draws = pl.read_parquet(run.folder / BOUNDARY_DRAWS_FILE)
    assert draws.columns == ["method", "draw", "boundary", "layer"]
    assert draws.n_unique(["method", "draw", "boundary"]) == len(draws) == 2 * 100 * 2
    for i, (lo, hi) in enumerate(read_segments(run.folder).intervals, 1):
        drawn = draws.filter(method=EXACT, boundary=i)["layer"].to_numpy()
        assert np.quantile(drawn, [0.05, 0.95], method="nearest").tolist() == [lo, hi]
    wide = draws.filter(method=FIRST_VERSION).pivot("boundary", index="draw", values="layer")
    assert (wide["1"] < wide["2"]).all()


def test_every_edit_is_made_on_every_segment_and_on_its_controls(run):
    table = pl.read_parquet(run.folder / INTERVENTIONS_FILE)
    assert table["edit"].unique(maintain_order=True).to_list() == [
        "noise 0.3", "absolute noise 1", "scale 1.5 of attn", "translate 0.5 of mlp", "zero of mlp", "mean of attn",
        "skip",
    ]  # fmt: skip
    assert table["kind"].n_unique() == 7
    spans = table.filter(edit="skip", outcome="kl")
    assert spans["span"].to_list() == [*SEGMENT_NAMES]
    assert table.filter(edit="mean of attn")["blocks"].unique().to_list() == ["blocks 1, 3"]
    assert (table.filter(outcome="kl")["lo"] > 0).all()
    assert (table["lo"] <= table["estimate"] + 1e-12).all()
    assert (table["estimate"] <= table["hi"] + 1e-12).all()
    there = table.filter(pl.col("random_spans") > 0)
    assert there["control_blocks"].str.starts_with("block").all()
    assert (there["control_blocks"] != there["blocks"]).all()
    assert (table.filter(random_spans=0)["control_blocks"] == "").all()
    assert ((there["estimate"] - there["control"]) - there["difference"]).abs().max() < 1e-9
    assert "What interventions do" in (run.folder / "report.html").read_text(encoding="utf-8")


def test_text_is_generated_under_every_edit_and_without(run):
    texts = pl.read_parquet(run.folder / GENERATED_TEXTS_FILE)
    assert len(texts.filter(edit="none")) == 8
    assert texts["prompt"].unique().sort().to_list() == list(range(8))
    table = pl.read_parquet(run.folder / GENERATED_FILE)
    assert set(table["measure"]) == {*MEASURES}
    assert set(table["span"]) == {*SEGMENT_NAMES, "blocks 1, 3"}
    assert table.n_unique(["edit", "span", "measure"]) == len(table) == (6 * 3 + 1) * 5
    assert ((table["p"] >= 0) & (table["p"] <= 1)).all()
    findings = run.findings.filter(finding=SegmentFinding.GENERATED_TEXT)
    assert 0 < len(findings) <= 3
    assert set(findings["level"]) <= {*SEGMENT_NAMES}
    assert findings["estimate"].is_finite().all()
    assert "Generated text under intervention" in (run.folder / "report.html").read_text(encoding="utf-8")


def test_a_random_model_has_no_boundaries(run):
    verdicts = dict(run.findings.select("finding", "verdict").iter_rows())
    assert verdicts[SegmentFinding.EXISTENCE] != "supported"
    assert verdicts[SegmentFinding.TRAINING] != "supported"
    assert run.findings["null"].str.len_chars().min() > 0
    assert run.findings["finding"].is_in([*SegmentFinding]).all()


def test_the_report_shows_the_findings_and_the_charts(run):
    page = (run.folder / "report.html").read_text()
    existence = run.findings.filter(finding=SegmentFinding.EXISTENCE)["statement"][0]
    assert html.escape(existence) in page
    assert {path.name for path in (run.folder / "figures").iterdir()} == {"segments.svg"}  # its map, for lists of runs
    drawn = {path.name for path in run.draw_figures().iterdir()}
    for name in ("segments", "signals", "similarity", "boundaries", "brittleness", "interventions"):
        assert {f"{name}.svg", f"{name}.png"} <= drawn


@pytest.mark.usefixtures("no_page")
def test_a_second_call_finds_everything_done_and_a_lost_shard_gives_the_same_numbers(run, deep):
    before = run.curves
    lost = run.folder / "signals/trained-00004.safetensors"
    lost.unlink()
    again = la.run("segments", model=str(deep), size="quick", out=run.folder, settings=WHOLE)
    assert lost.exists()
    # Curves are equal up to rounding of products that are computed anew.
    for column in ("estimate", "lo", "hi"):
        assert np.allclose(before[column], again.curves[column], rtol=1e-5, atol=1e-6, equal_nan=True)


def test_states_are_those_of_the_model_and_the_lens_ends_at_its_own_prediction(deep):
    model = load(ModelSpec(id=str(deep), attention="eager"))
    ids = [
        model.encode("The river rose over the old bridge.")[:30],
        model.encode("In 1969 two people walked there")[:30],
    ]
    one = read_passages(model, ids, maps=True, lens_at=[0, 10, 28])
    with torch.no_grad():
        out = model.model(torch.tensor(ids), output_hidden_states=True, output_attentions=True)
    for i, passage in enumerate(one):
        for layer in range(8):
            assert np.allclose(passage.states[layer], out.hidden_states[layer][i, 1:].numpy(), atol=1e-5)
            assert np.allclose(passage.attention[layer], out.attentions[layer][i].numpy(), atol=1e-6)
        assert passage.kl[-1] == pytest.approx(0, abs=1e-6)
        assert (passage.kl >= 0).all()
        wanted = out.logits[i, [1, 11, 29]]
        assert passage.top[-1].tolist() == wanted.argmax(-1).tolist()
        assert passage.entropy[-1] == pytest.approx(
            torch.distributions.Categorical(logits=wanted).entropy().numpy(), abs=1e-4
        )


@pytest.mark.parametrize(
    "family", ["gpt2", "gpt_neox", "gemma2", "qwen3", "falcon_new", "bloom", "olmo2", "gpt_oss", "mpt"]
)
def test_attention_maps_are_found_by_structure(family, loaded_of):
    model = loaded_of(family, attention="eager")
    ids = [model.encode("The river rose over the bridge")[:20]]
    (passage,) = read_passages(model, ids, maps=True)
    assert passage.attention is not None
    assert passage.attention.shape[2:] == (20, 20)


def test_a_kernel_that_hides_the_maps_is_noticed(deep):
    model = load(ModelSpec(id=str(deep), attention="sdpa"))
    (passage,) = read_passages(model, [model.encode("The river rose")[:12]], maps=True)
    assert passage.attention is None


def test_what_is_no_causal_map_is_not_taken_for_one():
    causal = torch.tril(torch.ones(1, 2, 5, 5)) / torch.arange(1, 6)[:, None]
    assert is_map(causal)
    assert is_map(0.5 * causal)
    assert not is_map(causal.transpose(2, 3))
    assert not is_map(2 * causal)
    assert not is_map(-causal)
    assert not is_map(torch.zeros(1, 2, 5, 5))
    assert not is_map(torch.ones(1, 2, 5, 4))


def test_a_model_without_attention_maps_is_measured_without_them(tmp_path):
    folder = model_of(tmp_path / "hybrid", "lfm2", 6)
    settings = {**SMALL, "view_passages": 0, "untrained": 0}
    found = la.run("segments", model=str(folder), size="quick", out=tmp_path / "run", settings=settings)
    assert found.manifest["segments"]["missing"] == ["attention_distance", "attention_entropy"]
    record = read_segments(tmp_path / "run")
    assert record.missing == ["attention_distance", "attention_entropy"]
    assert set(record.signals.values()) == {"geometry", "information", "prediction"}
    assert "Not measured: attention distance, attention entropy" in (tmp_path / "run/report.html").read_text()
    assert found.curves.filter(level="views").is_empty()


@pytest.mark.parametrize(
    ("layers", "settings", "content", "message"),
    [
        (2, (), None, "the model has 2 blocks; expected at least 6, for three segments of 2 or more"),
        (
            6,
            ("tokens=300",),
            None,
            "300 tokens are asked for .* has room for 255; expected .* --set tokens=255",
        ),
        (
            6,
            (),
            "too short\n\nfor anything",
            "passage 1 has 9 tokens .*; expected at least 64 in every passage",
        ),
        (6, (), "x" * 90, "has 1 passage; expected at least two, since intervals come from resampling passages"),
        (6, ("edits=skip of block 6",), None, "an edit of block 6; expected blocks 0 to 5 of this model"),
        (6, ("edits=zero 3",), None, "'zero' with strength 3.0; expected none"),
    ],
)
def test_what_cannot_be_measured_ends_in_a_line(atlas, tmp_path, layers, settings, content, message):
    folder = model_of(tmp_path / "model", layers=layers)
    data = ()
    if content:
        (tmp_path / "own.txt").write_text(content, encoding="utf-8")
        data = ("--data", tmp_path / "own.txt")
    chosen = [word for setting in ("tokens=64", *settings) for word in ("--set", setting)]
    done = atlas(
        "run", "segments", "--model", folder, "--size", "quick", "--out", tmp_path / "run", "--quiet", *chosen, *data
    )
    assert re.search(message, the_line(done)), done.err
    assert not (tmp_path / "run/report.html").exists()


def test_a_context_shorter_than_all_else_is_kept_to(atlas, tmp_path):
    """16 tokens of context: the passages, the noise and the interventions are cut to it; no text can be generated."""
    folder = model_of(tmp_path / "model", layers=6)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 17}))
    chosen = ("tokens=16", "view_passages=0", "draws=100", "surrogates=99", "edits=skip", "generate=true")
    done = atlas(
        "run", "segments", "--model", folder, "--size", "quick", "--out", tmp_path / "run",
        *[word for setting in chosen for word in ("--set", setting)],
    )  # fmt: skip
    assert done.code == 0, done.err
    run = manifest(tmp_path / "run")
    assert run["brittleness"]["spec"]["tokens"] == 17
    assert run["interventions"]["edits"] == ["skip"]
    assert "prompts and continuations of" in run["generated"]["missing"]
    assert "no text is generated: " in done.err


def test_texts_of_another_kind_are_refused(tmp_path):
    with pytest.raises(
        SpecError,
        match=r"the task 'items' is not for the study 'segments'; expected \w+; 'layeratlas list tasks' names the",
    ):
        la.run("segments", size="quick", out=tmp_path / "run", tasks=("items",))


def test_random_weights_are_others_of_the_same_shape_and_the_same_every_time(deep):
    model = load(ModelSpec(id=str(deep)))
    state = torch.get_rng_state()
    one, two, other = untrained(model, 0), untrained(model, 0), untrained(model, 1)
    assert torch.equal(state, torch.get_rng_state())
    weights = [next(m.anatomy.blocks[0].parameters()) for m in (model, one, two, other)]
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[1], weights[3])
    assert weights[0].shape == weights[1].shape
    assert not torch.equal(weights[0], weights[1])


@pytest.mark.usefixtures("no_page")
def test_the_first_versions_rule_can_be_chosen(deep, tmp_path):
    settings = {**SMALL, "view_passages": 0, "maps": False, "method": "v1"}
    found = la.run("segments", model=str(deep), size="quick", out=tmp_path / "run", settings=settings)
    record = read_segments(found.folder)
    assert record.boundaries == record.v1.boundaries
    # The existence test is of the exact boundaries: it says nothing of those that this rule places.
    boundaries = found.findings.filter(finding=SegmentFinding.BOUNDARY)
    assert boundaries["verdict"].to_list() == ["inconclusive"] * 2
    assert boundaries["p"].is_nan().all()
    assert found.manifest["model"]["attention"] == "sdpa"
