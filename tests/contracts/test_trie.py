"""The prefix trie gives every text the vector that it has alone, or the model is not given it at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

import families
from layeratlas.capture import Reading, choose_plan, make_plan, make_trie_plan, proofs
from layeratlas.capture.masks import tree_mask
from layeratlas.capture.packing import EVEN, SORTED, TRIE, prove
from layeratlas.capture.plan import Batch
from layeratlas.capture.proofs import Extent
from layeratlas.capture.reading import read_batch
from layeratlas.capture.trie import ancestors, count_prefixes
from layeratlas.core.spec import COMPONENTS, CaptureSpec, ModelSpec
from layeratlas.models import LoadedModel, load
from layeratlas.models.untrained import untrained

Load = Callable[..., LoadedModel]
# A sliding window of 8 is far shorter than the texts below; the rest differ in how they take masks and positions.
PACKED = ("llama", "gpt2", "gemma2", "gemma3", "mistral", "qwen3", "opt", "gptj", "cohere2", "phi3")
UNPACKED = {
    "bloom": "cannot be masked",  # ALiBi is built from a 2-d mask
    "mpt": "cannot be masked",  # ALiBi counts places in the line, and has a bias for as many as the context
    "lfm2": "layers that take no mask per token",  # short convolutions
}


def branching(position: str = "last") -> list[Reading]:
    """Texts of 30 to 45 tokens that part at several depths, one a prefix of another, and one on its own."""
    rng = np.random.default_rng(1)
    stem = rng.integers(3, 200, 30).tolist()
    texts = [stem, [*stem[:20], *rng.integers(3, 200, 25)], [*stem[:27], *rng.integers(3, 200, 9)]]
    texts += [stem[:12], rng.integers(3, 200, 33).tolist(), [*texts[1][:40], *rng.integers(3, 200, 5)]]
    where = {"last": lambda n: (n - 1,), "mean": lambda n: tuple(range(1, n))}[position]
    return [Reading(tuple(int(i) for i in ids), where(len(ids))) for ids in texts]


def gaps(model: LoadedModel, readings: list[Reading], form: str) -> float:
    """Return the largest relative difference, over texts, components and layers, between packed and alone."""
    worst = 0.0
    for batch in make_trie_plan(readings, 2048, line=64):
        together = read_batch(model, batch, COMPONENTS, tree_mask(model, batch, form))  # type: ignore[arg-type]
        for i, row in enumerate(batch.rows):
            (single,) = make_plan([readings[row]], 2048)
            alone = read_batch(model, single, COMPONENTS)
            for c in COMPONENTS:
                size = np.linalg.norm(alone[c][0], axis=-1)
                worst = max(worst, float((np.linalg.norm(together[c][i] - alone[c][0], axis=-1) / size).max()))
    return worst


@pytest.mark.parametrize("position", ["last", "mean"])
@pytest.mark.parametrize("name", PACKED)
def test_packed_equals_alone_beyond_the_window(loaded_of: Load, name: str, position: str) -> None:
    model = loaded_of(name)
    form, why = prove(model, Extent(line=64, longest=45))
    assert form != "padding", why
    assert gaps(model, branching(position), form) < 1e-5


def test_a_window_that_counts_places_in_the_line_is_caught(loaded_of: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    model = loaded_of("mistral")
    monkeypatch.setattr("layeratlas.capture.masks._window", lambda model: None)
    assert gaps(model, branching(), "one mask") > 1e-3


@pytest.mark.parametrize(("name", "why"), UNPACKED.items())
def test_other_models_fall_back_and_say_why(loaded_of: Load, name: str, why: str) -> None:
    packing = choose_plan(loaded_of(name), branching(), CaptureSpec())
    assert packing.form == "padding"
    assert packing.record()["packing"] == SORTED
    assert why in packing.record()["why"]
    assert all(batch.parents is None for batch in packing.batches)


def test_plain_batches_can_be_asked_for(loaded_of: Load) -> None:
    model = loaded_of("llama")
    record = choose_plan(model, branching(), CaptureSpec(packing="sorted")).record()
    assert (record["packing"], record["why"]) == (SORTED, "asked for")
    record = choose_plan(model, branching(), CaptureSpec()).record()
    assert record["packing"] == TRIE
    assert record["tokens_computed"] < record["tokens"]


def worst(model: LoadedModel, readings: list[Reading], batches: list[Batch], form: str) -> float:
    """Return the largest relative difference of the stream at the last point, together and alone."""
    gap = 0.0
    for batch in batches:
        together = read_batch(model, batch, ["resid"], tree_mask(model, batch, form))["resid"][:, -1]  # type: ignore[arg-type]
        for vector, row in zip(together, batch.rows, strict=True):
            alone = read_batch(model, make_plan([readings[row]], 1)[0], ["resid"])["resid"][0, -1]
            gap = max(gap, float(np.linalg.norm(vector - alone) / np.linalg.norm(alone)))
    return gap


def choices(stem: int, tail: int, texts: int) -> list[Reading]:
    """Texts that share a stem, as the choices of a question do."""
    rng = np.random.default_rng(2)
    shared = rng.integers(3, 200, stem).tolist()
    ids = [[*shared, *rng.integers(3, 200, tail).tolist()] for _ in range(texts)]
    return [Reading(tuple(text), (len(text) - 1,)) for text in ids]


def test_local_attention_by_place_in_the_line_is_packed_within_its_window_only(folder_of: Load) -> None:
    """GPT-Neo counts its window (8 here) in places of the line: a line that is longer loses the shared stem."""
    model = load(ModelSpec(id=str(folder_of("gpt_neo"))))
    beyond = choices(stem=6, tail=4, texts=5)
    packing = choose_plan(model, beyond, CaptureSpec())
    assert packing.record()["packing"] == SORTED
    assert "gpt_neo differs from the text alone" in packing.record()["why"]
    assert worst(model, beyond, packing.batches, packing.form) < 1e-5
    # Control: packed, they would be wrong.
    assert worst(model, beyond, make_trie_plan(beyond, 2048), "one mask") > 1e-2


def longrope(folder: Path) -> LoadedModel:
    half = families.WIDTH // families.HEADS // 2
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * half, "long_factor": [8.0] * half}
    config = transformers.Phi3Config(
        **families.PLAIN, rope_parameters=rope, original_max_position_embeddings=24, sliding_window=None
    )
    return load(ModelSpec(id=str(families.save(folder, config))))


def test_rope_that_switches_with_the_longest_text_of_a_batch_asks_for_equal_lengths(tmp_path: Path) -> None:
    model = longrope(tmp_path)
    readings = [*choices(stem=10, tail=5, texts=4), *choices(stem=30, tail=5, texts=4), Reading(tuple(range(9)), (8,))]
    packing = choose_plan(model, readings, CaptureSpec())
    assert packing.record()["packing"] == EVEN
    assert all(batch.mask.all() for batch in packing.batches)
    assert "in a batch with a longer text" in packing.why
    assert worst(model, readings, packing.batches, packing.form) < 1e-5
    assert worst(model, readings, make_plan(readings, 2048), "padding") > 1e-2  # the control
    # Where no text is beyond the switch, nothing changes with the batch.
    short = choices(stem=10, tail=5, texts=4)
    assert choose_plan(model, short, CaptureSpec()).record()["packing"] == TRIE


def test_rope_that_remembers_the_longest_text_asks_for_equal_lengths_and_forgets(tmp_path: Path) -> None:
    """Past 24 positions each length has its own frequencies, which transformers keeps for later texts."""
    rope = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
    config = transformers.LlamaConfig(**{**families.LLAMA, "max_position_embeddings": 24}, rope_parameters=rope)
    folder = families.save(tmp_path / "model", config)
    model = load(ModelSpec(id=str(folder)))
    assert model.context == 96
    readings = [
        *choices(stem=40, tail=9, texts=3),
        *choices(stem=20, tail=9, texts=3),
        *choices(stem=9, tail=5, texts=2),
    ]
    packing = choose_plan(model, readings, CaptureSpec())
    assert packing.record()["packing"] == EVEN
    for batch in reversed(packing.batches):  # longest first
        together = read_batch(model, batch, ["resid"])["resid"][:, -1]
        for vector, row in zip(together, batch.rows, strict=True):
            plain = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
            with torch.no_grad():
                logits = plain(input_ids=torch.tensor([readings[row].ids]), use_cache=False).logits[0, -1]
                mine = plain.lm_head(plain.model.norm(torch.from_numpy(vector)))
            assert torch.allclose(mine, logits, atol=1e-4)
    assert worst(model, readings, make_plan(readings, 2048), "padding") > 1e-2  # the control
    short = choices(stem=9, tail=5, texts=4)
    assert choose_plan(model, short, CaptureSpec()).record()["packing"] == TRIE


@pytest.mark.parametrize("vocabulary", [4, 29, 30, 100, 199, 200, 50_000])
def test_tokens_of_branches_sort_after_those_of_the_stem_in_a_vocabulary_of_any_size(vocabulary: int) -> None:
    """A vocabulary of thirty tokens once left none for branches."""
    model = SimpleNamespace(info={"vocabulary": vocabulary})
    stem, branch = (proofs._token_range(model, wanted) for wanted in (proofs._STEM, proofs._BRANCH))
    assert 0 <= stem[0] < stem[1] <= branch[0] < branch[1] <= vocabulary


def test_a_proof_is_as_large_as_the_run(loaded_of: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    plain = proofs.read_batch
    monkeypatch.setattr(proofs, "read_batch", lambda model, batch, *a: seen.append(batch) or plain(model, batch, *a))
    monkeypatch.setattr(proofs, "_proofs", WeakKeyDictionary())
    readings = choices(stem=40, tail=10, texts=12)
    packing = choose_plan(loaded_of("llama"), readings, CaptureSpec())
    assert packing.how == TRIE
    packed = [batch for batch in seen if batch.parents is not None]
    assert max(b.ids.shape[1] for b in packed) > max(b.ids.shape[1] for b in packing.batches)
    assert max(int(b.depths.max()) for b in packed) + 1 >= 50  # type: ignore[union-attr]
    choose_plan(loaded_of("llama"), readings, CaptureSpec())
    assert len([batch for batch in seen if batch.parents is not None]) == len(packed)  # proved once


def test_random_weights_need_no_proof_of_their_own_where_those_that_they_are_drawn_like_passed_one(
    loaded_of: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofs, "_proofs", WeakKeyDictionary())
    tried = []
    plain = proofs._difference
    monkeypatch.setattr(proofs, "_difference", lambda model, *rest: tried.append(model.model) or plain(model, *rest))
    readings, model = branching(), loaded_of("gemma3")
    packing = choose_plan(model, readings, CaptureSpec())
    drawn = untrained(model, 0)
    assert choose_plan(drawn, readings[1:], CaptureSpec()).record()["packing"] == TRIE
    assert tried == [model.model]
    assert gaps(drawn, readings, packing.form) < 1e-4  # what the proof says of them is true
    # Controls: a larger run, another kernel, and a model that did not pass are proved with the random weights.
    longer = [*readings, Reading(readings[1].ids + (5,) * 30, (0,))]
    choose_plan(drawn, longer, CaptureSpec())
    assert tried == [model.model, drawn.model]
    drawn = untrained(model, 0)
    monkeypatch.setattr(drawn.model.config, "_attn_implementation", "another")
    choose_plan(drawn, readings, CaptureSpec())
    assert {id(each) for each in tried[2:]} == {id(drawn.model)}
    bloom = loaded_of("bloom")
    assert prove(bloom, Extent(line=64, longest=45))[0] == "padding"
    drawn = untrained(bloom, 0)
    assert prove(drawn, Extent(line=64, longest=45))[0] == "padding"
    assert tried[-1] is drawn.model


texts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=30)


@given(texts, st.integers(4, 20))
def test_every_text_is_read_once_at_the_end_of_its_own_path(found: list[list[int]], line: int) -> None:
    readings = [Reading(tuple(ids), (len(ids) - 1,)) for ids in found]
    plan = make_trie_plan(readings, 64, line)
    assert sorted(row for batch in plan for row in batch.rows) == list(range(len(readings)))
    for batch in plan:
        if batch.parents is None or batch.depths is None:
            continue
        assert batch.ids.size <= 64 or len(batch.ids) == 1
        paths = set()
        for row, at, (leaf,) in zip(batch.rows, batch.lines, batch.positions, strict=True):
            path, node = [], leaf
            while node >= 0:
                path.append(int(node))
                node = batch.parents[at, node]
            path.reverse()
            assert tuple(batch.ids[at][path]) == readings[row].ids
            assert batch.depths[at][path].tolist() == list(range(len(path)))
            assert np.flatnonzero(ancestors(batch.parents)[at, leaf]).tolist() == path
            paths |= {(at, readings[row].ids[: k + 1]) for k in range(len(path))}
        assert batch.mask.sum() == len(paths)  # each distinct prefix of a line once
    assert [b.key for b in plan] == [b.key for b in make_trie_plan(readings, 64, line)]
    every = {tuple(ids[: k + 1]) for ids in found for k in range(len(ids))}
    assert count_prefixes([tuple(ids) for ids in {tuple(ids) for ids in found}]) == len(every)


def test_texts_that_share_nothing_are_left_to_padded_batches() -> None:
    readings = [Reading((i, *range(100, 120)), (20,)) for i in range(8)]
    assert all(batch.parents is None for batch in make_trie_plan(readings, 2048))
    assert sum(batch.ids.size for batch in make_trie_plan(readings, 2048)) == 8 * 21
