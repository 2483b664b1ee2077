"""The exits study with chains of reasoning: decoded, read and scored, with a scripted decoder and with a tiny model."""

from __future__ import annotations

import re

import polars as pl
import pytest

import families
from decoded import decoded
from layeratlas.api import Run
from layeratlas.core.spec import ModelSpec, ProbeSpec, RunSpec
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.models import load
from layeratlas.runs import pipeline
from layeratlas.studies.exits import decoding, stages
from layeratlas.studies.exits.study import PLUGIN

TOKENS = 40


def solved(a, b, number):
    choices = tuple(f"{a} and {b} make {a + b + off}." for off in (0, 1, 7, -2))
    return Question(f"{a} and {b}?", choices, (0,), f"g{number}", final=str(a + b))


ITEMS = tuple(solved(a, b, f"{a}-{b}") for a, b in [(11, 7), (12, 9), (23, 4), (31, 6), (14, 5), (25, 8)])
DATA = QuestionSet("sums", "arithmetic", ITEMS, (solved(2, 3, "shot"),), "Add.")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    config = families.FAMILIES["llama"]()
    config.max_position_embeddings = 256
    return str(families.save(tmp_path_factory.mktemp("chains") / "tiny", config))


def run(monkeypatch, model, out, **settings):
    monkeypatch.setattr(pipeline, "make_material", lambda study, spec: [DATA])
    monkeypatch.setattr(stages, "report_stage", lambda study: lambda work: [])
    chosen = {"format": "chain", "shots": 1, "chain_tokens": TOKENS, "free_exits": 2, **settings}
    spec = RunSpec(
        study="exits", size="quick", model=ModelSpec(id=model), settings=chosen, probe=ProbeSpec(bootstrap=100)
    )
    return Run(pipeline.execute(PLUGIN, spec, out))


def scripted(model, replies):
    """Return a decoder that continues every prompt with the reply of each exit, token by token."""
    tokenizer = load(ModelSpec(id=model)).tokenizer

    def batches(work, starts, exits, readout, most):
        def next_tokens(said):
            return {key: next_token(starts[key[0]], key[1], ids) for key, ids in said.items()}

        yield list(range(len(starts))), next_tokens

    def next_token(start, column, ids):
        prompt, said = tokenizer.decode(start, skip_special_tokens=True), tokenizer.decode(ids)
        asked = re.findall(r"Q: (\d+) and (\d+)\?\nA:$", prompt)
        reply = replies[column](*map(int, asked[-1])) if asked else " The answer is 5.\n"
        left = reply.removeprefix(said) if reply.startswith(said) else "\n"
        return tokenizer.encode(left, add_special_tokens=False)[0]

    return batches


def right(a, b):
    return f" {a} and {b} make {a + b}. The answer is {a + b}.\n"


def wrong(a, b):
    """The right sum is in the chain, but it is not the answer."""
    return f" {a} and {b} make {a + b}. The answer is {a}.\n"


def endless(a, b):
    return f" {a} and {b}" * 9


def exact(done):
    curve = done.curves.filter(metric="exact_match", task="sums").sort("layer")
    assert curve["method"].unique().to_list() == ["chain"]
    # The curve of the level, which the report draws: here of one set.
    level = done.curves.filter(metric="exact_match", task="all").sort("layer")
    assert level.drop("task").equals(curve.drop("task"))
    read = curve.filter(pl.col("estimate").is_finite())
    assert read["layer"].to_list() == [1, families.LAYERS]
    return read


def test_an_exit_whose_chains_end_in_the_right_answer_is_right_and_no_other(monkeypatch, model, tmp_path):
    monkeypatch.setattr(decoding, "_batches", scripted(model, [wrong, right]))
    done = run(monkeypatch, model, tmp_path / "run")
    curve = exact(done)
    assert curve["estimate"].to_list() == [0.0, 1.0]
    assert curve["control"].to_list() == [0.0, 0.0]  # without a question the example's answer is repeated
    assert curve["hi"][0] < 1
    assert curve["lo"][1] > 0
    assert curve["chance"].to_list() == [0.0, 0.0]
    assert done.manifest["chains"] == {"sums": 1.0}
    said = pl.read_parquet(done.folder / "scores/sums.free.parquet")
    assert said.filter(pl.col("layer") == families.LAYERS)["answer"].to_list() == [q.final for q in ITEMS]
    (shown,) = (exhibit for exhibit in PLUGIN.exhibits(done.folder) if exhibit.name == "written")
    assert ITEMS[0].text in shown.text
    assert shown.table.rows() == [
        (1, wrong(11, 7).strip(), "11", "no"),
        (families.LAYERS, right(11, 7).strip(), "18", "yes"),
    ]
    assert "sums 100 %" in dict(PLUGIN.methods(done.manifest))["Questions"]


def test_a_chain_without_an_answer_is_wrong_and_said(monkeypatch, model, tmp_path):
    monkeypatch.setattr(decoding, "_batches", scripted(model, [right, endless]))
    done = run(monkeypatch, model, tmp_path / "run")
    assert exact(done)["estimate"].to_list() == [1.0, 0.0]
    assert done.manifest["chains"] == {"sums": 0.0}


def test_choices_are_scored_as_without_chains(monkeypatch, model, tmp_path):
    """The examples show a chain to the decoder alone."""
    chains = run(monkeypatch, model, tmp_path / "chain", chain_tokens=2)
    text = run(monkeypatch, model, tmp_path / "text", format="text")
    columns = ["level", "task", "method", "metric", "layer", "estimate", "control"]
    assert chains.curves.filter(pl.col("method") != "chain").select(columns).equals(text.curves.select(columns))


def test_chains_are_those_of_greedy_decoding_from_each_exit(monkeypatch, model, tmp_path):

    from layeratlas.studies.exits.prompts import chain_prompt
    from layeratlas.studies.exits.settings import ExitSettings

    done = run(monkeypatch, model, tmp_path / "run", chain_tokens=3)
    said = pl.read_parquet(done.folder / "scores/sums.free.parquet")
    loaded = load(ModelSpec(id=model))
    end = loaded.tokenizer.eos_token_id
    for row in said.filter(pl.col("question") < 2).iter_rows(named=True):
        prompt = chain_prompt(DATA, DATA.items[row["question"]], ExitSettings(format="chain", shots=1))
        ids = decoded(loaded, loaded.encode_prompt(prompt), row["layer"], 3, lambda new: new[-1] == end)
        assert row["text"] == loaded.tokenizer.decode(ids, skip_special_tokens=True)


def test_chains_have_room_in_the_context(monkeypatch, model, tmp_path):
    monkeypatch.setattr(decoding, "_batches", scripted(model, [right, right]))
    done = run(monkeypatch, model, tmp_path / "run", chain_tokens=200)
    (record,) = done.manifest["datasets"]
    assert record["shots"] == 0  # one would fit without the chain
