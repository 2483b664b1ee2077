"""A text's vectors depend on the text alone: not on its neighbours, its padding or its place in the list."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from layeratlas.capture import Packing, Reading, capture, choose_plan, make_plan, store_key, store_shape
from layeratlas.capture.plan import make_riding_plan, positions_of
from layeratlas.core.errors import CaptureError, StoreError
from layeratlas.core.spec import COMPONENTS, CaptureSpec, ModelSpec
from layeratlas.models import load
from layeratlas.store import DiskStore, MemoryStore
from layeratlas.store.names import shared_part

FAMILIES = ("llama", "gpt2", "gemma3", "granite")
TEXTS = [
    "An apple",
    "A church and organ",
    "No",
    "A church and wing",
    "An apple and a rather longer organ",
    "bee is to honey as cow is to milk",
    "A",
]


@pytest.fixture
def on_cpu(loaded_of):
    return partial(loaded_of, device="cpu")


def readings_of(model, texts, position="last", spans=None):
    out = []
    for i, text in enumerate(texts):
        ids, offsets = model.encode_with_offsets(text)
        out.append(Reading(tuple(ids), positions_of(position, offsets, spans[i] if spans else {})))
    return out


def captured(model, readings, batch_tokens=2048, components=COMPONENTS):
    """Return {component: (texts, points, width)}."""
    spec = CaptureSpec(components=components)
    store = MemoryStore(store_shape(model, len(readings), spec))
    capture(model, make_plan(readings, batch_tokens), store)
    return {c: np.stack([store.read(c, i) for i in range(p)], 1) for c, p in store.shape.points.items()}


def apart(a, b):
    """The largest relative error over texts and layers."""
    return float((np.linalg.norm(a - b, axis=-1) / np.linalg.norm(b, axis=-1)).max())


def hidden_states(model, text):
    """The model's own hidden states (layers, tokens, d): the last one is already normed and is left out."""
    with torch.no_grad():
        out = model.model(input_ids=torch.tensor([model.encode(text)]), output_hidden_states=True, use_cache=False)
    return np.stack([h[0].numpy() for h in out.hidden_states[:-1]])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("position", ["last", "mean"])
def test_each_text_alone_equals_the_same_text_in_any_batch(on_cpu, family, position):
    model = on_cpu(family)
    readings = readings_of(model, TEXTS, position)
    alone = captured(model, readings, batch_tokens=1)
    for budget in (64, 2048):
        assert len(make_plan(readings, budget)) < len(TEXTS)
        batched = captured(model, readings, budget)
        for component in COMPONENTS:
            assert batched[component].shape == alone[component].shape
            assert apart(batched[component], alone[component]) < 1e-4


@pytest.mark.parametrize("family", ["llama", "gemma3", "bloom", "mpt", "lfm2", "jamba"])
@pytest.mark.parametrize("position", ["last", "mean"])
def test_a_text_riding_on_another_equals_the_text_alone(on_cpu, family, position):
    """ALiBi, convolutions and recurrent layers too, in batches whose lines are padded."""
    model = on_cpu(family)
    whole = [model.encode(text) for text in ("A church and organ", "A church and a wing", "No apple")]
    parts = [ids[:n] for ids, n in zip([whole[0], whole[0], whole[1], whole[2]], (2, 14, 16, 4), strict=True)]
    where = {"last": lambda n: (n - 1,), "mean": lambda n: tuple(range(1, n))}[position]
    readings = [Reading(tuple(ids), where(len(ids))) for ids in (*parts, *whole)]
    plan = make_riding_plan(readings, 2048)
    assert sum(len(batch.ids) for batch in plan) == len(whole)
    store = MemoryStore(store_shape(model, len(readings), CaptureSpec()))
    capture(model, plan, store)
    alone = captured(model, readings, batch_tokens=1)
    for component, points in store.shape.points.items():
        riding = np.stack([store.read(component, i) for i in range(points)], 1)
        assert apart(riding, alone[component]) < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mask_that_is_left_out_would_be_noticed(on_cpu, family):
    """Control: reading the last column of a padded batch reads padding."""
    model = on_cpu(family)
    readings = readings_of(model, TEXTS)
    (batch,) = make_plan(readings, 2048)
    width = batch.ids.shape[1]
    wrong = [Reading(r.ids + (0,) * (width - len(r.ids)), (width - 1,)) for r in readings]
    assert apart(captured(model, wrong)["resid"][:, 1:], captured(model, readings)["resid"][:, 1:]) > 1e-2


