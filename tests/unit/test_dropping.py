"""Blocks that do nothing are dropped first and cost nothing; an order like chance is not called better."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

import families
import layeratlas as la
import small_runs
from layeratlas.metrics._contract import Passage
from layeratlas.metrics.size import SizeAndDirection
from layeratlas.studies.segments.dropping.findings import drop_findings
from layeratlas.studies.segments.dropping.orders import INFLUENCE, MEASURED, RANDOM, counts_of, make_drops
from layeratlas.studies.segments.dropping.stage import Dropped
from layeratlas.studies.segments.information.stage import TARGETS
from layeratlas.studies.segments.names import DROPPED_FILE, INFORMATION_FILE

IDLE = (1, 4)
LIGHT = small_runs.SETTINGS["segments"] | {"drop": True, "information": True}


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    """A run of a model of six blocks, two of which hardly change the stream."""
    config = families.FAMILIES["llama"]()
    config.num_hidden_layers = 6
    folder = families.save(tmp_path_factory.mktemp("idle") / "model", config)
    model = families.build(config)
    with torch.no_grad():
        for block in IDLE:  # not quite zero: a block whose attention mixes nothing fails the self-tests
            model.model.layers[block].self_attn.o_proj.weight *= 1e-3
            model.model.layers[block].mlp.down_proj.weight *= 1e-3
    model.save_pretrained(folder)
    data = small_runs.passages_file(folder.parent)
    settings = LIGHT | {"noise": "relative"}
    return la.run(
        "segments", model=str(folder), size="quick", data=[data], out=folder.parent / "run", settings=settings
    )


def test_idle_blocks_go_first_in_both_orders_and_cost_nothing(idle):
    table = pl.read_parquet(idle.folder / DROPPED_FILE)
    assert table["count"].unique().sort().to_list() == counts_of(6) == [1, 2, 3]
    for rule in (INFLUENCE, MEASURED):
        two = table.filter(rule=rule, count=2)
        assert tuple(sorted(two["blocks"][0])) == IDLE
        assert two["kl"].item() < 1e-4
        assert table.filter(rule=rule, count=3)["kl"].item() > 1e-2
    assert table.filter(rule=RANDOM, count=2)["kl"].item() > 1e-2
    assert set(idle.findings.filter(finding="dropping blocks")["level"]) == {
        INFLUENCE,
        MEASURED,
        "measured against rule",
    }


def test_nearby_tokens_are_decoded_in_the_same_run(idle):
    """Of an untrained model that repeats its words, the token itself is read everywhere, another passage's nowhere."""
    table = pl.read_parquet(idle.folder / INFORMATION_FILE)
    assert set(table["target"]) == set(TARGETS)
    itself = table.filter(target="token 0 before")
    assert len(itself) == 7
    assert itself["lo"].min() > 0.5
    assert itself["random_weights"].min() > 0.5
    assert table["control"].max() < 0.0  # the token at the same place of another passage
    assert (table["lo"] <= table["nats"]).all()
    assert (table["nats"] <= table["hi"]).all()
    found = idle.findings.filter(pl.col("finding").is_in(["information bottleneck", "information from afar"]))
    assert set(found["level"]) == {"input", "next token", "far tokens"}
    assert found["statement"].str.contains("with random weights").all()


def test_an_order_by_measured_costs_is_made_without_the_passages_it_is_measured_on():
    costs = np.ones((4, 4))
    costs[0::2, 0] = 0.0  # block 0 costs nothing in even passages, block 3 nothing in odd ones
    costs[1::2, 3] = 0.0
    first = {
        d.half: d.blocks for d in make_drops(np.arange(4.0), costs, 0) if d.rule == MEASURED and len(d.blocks) == 1
    }
    assert first == {0: (3,), 1: (0,)}


def measured(cost: dict[str, float], passages: int = 12) -> Dropped:
    rng = np.random.default_rng(0)
    rows = [
        {"rule": rule, "number": 0, "count": count, "passage": i, "blocks": [0], "kl": 1.0, "flips": 0.1}
        | {"nll": count * (mean + 0.2 * rng.standard_normal())}
        for rule, mean in cost.items()
        for count in (1, 2, 4)
        for i in range(passages)
    ]
    return Dropped(table=pl.DataFrame(rows), influence=[0.1, 0.2, 0.3, 0.4], order=[0, 1, 2, 3])


def test_a_better_order_is_found_and_one_like_chance_is_not():
    verdicts = {f.level: f.verdict for f in drop_findings(measured({INFLUENCE: 0.5, MEASURED: 0.2, RANDOM: 1.0}), 0)}
    assert set(verdicts.values()) == {"supported"}
    verdicts = {f.level: f.verdict for f in drop_findings(measured({INFLUENCE: 1.0, MEASURED: 1.0, RANDOM: 1.0}), 0)}
    assert set(verdicts.values()) == {"inconclusive"}
    verdicts = {f.level: f.verdict for f in drop_findings(measured({INFLUENCE: 1.5, MEASURED: 0.2, RANDOM: 1.0}), 0)}
    assert verdicts[INFLUENCE] == "not supported"


def test_block_influence_is_one_minus_the_cosine():
    states = np.zeros((4, 3, 2), np.float32)
    states[0], states[1], states[2], states[3] = [1, 0], [3, 0], [0, 2], [0, -5]
    found = SizeAndDirection().measure(Passage(states=states))["block_influence"]
    assert found == pytest.approx([0, 1, 2], abs=1e-6)
