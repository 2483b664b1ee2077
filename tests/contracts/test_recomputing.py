"""A sample of a run's own texts, each run alone: what the run kept is equal to it, or nothing is analysed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import small_runs
from layeratlas.capture import Reading, choose_plan, packing, passages
from layeratlas.capture.proofs import Proof
from layeratlas.capture.recomputing import NATS, RELATIVE, sample_texts
from layeratlas.core import registry
from layeratlas.core.errors import CaptureError, StoreError
from layeratlas.core.spec import CaptureSpec, ModelSpec, RunSpec
from layeratlas.models import LoadedModel
from layeratlas.runs.finished import read_run
from layeratlas.runs.pipeline import execute
from layeratlas.runs.recompute import FIELD


@pytest.mark.parametrize(
    ("study", "family", "layers"),
    [*((study, "llama", 6) for study in small_runs.FILES), ("hierarchy", "gpt_neo", 4), ("exits", "gpt_neo", 4)],
)
def test_what_a_run_keeps_equals_its_texts_alone(study: str, family: str, layers: int, tmp_path: Path) -> None:
    record = small_runs.measured(
        small_runs.spec_of(study, tmp_path, small_runs.model_folder(tmp_path, family, layers)), tmp_path
    )
    assert record["passed"]
    assert record["texts"] == (4 if study == "segments" else 8) <= record["total"]
    assert record["difference"] < 1e-5
    assert record["unit"] == (NATS if study == "exits" else RELATIVE)
    assert record["shortest"] <= record["longest"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_vectors_stored_in_half_precision_are_compared_within_its_rounding(
    tiny_model_dir: Path, tmp_path: Path, dtype: Any
) -> None:
    record = small_runs.measured(small_runs.spec_of("hierarchy", tmp_path, str(tiny_model_dir), dtype=dtype), tmp_path)
    assert 1e-4 < record["difference"] < record["limit"] < 1e-2


def test_a_streamed_model_is_compared_too(tiny_model_dir: Path, tmp_path: Path) -> None:
    for study in ("hierarchy", "exits"):
        folder = tmp_path / study
        folder.mkdir()
        spec = small_runs.spec_of(study, folder, str(tiny_model_dir))
        streamed = spec.model_copy(update={"model": ModelSpec(id=str(tiny_model_dir), weights="streamed")})
        assert small_runs.measured(streamed, folder)["difference"] < 1e-5


def _holds(model: LoadedModel, extent: Any) -> Proof:
    return Proof(form="one mask", error=0.0, limit=1.0, extent=extent)


@pytest.mark.parametrize("study", ["hierarchy", "exits"])
def test_packing_that_is_believed_without_a_proof_fails_the_run(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPT-Neo loses what lies before its window in a line of several texts."""
    monkeypatch.setattr(packing, "prove_trie", _holds)
    spec = small_runs.spec_of(study, tmp_path, small_runs.model_folder(tmp_path, "gpt_neo", 4))
    refused(spec, tmp_path)


def test_passages_that_leak_into_each_other_fail_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = passages.read_passages

    def leaking(model: LoadedModel, ids: Any, *args: Any) -> Any:
        captured = read(model, ids, *args)
        for passage in captured[1:]:
            passage.states[...] += 1e-2 * captured[0].states
        return captured

    monkeypatch.setattr(passages, "read_passages", leaking)
    refused(small_runs.spec_of("segments", tmp_path, small_runs.model_folder(tmp_path, "llama", 6)), tmp_path)


def refused(spec: RunSpec, folder: Path) -> None:
    """Check that a run fails in one line, keeps the number, and leaves nothing that is believed."""
    study, out = registry.get("studies", spec.study), folder / "out"
    with pytest.raises(CaptureError, match="what this run kept differs from the same texts run alone by") as caught:
        execute(study, spec, out)
    assert "\n" not in str(caught.value)
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "running"
    assert not record[FIELD]["passed"]
    assert record[FIELD]["difference"] > 10 * record[FIELD]["limit"]
    assert not {path.name for path in out.iterdir()} & {"curves.parquet", "findings.parquet", "report.html"}
    with pytest.raises(StoreError):
        read_run(out)


@pytest.mark.parametrize("seed", range(5))
def test_the_sample_has_the_longest_and_the_shortest_text_and_follows_the_seed(seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(3, 90, 200).tolist()
    sample = sample_texts(lengths, seed)
    assert len(set(sample)) == 8
    chosen = [lengths[i] for i in sample]
    assert (max(chosen), min(chosen)) == (max(lengths), min(lengths))
    assert sample == sample_texts(lengths, seed) != sample_texts(lengths, seed + 1)
    assert sample_texts(lengths[:3], seed) == [0, 1, 2]


def test_the_control_is_packed(tmp_path: Path, loaded_of: Callable[..., LoadedModel]) -> None:
    """The texts of these tests do share a forward pass."""
    model = loaded_of("llama")
    lines = Path(small_runs.texts_file(tmp_path)).read_text().splitlines()[1:]
    readings = [Reading(tuple(ids), (len(ids) - 1,)) for ids in (model.encode(line.split(",")[0]) for line in lines)]
    assert choose_plan(model, readings, CaptureSpec()).record()["packing"] == packing.TRIE