@pytest.mark.parametrize("family", FAMILIES)
def test_the_residual_sum_holds_for_what_is_stored(on_cpu, tmp_path, family):
    """resid[l + 1] - resid[l] = attn[l] + mlp[l], from the vectors on disk, at the last token and as means."""
    model = on_cpu(family)
    for position in ("last", "mean"):
        readings = readings_of(model, TEXTS, position)
        store = DiskStore(tmp_path / position, store_shape(model, len(TEXTS), CaptureSpec()), "key")
        capture(model, make_plan(readings, 64), store)
        for layer in range(model.anatomy.n_layers):
            attn, mlp = store.read("attn", layer), store.read("mlp", layer)
            rest = store.read("resid", layer + 1) - store.read("resid", layer) - attn - mlp
            smallest = np.minimum(np.linalg.norm(attn, axis=1), np.linalg.norm(mlp, axis=1))
            assert np.all(np.linalg.norm(rest, axis=1) < 1e-4 * smallest)


@pytest.mark.parametrize("family", ["llama", "gemma3", "granite"])
def test_texts_that_end_in_the_same_token_are_equal_to_the_bit_at_point_0(on_cpu, family):
    """Without learned positions the embedding knows the token alone, whatever its place, batch and padding."""
    model = on_cpu(family)
    texts = ["organ", "A church and organ", "A longer text about wings and then an organ", "A church and wing"]
    for budget in (1, 2048):
        point = captured(model, readings_of(model, texts), budget)["resid"]
        assert np.array_equal(point[0, 0], point[1, 0])
        assert np.array_equal(point[0, 0], point[2, 0])
        # Control: another token, and the same token one block later, differ.
        assert not np.array_equal(point[0, 0], point[3, 0])
        assert not np.array_equal(point[0, 1], point[1, 1])


def test_learned_positions_tell_places_apart_at_point_0(on_cpu):
    model = on_cpu("gpt2")
    point = captured(model, readings_of(model, ["organ", "A church and organ", "A charge and organ"]))["resid"]
    assert not np.array_equal(point[0, 0], point[1, 0])
    assert np.array_equal(point[1, 0], point[2, 0])


@pytest.mark.parametrize("family", FAMILIES)
def test_last_and_mean_equal_a_direct_computation(on_cpu, family):
    """Against the model's own hidden states; the mean leaves position 0 out."""
    model = on_cpu(family)
    last, mean = (captured(model, readings_of(model, TEXTS, where))["resid"] for where in ("last", "mean"))
    with_first = []
    for i, text in enumerate(TEXTS):
        states = hidden_states(model, text)
        assert apart(last[i, :-1], states[:, -1]) < 1e-5
        assert apart(mean[i, :-1], states[:, 1:].mean(1)) < 1e-5
        with_first.append(apart(mean[i, :-1], states.mean(1)))
    assert min(with_first) > 1e-2


def test_a_span_is_the_mean_of_its_tokens(on_cpu):
    model = on_cpu("llama")
    texts = ["A church and organ", "Zürich has a church"]
    spans = [{"noun": (2, 8)}, {"noun": (0, 6)}]
    found = captured(model, readings_of(model, texts, "span:noun", spans))["resid"]
    # A byte a token, BOS first: "church" is tokens 3 to 8; "Zürich" has seven bytes.
    for i, tokens in enumerate((range(3, 9), range(1, 8))):
        assert apart(found[i, :-1], hidden_states(model, texts[i])[:, list(tokens)].mean(1)) < 1e-5


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_order_of_the_texts_does_not_matter(on_cpu, family):
    model = on_cpu(family)
    readings = readings_of(model, TEXTS)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    plain, mixed = captured(model, readings, 64), captured(model, [readings[i] for i in order], 64)
    for component in COMPONENTS:
        assert np.array_equal(mixed[component], plain[component][order])


def test_one_component_is_the_same_as_among_all(on_cpu):
    model = on_cpu("llama")
    readings = readings_of(model, TEXTS)
    together = captured(model, readings)
    for component in COMPONENTS:
        alone = captured(model, readings, components=(component,))
        assert list(alone) == [component]
        assert np.array_equal(alone[component], together[component])


@pytest.fixture
def own_llama(folder_of):
    """A model of the test's own, to be spoilt."""
    return load(ModelSpec(id=str(folder_of("llama")), device="cpu"))


@pytest.mark.parametrize("budget", [1, 2048])
def test_a_text_whose_activation_is_not_finite_is_named(own_llama, budget):
    """The letter z is poisoned, which text 5 alone holds."""
    z = own_llama.encode("z")[-1]
    texts = ["An apple", "A church", "No", "A church and wing", "A zoo", "An organ"]
    with torch.no_grad():
        own_llama.model.get_input_embeddings().weight[z] = torch.nan
    readings = readings_of(own_llama, texts)
    # Point 0 is the embedding of the last token, which is fine; the attention of block 0 reads the z.
    message = "text 5 gave a resid activation that is not finite at layer 1; expected finite numbers; load the model"
    with pytest.raises(CaptureError, match=message):
        captured(own_llama, readings, budget)
    with pytest.raises(CaptureError, match="text 5 gave a attn activation that is not finite at layer 0"):
        captured(own_llama, readings, budget, components=("attn",))
    assert np.isfinite(captured(own_llama, readings[:4] + readings[5:], budget)["resid"]).all()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_the_component_and_layer_that_are_not_finite_are_named(own_llama, bad):
    with torch.no_grad():
        own_llama.model.model.layers[1].mlp.down_proj.weight[0, 0] = bad
    readings = readings_of(own_llama, TEXTS)
    with pytest.raises(CaptureError, match="gave a mlp activation that is not finite at layer 1"):
        captured(own_llama, readings, components=("mlp",))
    with pytest.raises(CaptureError, match="gave a resid activation that is not finite at layer 2"):
        captured(own_llama, readings)


