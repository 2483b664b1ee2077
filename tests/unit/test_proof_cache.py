"""Self-tests are spared where the same files passed them before, on this machine, and nowhere else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from layeratlas.core.spec import ModelSpec
from layeratlas.models import load, proof_cache, proving

KNOWN = "at an earlier load of the same files"


@pytest.fixture
def tested(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> Iterator[list[int]]:
    """One entry for each time that the self-tests run; models of any size are kept."""
    calls: list[int] = []
    whole = proving.self_test
    monkeypatch.setattr(proof_cache, "SMALLEST", 0)
    monkeypatch.setattr(proving, "self_test", lambda loaded: calls.append(1) or whole(loaded))
    return calls


def test_a_model_that_passed_is_not_tested_again(tested, tiny_model_dir):
    first, second = (load(ModelSpec(id=str(tiny_model_dir))) for _ in range(2))
    assert len(tested) == 1
    assert (first.info["proved"], second.info["proved"]) == ("at this load", KNOWN)
    assert first.info["identities"] == second.info["identities"]


@pytest.mark.parametrize("change", ["weight", "dtype", "bos", "code", "damaged record", "anew"])
def test_it_is_tested_again_where_anything_changed(tested, tiny_model_dir, tmp_path, monkeypatch, change):
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    load(ModelSpec(id=str(folder)))
    settings = {"dtype": {"dtype": "bfloat16"}, "bos": {"bos": "never"}}.get(change, {})
    if change == "weight":
        tensors = load_file(folder / "model.safetensors")
        tensors[next(iter(tensors))][0, 0] += 1e-3
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    if change == "code":
        monkeypatch.setattr(proof_cache, "code_digest", lambda *folders: "other")
    if change == "damaged record":
        (record,) = (tmp_path / "cache/proofs").glob("*.json")
        record.write_text(record.read_text().replace("1", "2", 1))
    again = load(ModelSpec(id=str(folder), **settings), anew=change == "anew")
    assert len(tested) == 2
    assert again.info["proved"] == "at this load"


def test_an_anatomy_that_fewer_tokens_read_otherwise_is_found_and_tested_as_before(
    tested, tiny_model_dir, own_cache, monkeypatch
):
    first = load(ModelSpec(id=str(tiny_model_dir)))
    lengths: list[int] = []
    whole = proving.find_anatomy

    def find(model, ids, skeleton):
        lengths.append(ids.shape[1])
        anatomy, words = whole(model, ids, skeleton)
        return (replace(anatomy, scale=1 + 1e-15), words) if ids.shape[1] == 8 else (anatomy, words)

    monkeypatch.setattr(proving, "find_anatomy", find)
    again = load(ModelSpec(id=str(tiny_model_dir)))
    assert lengths == [8, 24]
    assert again.anatomy.scale == first.anatomy.scale
    assert (len(tested), again.info["proved"]) == (2, "at this load")


@pytest.mark.parametrize("family", ["granite", "gemma2", "cohere", "falcon_h1", "gpt_oss", "opt_projected"])
def test_a_proved_model_is_read_to_the_last_bit_as_when_it_was_proved(tested, folder_of, family):
    first, second = (load(ModelSpec(id=str(folder_of(family)))) for _ in range(2))
    assert proof_cache.reading_of(first.anatomy, {}) == proof_cache.reading_of(second.anatomy, {})


def test_a_small_model_is_always_tested(own_cache, tiny_model_dir):
    assert load(ModelSpec(id=str(tiny_model_dir))).info["proved"] == "at this load"
    assert not (own_cache / "proofs").exists()
