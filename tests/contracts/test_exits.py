"""Every exit is what the model would say if it ended there, and the last exit is what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import families
from layeratlas.capture import Readout, capture, choose_plan, encode_choices, make_plan, make_slots, streaming
from layeratlas.capture.exit_store import ExitStore, exit_shape
from layeratlas.capture.normalising import Normalisers
from layeratlas.core.errors import CaptureError, ModelError
from layeratlas.core.spec import CaptureSpec, ModelSpec
from layeratlas.models import load
from layeratlas.store import DiskStore, MemoryStore

# Softcap, logit scale, bias and tied weights, ALiBi and recurrent layers: what a readout can forget.
FAMILIES = ("llama_tied", "gemma2", "granite", "opt", "bloom", "lfm2")
SPEC = CaptureSpec(components=("resid",))
PROMPTS = ["Q: one\nA: 1\n\nQ: two\nA:", "Q: one\nA: 1\n\nQ: six\nA:", "A:"]
CHOICES = [" 2", " 20", " two", " 2 or so"]


@pytest.fixture(autouse=True)
def _block_by_block(monkeypatch):
    monkeypatch.setattr(streaming, "_GROUP", 0)


def saved(folder: Path, family: str, seed: int) -> str:
    config = families.FAMILIES[family]()
    config.max_position_embeddings = 128
    return str(families.save(folder / f"{family}-{seed}", config, seed=seed))


def continuations(model):
    return [choice for prompt in PROMPTS for choice in encode_choices(model, prompt, CHOICES)]


def scored(model, plan_of=None, norm=True, inner=None, exits=()):
    """Return the log-likelihood of every continuation at every exit (or at some)."""
    slots = make_slots(continuations(model))
    readout = Readout(model, norm)
    store = ExitStore((inner or MemoryStore)(exit_shape(readout, slots, exits)), readout, slots, exits)
    packing = choose_plan(model, slots.readings, SPEC)
    batches, form = (packing.batches, packing.form) if plan_of is None else (plan_of(slots.readings), "padding")
    capture(model, batches, store, form=form)
    assert store.complete()
    return store.log_likelihoods()


def alone(model, norm=True):
    """The same from the model's own forward, one continuation at a time; the last row is from its own logits."""
    out = []
    for choice in continuations(model):
        ids = torch.tensor([choice.ids])
        with torch.no_grad():
            states = model.model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states[:-1]
            read = []
            for hidden in states:
                logits = model.anatomy.unembedding(model.anatomy.final_norm(hidden) if norm else hidden)
                logits = logits * model.anatomy.scale
                cap = model.anatomy.softcap
                read.append(logits if cap is None else torch.tanh(logits / cap) * cap)
            read.append(model.run(ids, logits=True))
        steps = torch.stack(read).log_softmax(-1)[:, 0]
        wanted = range(choice.start, len(choice.ids))
        out.append([sum(float(layer[i - 1, choice.ids[i]]) for i in wanted) for layer in steps])
    return np.array(out)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("family", FAMILIES)
def test_exits_equal_the_models_own_log_probabilities_however_computed(tmp_path, family, seed):
    folder = saved(tmp_path, family, seed)
    model = load(ModelSpec(id=folder, device="cpu", weights="resident"))
    expected = alone(model)
    packed = scored(model)
    assert packed.shape == (len(PROMPTS) * len(CHOICES), families.LAYERS + 1)
    assert np.abs(packed - expected).max() < 1e-3
    one_by_one = scored(model, lambda readings: make_plan(readings, 1))
    assert np.abs(one_by_one - expected).max() < 1e-3
    streamed = load(ModelSpec(id=folder, device="cpu", weights="streamed"))
    assert np.abs(scored(streamed) - expected).max() < 1e-3
    # Control: exits differ from each other by far more than that.
    assert np.abs(np.diff(expected, axis=1)).max(0).min() > 1e-2


