"""Every family of models keeps the same promises, and a model that is tampered with breaks them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import transformers

import families
from layeratlas.core.errors import IdentityError, ModelError
from layeratlas.core.spec import COMPONENTS, ModelSpec
from layeratlas.models import find_skeleton, load, observe, self_test

TEXT = "A shop sells tea to 12 people."
LONG = "Nobody had read the report that they met to discuss."


def observed(loaded, ids, mask=None, positions=None):
    with observe(loaded.anatomy, COMPONENTS, torch.clone) as seen:
        loaded.run(ids, mask, positions)
    return seen


def ids_of(loaded, text):
    return torch.tensor([loaded.encode(text)])


def identity(loaded, name):
    return next(found for found in self_test(loaded) if found.name == name)


def apart(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm().clamp_min(1e-30))


@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_identity_holds(loaded_of, family):
    identities = loaded_of(family).info["identities"]
    assert len(identities) == 8
    # A recurrent layer of this family reads pads on the left; runs pad on the right.
    found = [item for item in identities if family != "recurrent_gemma" or item["name"] != "alone equals left-padded"]
    assert [item for item in found if not item["passed"]] == []
    numeric = {item["name"]: item["error"] for item in found}
    assert max(numeric.values()) < 1e-5


@pytest.mark.parametrize("family", families.FAMILIES)
def test_contributions_add_up_to_the_models_own_hidden_states(loaded_of, family):
    """Against `output_hidden_states`, which shares no code with the hooks."""
    loaded = loaded_of(family)
    ids = ids_of(loaded, LONG)
    seen = observed(loaded, ids)
    with torch.no_grad():
        states = loaded.model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
    if family in {"mamba", "mamba2"}:  # their states begin after the first block
        states = (loaded.model.get_input_embeddings()(ids), *states)
    layers = loaded.anatomy.n_layers
    assert [len(seen[name]) for name in COMPONENTS] == [layers + 1, layers, layers]
    for layer in range(layers):
        before = states[layer].double()
        assert apart(seen["resid"][layer], before) == 0.0
        # The last of the model's own states is already normed, so that the stream after it is read from the hooks.
        after = (states[layer + 1] if layer + 1 < layers else seen["resid"][layers]).double()
        attn, mlp = seen["attn"][layer].double(), seen["mlp"][layer].double()
        assert attn.shape == mlp.shape == before.shape == (1, ids.shape[1], loaded.anatomy.width)
        residue = float((after - before - attn - mlp).norm())
        parts = {"attn": attn, "mlp": mlp}
        absent = {name for name in parts if layer in loaded.anatomy.without(name)}
        assert residue < 1e-5 * min(float(part.norm()) for name, part in parts.items() if name not in absent)
        assert all(not parts[name].any() for name in absent)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_the_last_stream_reads_out_as_the_models_logits(loaded_of, family):
    loaded = loaded_of(family)
    ids = ids_of(loaded, TEXT)
    with torch.no_grad():
        wanted = loaded.model(input_ids=ids, use_cache=False).logits
    read = loaded.anatomy.logits(observed(loaded, ids)["resid"][-1])
    assert read.shape == wanted.shape
    assert apart(read, wanted) < 1e-5
    assert apart(loaded.run(ids, logits=True), wanted) == 0.0
    # Control: without the final norm the readout is another one.
    raw = loaded.anatomy.unembedding(_projected(loaded, observed(loaded, ids)["resid"][-1]))
    assert apart(raw, wanted) > 1e-2


def _projected(loaded, hidden):
    width = loaded.anatomy.unembedding.weight.shape[1]
    return hidden[..., :width]


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_text_alone_equals_the_same_text_in_a_padded_batch(loaded_of, family):
    loaded = loaded_of(family)
    alone, other = loaded.encode(TEXT), loaded.encode(LONG)
    ids = torch.tensor([alone + [5] * (len(other) - len(alone)), other])
    mask = torch.ones_like(ids)
    mask[0, len(alone) :] = 0
    single, batch = observed(loaded, torch.tensor([alone])), observed(loaded, ids, mask)
    for name in COMPONENTS:
        for one, many in zip(single[name], batch[name], strict=True):
            assert apart(many[:1, : len(alone)], one) < 1e-5


@pytest.mark.parametrize("family", families.REFUSED)
def test_models_without_such_a_stream_are_refused(tmp_path, family):
    folder = families.save(tmp_path, families.REFUSED[family]())
    with pytest.raises(ModelError, match="is not supported") as caught:
        load(ModelSpec(id=str(folder)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("family", "attn", "mlp"),
    [
        ("llama", [], []),
        ("mamba2", [], [0, 1, 2]),
        ("zamba2", [], [0, 1, 2]),
        ("nemotron_h", [1], [0, 2]),
        ("falcon_h1", [], []),
    ],
)
def test_blocks_without_attention_or_without_an_mlp_are_known(loaded_of, family, attn, mlp):
    loaded = loaded_of(family)
    assert (loaded.anatomy.without("attn"), loaded.anatomy.without("mlp")) == (attn, mlp)
    assert loaded.anatomy.without("resid") == []
    assert ("none" in loaded.info["anatomy"]["mlp"]) == bool(mlp)


def test_parallel_mixers_each_have_their_multiplier(loaded_of):
    """Falcon-H1 adds a state-space layer times 0.6 and attention times 0.7."""
    for contribution in loaded_of("falcon_h1").anatomy.sublayers["attn"]:
        assert {tap.name: pytest.approx(tap.scale) for tap in contribution.taps} == {"mamba": 0.6, "self_attn": 0.7}


def test_a_model_whose_first_block_norms_the_stream_is_refused_with_the_reason(tmp_path):
    folder = families.save(tmp_path, families.REFUSED["rwkv"]())
    with pytest.raises(IdentityError, match=r"block 0 .* it replaces the stream by the output of its pre_ln"):
        load(ModelSpec(id=str(folder)))


def test_multipliers_and_scales_are_the_configs_own_numbers(loaded_of):
    granite = loaded_of("granite").anatomy
    assert {item.scale for name in ("attn", "mlp") for item in granite.sublayers[name]} == {0.22}
    assert granite.scale == pytest.approx(1 / 8)
    assert loaded_of("cohere").anatomy.scale == 0.25
    assert loaded_of("gemma2").anatomy.softcap == 3.0
    assert loaded_of("llama").anatomy.softcap is None


@pytest.mark.parametrize("family", ["llama", "gemma2", "granite", "bloom", "opt"])
def test_a_tampered_block_breaks_the_residual_sum(loaded_of, family):
    loaded = loaded_of(family)
    handle = loaded.anatomy.blocks[1].register_forward_hook(lambda module, args, out: _scaled(out, 1.001))
    try:
        broken = identity(loaded, "residual sum")
    finally:
        handle.remove()
    assert not broken.passed
    assert "block 1" in broken.detail
    assert identity(loaded, "residual sum").passed


def _scaled(output, factor):
    return output * factor if isinstance(output, torch.Tensor) else (output[0] * factor, *output[1:])


@pytest.mark.parametrize("family", ["llama", "granite", "gemma2", "mpt"])
@pytest.mark.parametrize("component", ["attn", "mlp"])
def test_a_wrong_multiplier_is_caught_on_magnitude(loaded_of, family, component):
    loaded = loaded_of(family)
    right = loaded.anatomy.sublayers
    wrong = tuple(dataclasses.replace(item, scale=item.scale * 1.001) for item in right[component])
    altered = dataclasses.replace(loaded.anatomy, sublayers={**right, component: wrong})
    broken = identity(dataclasses.replace(loaded, anatomy=altered), "residual sum")
    assert not broken.passed
    assert 1e-4 < broken.error < 1e-2


@pytest.mark.parametrize("family", ["llama", "gptj", "gemma2", "opt", "qwen3_next", "bloom", "mixtral"])
def test_attention_and_mlp_swapped_are_caught(loaded_of, family):
    loaded = loaded_of(family)
    right = loaded.anatomy.sublayers
    swapped = dataclasses.replace(loaded.anatomy, sublayers={"attn": right["mlp"], "mlp": right["attn"]})
    failed = {found.name for found in self_test(dataclasses.replace(loaded, anatomy=swapped)) if not found.passed}
    assert "MLP is position-wise" in failed


def test_a_norm_or_readout_left_out_is_caught(loaded_of):
    loaded = loaded_of("gemma2")
    for change in ({"final_norm": torch.nn.Identity()}, {"softcap": None}, {"scale": 1.001}):
        broken = identity(dataclasses.replace(loaded, anatomy=dataclasses.replace(loaded.anatomy, **change)), "logits")
        assert not broken.passed


def test_a_model_that_looks_ahead_is_refused(tiny_model_dir, monkeypatch):
    """A bidirectional attention passes the sum and the logits: only causality tells."""
    plain = torch.nn.functional.scaled_dot_product_attention

    def bidirectional(*args, **kwargs):
        return plain(*args, **{**kwargs, "is_causal": False, "attn_mask": None})

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", bidirectional)
    with pytest.raises(IdentityError, match=r"failed the self-test 'causality': error .* limit 1e-04 \(worst at resid"):
        load(ModelSpec(id=str(tiny_model_dir)))


def test_texts_that_leak_into_each_other_are_caught(loaded_of):
    loaded = loaded_of("gpt2")

    def centre(module, args):
        return (args[0] - 0.01 * args[0].mean(0, keepdim=True), *args[1:])

    handle = loaded.anatomy.blocks[1].register_forward_pre_hook(centre)
    try:
        broken = identity(loaded, "alone equals right-padded")
    finally:
        handle.remove()
    assert not broken.passed
    assert broken.error > 1e-3


def hooks_in(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_hooks_are_removed_even_when_the_forward_fails(loaded_of):
    loaded = loaded_of("llama")
    before = hooks_in(loaded.model)
    counts = []

    def stop(tensor):
        counts.append(hooks_in(loaded.model))
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"), observe(loaded.anatomy, COMPONENTS, stop):
        loaded.run(ids_of(loaded, TEXT))
    assert counts[0] > before
    assert hooks_in(loaded.model) == before


@pytest.mark.parametrize("family", ["llama", "falcon_new", "bloom", "opt", "granite"])
def test_selecting_commutes_with_reading(loaded_of, family):
    """A weighted mean taken inside the hooks equals the mean of everything, views included."""
    loaded = loaded_of(family)
    ids = ids_of(loaded, TEXT)
    whole = observed(loaded, ids)
    for select in (lambda t: t[:, 1:].mean(1), lambda t: t[:, -1]):
        with observe(loaded.anatomy, COMPONENTS, select) as seen:
            loaded.run(ids)
        for name in COMPONENTS:
            for chosen, full in zip(seen[name], whole[name], strict=True):
                assert apart(chosen, select(full)) < 1e-5


def test_only_what_is_asked_for_is_recorded(loaded_of):
    loaded = loaded_of("llama")
    attn = [item.taps[0].module for item in loaded.anatomy.sublayers["attn"]]
    before = [len(module._forward_hooks) for module in attn]
    with observe(loaded.anatomy, ["mlp"], lambda t: t[:, -1]) as seen:
        assert [len(module._forward_hooks) for module in attn] == before
        loaded.run(ids_of(loaded, TEXT))
    assert list(seen) == ["mlp"]
    assert [tuple(t.shape) for t in seen["mlp"]] == [(1, loaded.anatomy.width)] * 3


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("family", ["llama", "gemma3", "granite", "bloom"])
def test_half_precision_passes_with_looser_limits(loaded_of, family, dtype):
    loaded = loaded_of(family, dtype=dtype)
    found = next(item for item in loaded.info["identities"] if item["name"] == "residual sum")
    assert found["limit"] > 1e-4
    assert loaded.info["dtype"] == dtype
    assert next(loaded.model.parameters()).dtype == getattr(torch, dtype)
    if family == "granite":
        assert loaded.anatomy.sublayers["mlp"][0].scale == 0.22


def test_the_small_real_model_writes_its_story():
    folder = families.shared_folder() / "models" / "stories260K" / "hf"
    if not folder.is_dir():
        pytest.skip("stories260K is not here")
    loaded = load(ModelSpec(id=str(folder)))
    ids = loaded.encode("Once upon a time")
    for _ in range(12):
        ids.append(int(loaded.run(torch.tensor([ids]), logits=True)[0, -1].argmax()))
    assert loaded.tokenizer.decode(ids[1:]).startswith("Once upon a time, there was a little girl")
    assert loaded.info["bos_id"] == 1


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "mpt"])
def test_the_skeleton_is_found_without_any_weights(family):
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(families.FAMILIES[family]())
    skeleton = find_skeleton(model)
    assert (skeleton.n_layers, skeleton.width) == (families.LAYERS, families.WIDTH)


def test_two_candidate_lists_of_blocks_are_refused():
    model = families.build(families.FAMILIES["llama"]())
    model.model.others = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(families.LAYERS))
    with pytest.raises(ModelError, match=r"has 2 module lists of length 3 \(layers, others\); expected exactly one"):
        find_skeleton(model)
