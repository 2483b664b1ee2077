"""Tuned exits tell a layer that uses another basis from one that cannot answer."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import load_file, save_file

import layeratlas as la
import planted_models
from layeratlas.capture.readout import Readout
from layeratlas.capture.translating import Translator, TunedReadout, fit_translators, load_translators, stream_of
from layeratlas.core.errors import StoreError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import load
from layeratlas.studies.exits.names import TRANSLATORS_FILE, TUNED_FILE
from layeratlas.studies.exits.tuned.findings import ANOTHER_BASIS, CANNOT


def sentence(rng: np.random.Generator, word: str) -> str:
    before, after, last = rng.integers(24, size=3)
    return f"w{before} {word} w{after} w{last} is"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a model whose block 1 writes the class to a dimension that only block 3 turns into the answer."""
    folder = tmp_path_factory.mktemp("tuned")
    model = planted_models.copying_model(folder / "model", source=planted_models.DECOY)
    rng = np.random.default_rng(5)
    rows = [
        {"question": sentence(rng, word), "choices": ["yes", "no"][:: 1 if i % 4 < 2 else -1], "answer": answer}
        for i, word in enumerate(["warm", "cold"] * 30)
        for answer in [(word == "cold") ^ (i % 4 >= 2)]
    ]
    questions = "\n".join(json.dumps(row | {"answer": int(row["answer"])}) for row in rows)
    (folder / "planted.jsonl").write_text(questions)
    texts = [" ".join(sentence(rng, "warm" if rng.random() < 0.5 else "cold") for _ in range(4)) for _ in range(60)]
    (folder / "passages.txt").write_text("\n\n".join(texts))
    settings = {"shots": 0, "format": "cloze", "tuned": True, "tuned_on": str(folder / "passages.txt")}
    data = [str(folder / "planted.jsonl")]
    return la.run("exits", model=str(model), size="quick", data=data, out=folder / "run", settings=settings)


def test_an_exit_in_another_basis_is_told_from_one_that_cannot_answer(run):
    table = pl.read_parquet(run.folder / TUNED_FILE)
    assert table["exit"].to_list() == [0, 1, 2, 3, 4]
    said = table["says"].to_list()
    assert said[0] == CANNOT
    assert said[1] != ANOTHER_BASIS
    assert table["tuned"][1] < 0.75
    assert said[2:4] == [ANOTHER_BASIS, ANOTHER_BASIS]
    assert said[4] not in (ANOTHER_BASIS, CANNOT)  # answers by itself
    assert run.findings.filter(finding="tuned exits")["verdict"].to_list() == ["supported"]
    assert table["divergence_tuned"][2] < 0.8 * table["divergence_own"][2]


def test_written_translators_load_and_map_as_the_tuned_lens_does(run):
    model = load(ModelSpec(id=run.manifest["spec"]["model"]["id"]))
    path = run.folder / TRANSLATORS_FILE
    found = load_translators(path, planted_models.WIDTH, planted_models.LAYERS)
    tensors = load_file(path)
    hidden = np.random.default_rng(0).standard_normal((5, planted_models.WIDTH)).astype(np.float32)
    moved = hidden + hidden @ tensors["2.weight"].T + tensors["2.bias"]
    ours, plain = TunedReadout(model, found).all_logits(hidden, 2), Readout(model).all_logits(moved, 2)
    assert torch.allclose(ours, plain, atol=1e-5)
    with pytest.raises(StoreError, match="shape"):
        load_translators(path, 7, 5)


def test_a_file_without_translators_is_refused_in_one_line(tmp_path):
    save_file({"lens": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    (tmp_path / "params.pt").write_bytes(b"PK pickle")
    for name in ("other.safetensors", "params.pt", "missing.safetensors"):
        with pytest.raises(StoreError, match="holds no translators"):
            load_translators(tmp_path / name, 3, 2)


def test_a_translator_is_the_ridge_regression_of_the_final_stream(loaded_of):
    model = loaded_of("llama")
    rng = np.random.default_rng(2)
    ids = [rng.integers(3, 200, 30) for _ in range(12)]
    found: dict[int, Translator] = fit_translators(model, ids, [1], held_out=[3, 7, 11])
    streams = [stream_of(model, text) for i, text in enumerate(ids) if i % 4 != 3]
    x = np.concatenate([s[1] for s in streams]).astype(float)
    y = np.concatenate([s[-1] / np.sqrt((s[-1] ** 2).mean(-1, keepdims=True)) for s in streams])
    gaps = []
    for penalty in (1e-3, 1e-2, 1e-1, 1.0):
        full = np.concatenate([x, np.ones((len(x), 1))], 1)
        ridge = np.diag([penalty * (x**2).sum() / x.shape[1]] * x.shape[1] + [0.0])
        solution = np.linalg.solve(full.T @ full + ridge, full.T @ y)
        gaps.append(np.abs(solution[:-1].T - np.eye(x.shape[1]) - found[1].weight).max())
    assert min(gaps) < 1e-4