@pytest.mark.parametrize("family", ["llama", "gemma2", "granite"])
def test_without_the_norm_only_the_last_exit_is_the_models_own(tmp_path, family):
    model = load(ModelSpec(id=saved(tmp_path, family, 0), device="cpu"))
    choices = scored(model, norm=False)
    assert np.abs(choices - alone(model, norm=False)).max() < 1e-3
    assert np.abs(choices - scored(model))[:, :-1].max() > 1e-2
    streamed = load(ModelSpec(id=saved(tmp_path, family, 0), device="cpu", weights="streamed"))
    assert np.abs(scored(streamed, norm=False) - choices).max() < 1e-3


@pytest.mark.parametrize("weights", ["resident", "streamed"])
@pytest.mark.parametrize("norm", [True, False])
def test_some_exits_are_the_same_as_among_all(tiny_model_dir, weights, norm):
    model = load(ModelSpec(id=str(tiny_model_dir), device="cpu", weights=weights))
    whole = scored(model, norm=norm)
    for exits in ([families.LAYERS], [0, 2], [1, 2, 3]):
        assert np.abs(scored(model, norm=norm, exits=exits) - whole[:, exits]).max() < 1e-4


def test_a_stream_that_cannot_be_unembedded_without_its_norm_is_refused(tmp_path):
    model = load(ModelSpec(id=saved(tmp_path, "opt_projected", 0), device="cpu"))
    with pytest.raises(ModelError, match="unembeds 16 numbers, and its stream has 32"):
        Readout(model, norm=False)
    assert np.abs(scored(model) - alone(model)).max() < 1e-3


def test_each_prefix_is_read_once_and_the_disk_store_equals_the_memory_store(tiny_model_dir, tmp_path):
    model = load(ModelSpec(id=str(tiny_model_dir), device="cpu"))
    choices = continuations(model)
    slots = make_slots(choices)
    prefixes = {choice.ids[:end] for choice in choices for end in range(choice.start, len(choice.ids))}
    assert len(slots.readings) == len(prefixes) < sum(len(choice.ids) - choice.start for choice in choices)
    on_disk = scored(model, inner=lambda shape: DiskStore(tmp_path, shape, "key"))
    assert np.array_equal(on_disk, scored(model))
    again = DiskStore.open(tmp_path)
    assert again.complete()
    assert np.array_equal(ExitStore(again, Readout(model), slots).log_likelihoods(), on_disk)
    assert sum(path.stat().st_size for path in tmp_path.glob("*.safetensors")) < 4 * len(slots.tokens) * 4 * 10


def test_prompts_and_choices_are_split_as_the_harness_does(tiny_model_dir):
    model = load(ModelSpec(id=str(tiny_model_dir), device="cpu"))
    bos = model.bos_id
    (choice,) = encode_choices(model, "A:", [" 2"])
    assert choice.ids == tuple(model.encode("A: 2"))
    assert choice.ids.count(bos) == 1
    assert (choice.start, choice.clean) == (3, True)
    # A space that ends the prompt belongs to the choice.
    assert encode_choices(model, "A: ", ["2"]) == [choice]


def test_a_token_across_the_boundary_is_counted_and_scored(tiny_model_dir, monkeypatch):
    model = load(ModelSpec(id=str(tiny_model_dir), device="cpu"))
    merged = {"ab": [0, 10], "abc": [0, 11], "x": [5], "xy": [6]}
    monkeypatch.setattr(type(model), "encode", lambda self, text: merged[text])
    (choice,) = encode_choices(model, "ab", ["c"])
    assert (choice.ids, choice.start, choice.clean) == ((0, 11), 1, False)
    with pytest.raises(CaptureError, match="no token to score 'y' after 'x'; expected a prompt and a choice"):
        encode_choices(model, "x", ["y"])