class Interrupted(MemoryStore):
    """Stops the run after some shards."""

    def __init__(self, shape, after):
        super().__init__(shape)
        self.after, self.writes = after, []

    def write(self, key, rows, values):
        if len(self.writes) == self.after:
            raise StoreError("the disk is full")
        super().write(key, rows, values)
        self.writes.append(key)


@pytest.mark.parametrize("family", ["llama", "gpt2", "mamba"])
def test_a_set_of_texts_has_the_same_batches_and_vectors_beside_other_sets(on_cpu, family, tmp_path):
    """To the last bit, so that a run can take them from another, in a trie and in padded batches."""
    model, spec = on_cpu(family), CaptureSpec(batch_tokens=400)
    sets = [[f"the {word} of {n}" for n in ("one", "two", "six")] for word in ("river", "stone", "cloud")]
    readings = [readings_of(model, texts) for texts in sets]

    def planned(*chosen: int) -> tuple[DiskStore, Packing]:
        texts = [reading for one in chosen for reading in readings[one]]
        packing = choose_plan(model, texts, spec, [len(readings[one]) for one in chosen])
        return DiskStore(
            tmp_path / f"{chosen}", store_shape(model, len(texts), spec), store_key(model, texts, spec)
        ), packing

    (alone, packing), (both, wider) = planned(1), planned(0, 1, 2)
    capture(model, packing.batches, alone, form=packing.form)
    assert both.adopt(alone.folder, {batch.key: batch.rows for batch in wider.batches}) == len(packing.batches)
    capture(model, wider.batches, both, form=wider.form)
    whole = MemoryStore(both.shape)
    capture(model, wider.batches, whole, form=wider.form)
    for component, points in both.shape.points.items():
        for layer in range(points):
            assert np.array_equal(both.read(component, layer), whole.read(component, layer))
    mixed = choose_plan(model, [reading for each in readings for reading in each], spec)  # the control: in one batch
    assert not {shared_part(batch.key) for batch in packing.batches} & {shared_part(b.key) for b in mixed.batches}


def test_a_resumed_capture_runs_what_is_missing_and_equals_an_uninterrupted_one(on_cpu):
    model = on_cpu("llama")
    readings = readings_of(model, TEXTS)
    plan = make_plan(readings, 30)
    store = Interrupted(store_shape(model, len(readings), CaptureSpec()), after=2)
    with pytest.raises(StoreError, match="the disk is full"):
        capture(model, plan, store)
    assert store.finished() == {plan[0].key, plan[1].key}
    store.after = None
    capture(model, plan, store)
    assert store.writes == [batch.key for batch in plan]
    capture(model, plan, store)
    assert len(store.writes) == len(plan) > 2
    whole = captured(model, readings, 30)
    assert all(np.array_equal(store.read("attn", i), whole["attn"][:, i]) for i in range(3))


def test_the_hooks_are_gone_after_a_capture_and_after_a_failure(own_llama):
    def hooks():
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in own_llama.model.modules())

    before = hooks()
    captured(own_llama, readings_of(own_llama, TEXTS))
    assert hooks() == before
    with torch.no_grad():
        own_llama.model.get_input_embeddings().weight[:] = torch.nan
    with pytest.raises(CaptureError):
        captured(own_llama, readings_of(own_llama, TEXTS))
    assert hooks() == before


def test_the_key_of_a_store_changes_with_whatever_changes_its_numbers(on_cpu, own_llama):
    model, spec = on_cpu("llama"), CaptureSpec()
    readings = readings_of(model, TEXTS)
    keys = [
        store_key(model, readings, spec),
        store_key(model, readings[::-1], spec),
        store_key(model, readings[1:], spec),
        store_key(model, readings_of(model, TEXTS, "mean"), spec),
        store_key(model, readings, CaptureSpec(dtype="bfloat16")),
        store_key(model, readings, CaptureSpec(components=("resid",))),
        store_key(on_cpu("gpt2"), readings, spec),
    ]
    assert len(set(keys)) == len(keys)
    assert store_key(model, readings_of(model, TEXTS), CaptureSpec()) == keys[0]
    # The same files in another folder are the same model.
    assert store_key(own_llama, readings, spec) == keys[0]
