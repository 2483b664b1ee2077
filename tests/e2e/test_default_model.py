"""What the built-in model must show: where items, relations and analogies are read, and what must not be read."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from commands import Done, manifest, tables
from layeratlas.models.sources import DEFAULT_HUB_ID, default_gguf


def cached() -> bool:
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(DEFAULT_HUB_ID, "model.safetensors"), str)


pytestmark = pytest.mark.skipif(default_gguf() is None and not cached(), reason="the default model is not installed")
LEVELS = ("item", "relation", "analogy")


@pytest.fixture(scope="session")
def finished(atlas, tmp_path_factory) -> tuple[Done, Path]:
    """`layeratlas run hierarchy --size quick`: short texts, one component and one probe only, to save minutes."""
    out = tmp_path_factory.mktemp("default") / "run"
    tasks = [flag for name in ("items", "relations", "analogies") for flag in ("--task", name)]
    light = ("--component", "resid", "--probe", "ridge", "--repeats", "1")
    done = atlas.start("run", "hierarchy", "--size", "quick", *tasks, *light, "--out", out, page=True).wait(seconds=900)
    assert done.code == 0, done.err
    return done, out


@pytest.fixture(scope="session")
def run(finished) -> Path:
    return finished[1]


@pytest.fixture(scope="session")
def curves(run) -> dict[str, pl.DataFrame]:
    """Accuracy of ridge in the residual stream, a row a point, for each level."""
    chosen = tables(run)[0].filter(component="resid", method="ridge", metric="accuracy", task="all", stratum="all")
    return {level: chosen.filter(level=level).sort("layer") for level in LEVELS}


def peak(curve: pl.DataFrame) -> int:
    return int(curve["estimate"].arg_max() or 0)


def test_every_level_has_every_point(curves):
    for curve in curves.values():
        assert curve["layer"].to_list() == list(range(31))
        assert np.allclose(curve["depth"], np.linspace(0, 1, 31))
        assert (curve["lo"] <= curve["estimate"]).all()
        assert (curve["estimate"] <= curve["hi"]).all()
        assert curve["chance"].unique().to_list() == [0.5]


def test_embeddings_do_not_tell_relations_or_analogies(curves):
    for level in ("relation", "analogy"):
        assert abs(curves[level]["estimate"][0] - 0.5) <= 0.04


def test_relations_rise_and_fall_again(curves):
    estimate = curves["relation"]["estimate"]
    assert estimate.max() > 0.80
    assert 0 < peak(curves["relation"]) < 30
    assert estimate[-1] <= estimate.max() - 0.05


def test_items_and_analogies_are_read(curves):
    assert curves["item"]["estimate"].max() > 0.85
    assert curves["analogy"]["estimate"].max() > 0.70


def test_analogies_peak_deeper_than_relations(curves, run):
    assert curves["analogy"]["depth"][peak(curves["analogy"])] > curves["relation"]["depth"][peak(curves["relation"])]
    order = tables(run)[1].filter(finding="order", component="resid", level="relation < analogy")
    assert order["verdict"].to_list() == ["supported"]
    assert order["lo"].item() > 0


def test_shuffled_labels_are_not_read(curves):
    for curve in curves.values():
        assert abs(curve["control"].mean() - 0.5) <= 0.03
        assert (curve["control"] - 0.5).abs().max() <= 0.06


def test_the_manifest_says_what_was_run(run):
    record = manifest(run)
    model = record["model"]
    assert record["status"] == "complete"
    assert (model["layers"], model["width"], model["dtype"], model["attention"]) == (30, 576, "float32", "sdpa")
    assert {"residual sum", "logits", "one BOS"} <= {identity["name"] for identity in model["identities"]}
    assert all(i["passed"] and i["error"] <= i["limit"] for i in model["identities"])
    assert re.fullmatch(r"[0-9a-f]{64}", model["tokenizer_hash"])
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in model["files"].values())
    assert model["files"] or model["revision"]
    again = record["recomputed"]
    assert again["passed"]
    assert again["texts"] == 8
    assert 0 < again["difference"] < 1e-4 == again["limit"]
    for name in ("layeratlas", "torch", "transformers"):
        assert record["versions"][name] == version(name)
    controls = ["random weights", "robustness", "learning curves", "positions", "experts"]
    assert list(record["stages"]) == ["capture", "recompute", "probe", *controls, "analyse", "report"]
    for name, stage in record["stages"].items():
        assert stage["done"]
        assert stage["seconds"] > 0 or name in controls  # off at size quick
        assert stage["peak_memory_mb"] > 100
    assert {d["name"] for d in record["datasets"]} == {"edible", "animal", "manmade", "large", "relations", "analogies"}
    assert all(d["n"] > 0 and d["n_groups"] > 1 and d["tokens"]["max"] > 0 for d in record["datasets"])


def test_the_summary_has_the_map_five_findings_and_where_the_rest_is(finished):
    lines = finished[0].out.splitlines()
    assert lines[0].startswith("smollm2-135m: 30 blocks, width 576; computed in ")
    for level, row in zip(("item", "relation", "analogy"), lines[2:5], strict=True):
        assert re.fullmatch(rf" +{level} [·░▒▓█]{{31}} \d\.\d\d at \d+", row)
    found = [line for line in lines if line.startswith("  [")]
    assert len(found) == 5
    assert sum(line.startswith("  [supported]") for line in found) >= 3
    assert re.fullmatch(r"  \d+ findings with intervals, p-values and nulls are in the report:", lines[-2])


def test_embeddings_of_one_last_token_are_the_same_bits():
    """At point 0 no text has been read yet: only the last token counts, alone and in any batch."""
    from layeratlas.capture import Reading, capture, make_plan, store_shape
    from layeratlas.core.spec import CaptureSpec, ModelSpec
    from layeratlas.models import load
    from layeratlas.store import MemoryStore

    model = load(ModelSpec())
    texts = ["A church and organ", "A shop sold the old church organ", "organ", "Bees are to honey as he is to organ"]
    encoded = [tuple(model.encode(text)) for text in texts]
    readings = [Reading(ids, (len(ids) - 1,)) for ids in encoded if ids[-1] == encoded[0][-1]]
    assert len(readings) >= 3
    found = []
    for batch_tokens in (1, 4096):
        store = MemoryStore(store_shape(model, len(readings), CaptureSpec()))
        capture(model, make_plan(readings, batch_tokens), store)
        embedded, last = store.read("resid", 0), store.read("resid", 30)
        assert all((row == embedded[0]).all() for row in embedded)
        # The control: further up, the texts differ.
        assert all(np.abs(row - last[0]).max() > 1 for row in last[1:])
        found.append((embedded, last))
    (alone, alone_last), (batched, batched_last) = found
    assert (alone == batched).all()
    assert np.linalg.norm(alone_last - batched_last) / np.linalg.norm(alone_last) < 1e-4