def test_an_exit_that_is_not_finite_is_named(tiny_model_dir):
    model = load(ModelSpec(id=str(tiny_model_dir), device="cpu"))
    with torch.no_grad():
        model.anatomy.unembedding.weight[7] = torch.nan
    with pytest.raises(CaptureError, match="the exit at layer 0 gave a log-probability that is not finite"):
        scored(model)


@pytest.mark.parametrize("scale", [0.01, 1.0, 3000.0])
def test_the_normaliser_is_that_of_the_whole_vocabulary_for_logits_of_any_range(tiny_model_dir, scale):
    model = load(ModelSpec(id=str(tiny_model_dir), device="cpu"))
    head = replace(Readout(model).unembedding, tile=7)
    ready = torch.randn(50, model.anatomy.width, generator=torch.Generator().manual_seed(0)) * scale
    with torch.no_grad():
        logits = head.logits(ready, 0)
        assert logits.shape[1] == 7
        whole = model.anatomy.unembedding(ready).float()
        choices = head.normaliser(ready)
    assert torch.allclose(choices, whole.logsumexp(-1), rtol=1e-5, atol=1e-5)
    # Control: the largest of the first tile is not always near the largest of all.
    assert scale < 3000 or (whole.amax(-1) - logits.amax(-1)).max() > 100


@pytest.mark.parametrize("family", ["llama", "opt"])
def test_embeddings_that_texts_have_in_common_are_summed_once(tmp_path, monkeypatch, family):
    model = load(ModelSpec(id=saved(tmp_path, family, 0), device="cpu"))
    readings = make_slots(continuations(model)).readings
    summed, plain = [], Normalisers.__call__
    counting = lambda self, ready, *rest: summed.append(len(ready)) or plain(self, ready, *rest)  # noqa: E731
    monkeypatch.setattr(Normalisers, "__call__", counting)
    assert np.abs(scored(model) - alone(model)).max() < 1e-3
    # Learned positions (OPT) make the embeddings of a token differ, so that fewer are the same.
    embedded = {(r.ids[-1], len(r.ids) if family == "opt" else 0) for r in readings}
    assert sum(summed) == len(embedded) + families.LAYERS * len(readings)
    assert len(embedded) < len(readings)


def test_each_exit_alone_gives_what_it_gives_among_others(tiny_model_dir):
    """Exit 0 is summed apart from the others, so that one could get another's sums."""
    readout = Readout(load(ModelSpec(id=str(tiny_model_dir), device="cpu")))
    hidden = np.random.default_rng(0).standard_normal((9, readout.points, readout.anatomy.width)).astype(np.float32)
    hidden[:, 0] = hidden[[0, 1, 0, 2, 2, 0, 3, 1, 4], 0]
    place, tokens = np.array([0, 0, 2, 3, 5, 8]), np.array([1, 2, 1, 2, 1, 4])
    together = readout.log_probs(hidden, range(readout.points), place, tokens)
    for point in range(readout.points):
        single = readout.log_probs(hidden[:, point : point + 1], [point], place, tokens)
        assert np.abs(together[:, [point]] - single).max() < 1e-5
    assert together[0, 0] == together[2, 0] == together[4, 0]  # the same token after the same embedding
    assert together[0, 0] != together[0, 1]
    assert readout.log_probs(hidden, range(readout.points), place[:0], tokens[:0]).shape == (0, readout.points)


def test_an_exit_of_small_states_without_the_norm_counts_tokens_and_with_it_does_not(tiny_model_dir):
    """Why published accuracies of the first layer are those of choosing the fewest tokens."""
    model = load(ModelSpec(id=str(tiny_model_dir), device="cpu"))
    with torch.no_grad():
        model.model.get_input_embeddings().weight.mul_(1e-2)
    tokens = np.array([len(choice.ids) - choice.start for choice in continuations(model)])
    even = -tokens * np.log(model.anatomy.unembedding.weight.shape[0])
    assert np.abs(scored(model, norm=False)[:, 0] - even).max() < 0.01
    assert np.abs(scored(model)[:, 0] - even).max() > 0.1
