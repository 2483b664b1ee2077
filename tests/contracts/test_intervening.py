"""Every family of models can be edited at its blocks and sublayers, exactly where asked and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import families
from layeratlas.capture import Reading, choose_plan
from layeratlas.capture.masks import tree_mask
from layeratlas.capture.reading import read_batch
from layeratlas.core.edits import EMBEDDINGS, Edit
from layeratlas.core.errors import ModelError, SpecError
from layeratlas.core.spec import COMPONENTS, CaptureSpec, ModelSpec
from layeratlas.models import intervene, load, mean_vectors, observe

TEXT = "A shop sells tea to 12 people."
OTHER = "Nobody had read the report that they met to discuss."
D = families.WIDTH


def ids_of(loaded, text=TEXT):
    return torch.tensor([loaded.encode(text)])


def edited(loaded, edits, ids, first=1):
    """Return what the hooks see of an edited pass, and its logits."""
    with intervene(loaded, edits, first), observe(loaded.anatomy, COMPONENTS, torch.clone) as seen:
        logits = loaded.run(ids, logits=True)
    return seen, logits


def apart(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


def blocks_with(loaded, component):
    """Return the blocks that have a component; all have a stream."""
    absent = loaded.anatomy.without(component)
    return tuple(layer for layer in range(loaded.anatomy.n_layers) if layer not in absent)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_neutral_edits_change_no_bit_and_others_do(loaded_of, family):
    loaded = loaded_of(family)
    ids = ids_of(loaded)
    some = np.tile(np.linspace(-1, 1, D), (loaded.anatomy.n_layers, 1))  # a constant would be invisible to a LayerNorm
    plain = loaded.run(ids, logits=True)
    for component in COMPONENTS:
        layers = blocks_with(loaded, component)
        if not layers:
            continue
        for kind, neutral, other in (
            ("noise", 0.0, 0.1), ("absolute noise", 0.0, 0.1), ("scale", 1.0, 1.1), ("translate", 0.0, 0.1),
        ):  # fmt: skip
            vectors = some[: len(layers)] if kind == "translate" else None
            _, same = edited(loaded, [Edit(kind, layers, component, strength=neutral, vectors=vectors)], ids)
            assert torch.equal(same, plain), (component, kind)
            _, moved = edited(loaded, [Edit(kind, layers, component, strength=other, vectors=vectors)], ids)
            assert apart(moved, plain) > 1e-4, (component, kind)
            # A causal model's position 0, which is not edited, does not see the others.
            assert apart(moved[:, 0], plain[:, 0]) < 1e-6, (component, kind)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_skipping_every_block_reads_out_the_embeddings(loaded_of, family):
    loaded = loaded_of(family)
    layers = tuple(range(loaded.anatomy.n_layers))
    seen, logits = edited(loaded, [Edit("skip", layers)], ids_of(loaded), first=0)
    assert all(torch.equal(point, seen["resid"][0]) for point in seen["resid"])
    assert apart(logits, loaded.anatomy.logits(seen["resid"][0])) < 1e-6


@pytest.mark.parametrize("family", families.FAMILIES)
def test_what_a_sublayer_adds_is_what_is_edited(loaded_of, family):
    """The stream after a block is the stream before it and what the edited sublayers say they add."""
    loaded = loaded_of(family)
    ids, block = ids_of(loaded), 1
    plain, _ = edited(loaded, [], ids)
    vector = np.linspace(-1, 1, D)[None]
    both = (("attn", "mlp"), ("mlp", "attn"))
    for component, other in [pair for pair in both if block in blocks_with(loaded, pair[0])]:
        for edit, wanted in (
            (Edit("zero", (block,), component), lambda c: c * 0),
            (Edit("skip", (block,), component), lambda c: c * 0),
            (Edit("scale", (block,), component, strength=3.0), lambda c: c * 3),
            (
                Edit("translate", (block,), component, strength=2.0, vectors=vector),
                lambda c: c + 2 * torch.from_numpy(vector[0]),
            ),
            (Edit("mean", (block,), component, vectors=vector), lambda c: c * 0 + torch.from_numpy(vector[0])),
        ):
            seen, _ = edited(loaded, [edit], ids)
            before, after = seen["resid"][block].double(), seen["resid"][block + 1].double()
            add = seen[other][block].double() + seen[component][block].double()
            assert float((after - before - add).norm()) < 1e-5 * float(after.norm()), edit.name
            # Attention reads what came before the block, so that its clean value is known.
            if component == "attn":
                left = wanted(plain["attn"][block].double())[:, 1:]
                size = float(plain["attn"][block].norm())
                assert float((seen["attn"][block].double()[:, 1:] - left).norm()) < 1e-5 * size, edit.name
            elif edit.kind in ("zero", "skip", "mean"):
                left = wanted(seen["mlp"][block].double())[:, 1:]
                size = float(plain["mlp"][block].norm())
                assert float((seen["mlp"][block].double()[:, 1:] - left).norm()) < 1e-5 * size, edit.name
            assert torch.equal(seen["resid"][block], plain["resid"][block])


@pytest.mark.parametrize("family", families.FAMILIES)
def test_without_attention_and_mlp_a_block_is_skipped(loaded_of, family):
    loaded = loaded_of(family)
    ids = ids_of(loaded)
    both = [Edit("zero", (1,), part) for part in ("attn", "mlp") if 1 in blocks_with(loaded, part)]
    assert both
    _, bare = edited(loaded, both, ids)
    _, skipped = edited(loaded, [Edit("skip", (1,))], ids)
    assert apart(bare, skipped) < 1e-5
    assert apart(loaded.run(ids, logits=True), skipped) > 1e-3


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "bloom", "gptj", "falcon_new", "granite", "gemma3", "mpt"])
@pytest.mark.parametrize("component", COMPONENTS)
def test_noise_has_the_size_that_is_promised_and_spares_the_first_position(loaded_of, family, component):
    loaded = loaded_of(family)
    ids = ids_of(loaded, OTHER)
    plain, _ = edited(loaded, [], ids)
    # Block 0 sees the same input in both passes; its MLP does where attention is left alone.
    for edit, share in (
        (Edit("noise", (0, 2), component, strength=0.1), 2**0.5),
        (Edit("noise", (0, 2), component, strength=0.1, shared=False), 1),
        (Edit("absolute noise", (0,), component, strength=0.1), 1),
    ):
        seen, _ = edited(loaded, [edit], ids)
        at = 1 if component == "resid" else 0
        was, change = plain[component][at], seen[component][at] - plain[component][at]
        rms = was.square().mean(-1).sqrt() if edit.kind == "noise" else torch.ones(was.shape[:2])
        size = change.square().mean(-1).sqrt()[:, 1:] / rms[:, 1:]
        assert float(size.square().mean().sqrt()) == pytest.approx(0.1 / share, rel=0.1)
        assert torch.equal(seen[component][at][:, 0], was[:, 0])
        # The same noise at another strength, other noise under another seed.
        again, _ = edited(loaded, [Edit(edit.kind, edit.layers, component, strength=0.2, shared=edit.shared)], ids)
        assert apart(again[component][at] - was, 2 * change) < 1e-4
        new, _ = edited(
            loaded, [Edit(edit.kind, edit.layers, component, strength=0.1, seed=1, shared=edit.shared)], ids
        )
        assert apart(new[component][at] - was, change) > 0.5


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "bloom", "mixtral"])
def test_noise_depends_on_the_text_and_the_position_not_on_the_batch(loaded_of, family):
    loaded = loaded_of(family)
    one, two = loaded.encode(TEXT), loaded.encode(OTHER)
    width = max(len(one), len(two))
    ids = torch.tensor([t + [5] * (width - len(t)) for t in (two, one)])
    mask = torch.tensor([[1] * len(t) + [0] * (width - len(t)) for t in (two, one)])
    edits = [Edit("noise", (0, 1, 2), component, strength=0.3) for component in COMPONENTS]
    with intervene(loaded, edits) as lines:
        lines.samples = [8, 7]
        batch = loaded.run(ids, mask, logits=True)
        lines.samples = [7]
        alone = loaded.run(torch.tensor([one]), logits=True)
        lines.samples = [8]
        other = loaded.run(torch.tensor([one]), logits=True)
    assert apart(batch[1:, : len(one)], alone) < 1e-5
    assert apart(other, alone) > 1e-2
    # Padded on the left, a text's positions are those that the model is told.
    positions = torch.cat([torch.zeros(1, 3, dtype=torch.long), torch.arange(len(one))[None]], 1)
    left = torch.tensor([[5] * 3 + one])
    if family in ("llama", "gpt2", "mixtral"):
        with intervene(loaded, edits) as lines:
            lines.samples = [7]
            shifted = loaded.run(left, torch.tensor([[0] * 3 + [1] * len(one)]), positions, logits=True)
        assert apart(shifted[:, 3:], alone) < 1e-4


def test_noise_on_the_embeddings_and_edits_in_order(loaded_of):
    loaded = loaded_of("llama")
    ids = ids_of(loaded)
    plain, _ = edited(loaded, [], ids)
    seen, _ = edited(loaded, [Edit("scale", (EMBEDDINGS,), strength=2.0)], ids)
    assert torch.equal(seen["resid"][0][:, 1:], 2 * plain["resid"][0][:, 1:])
    add = Edit("translate", (1,), vectors=np.ones((1, D)))
    first, _ = edited(loaded, [add, Edit("scale", (1,), strength=2.0)], ids)
    second, _ = edited(loaded, [Edit("scale", (1,), strength=2.0), add], ids)
    difference = (first["resid"][2] - second["resid"][2])[:, 1:]
    assert torch.allclose(difference, torch.ones_like(difference), atol=1e-5)
    # Around the edit, one sees what it was given: the last block's output as it was.
    with observe(loaded.anatomy, ["resid"], torch.clone) as outer, intervene(loaded, [Edit("zero", (2,))]):
        loaded.run(ids)
    assert torch.equal(outer["resid"][3], plain["resid"][3])


@pytest.mark.parametrize("family", ["llama", "gptj", "granite"])
@pytest.mark.parametrize("component", COMPONENTS)
def test_means_are_those_of_the_positions_that_are_edited(loaded_of, family, component):
    loaded = loaded_of(family)
    texts = [np.array(loaded.encode(t)) for t in (TEXT, OTHER)]
    found = mean_vectors(loaded, texts, component, (0, 2))
    rows = []
    for text in texts:
        seen, _ = edited(loaded, [], torch.from_numpy(text)[None])
        rows.append(torch.stack([seen[component][layer + (component == "resid")][0, 1:] for layer in (0, 2)]))
    wanted = torch.cat(rows, 1).mean(1)
    assert found.shape == (2, D)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-5)
    # A text that has none of the positions does not enter.
    short = mean_vectors(loaded, [*texts, texts[0][:1]], component, (0,), first=3)
    np.testing.assert_array_equal(short, mean_vectors(loaded, texts, component, (0,), first=3))
    with pytest.raises(SpecError, match="no text is longer than the positions left out"):
        mean_vectors(loaded, [texts[0][:1]], component, (0,))


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2", "granite", "bloom"])
def test_texts_packed_in_a_trie_are_edited_as_they_are_alone(loaded_of, family):
    loaded = loaded_of(family)
    rng = np.random.default_rng(0)
    stem = rng.integers(3, 200, 12).tolist()
    texts = [tuple(stem[:k] + rng.integers(3, 200, n).tolist()) for k, n in ((12, 4), (12, 7), (5, 3), (0, 9))]
    readings = [Reading(text, (len(text) - 1,)) for text in texts]
    packing = choose_plan(loaded, readings, CaptureSpec(components=("resid",)))
    vectors = np.linspace(-1, 1, D)[None]
    edits = [Edit("skip", (1,)), Edit("zero", (0,), "mlp"), Edit("mean", (2,), "attn", vectors=vectors)]
    with intervene(loaded, edits):
        for batch in packing.batches:
            values = read_batch(loaded, batch, ["resid"], tree_mask(loaded, batch, packing.form))["resid"]
            for i, row in enumerate(batch.rows):
                seen, _ = edited(loaded, edits, torch.tensor([texts[row]]))
                wanted = torch.stack([point[0, -1] for point in seen["resid"]])
                assert apart(torch.from_numpy(values[i]), wanted) < 1e-5


def hooks_in(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_hooks_are_removed_whatever_happens(loaded_of):
    loaded = loaded_of("llama")
    ids, before, plain = ids_of(loaded), hooks_in(loaded.model), loaded.run(ids_of(loaded), logits=True)
    edits = [Edit("zero", (0, 1), c) for c in COMPONENTS] + [
        Edit("skip", (2,)),
        Edit("scale", (EMBEDDINGS,), strength=2),
    ]
    for interrupted, message in ((_stopped, "stop"), (_misnumbered, "2 text numbers for 1 lines")):
        with pytest.raises((RuntimeError, SpecError), match=message):
            interrupted(loaded, edits, ids, before)
        assert hooks_in(loaded.model) == before
    assert torch.equal(loaded.run(ids, logits=True), plain)


def _stopped(loaded, edits, ids, before):
    with intervene(loaded, edits):
        assert hooks_in(loaded.model) > before
        loaded.run(ids)
        raise RuntimeError("stop")


def _misnumbered(loaded, edits, ids, before):
    with intervene(loaded, [Edit("noise", (0,), strength=1.0)]) as lines:
        lines.samples = [1, 2]
        loaded.run(ids)


def test_what_cannot_be_edited_is_refused_in_a_line(loaded_of, tiny_model_dir):
    loaded = loaded_of("llama")
    for edit, message in (
        (Edit("zero", (3,)), r"an edit of block 3; expected blocks 0 to 2 of this model"),
        (Edit("mean", (0,), vectors=np.zeros((1, 5))), "vectors of width 5; expected 32, the stream's"),
    ):
        with pytest.raises((ModelError, SpecError), match=message), intervene(loaded, [edit]):
            pass
    streamed = load(ModelSpec(id=str(tiny_model_dir), weights="streamed"))
    with pytest.raises(ModelError, match=r"is streamed, .* use --weights resident"), intervene(streamed, []):
        pass


@pytest.mark.parametrize(
    ("arguments", "numbers", "message"),
    [
        (("nothing", (0,)), {}, "unknown edit 'nothing'; expected one of noise"),
        (("zero", (0,), "head"), {}, "unknown component 'head'"),
        (("zero", ()), {}, "has the blocks \\(\\); expected one block or more"),
        (("zero", (1, 1)), {}, "expected one block or more, each once"),
        (("skip", (-1,)), {}, "'skip' of resid at block -1; expected blocks from 0 on"),
        (("zero", (-1,), "attn"), {}, "'zero' of attn at block -1"),
        (("noise", (0,)), {}, "'noise' with strength None; expected a number"),
        (("zero", (0,)), {"strength": 1.0}, "'zero' with strength 1.0; expected none"),
        (("scale", (0,)), {"strength": float("nan")}, "expected a finite number"),
        (("mean", (0,)), {}, "'mean' without vectors; expected one vector per block"),
        (("zero", (0,)), {"vectors": np.zeros((1, 4))}, "'zero' with vectors; expected none"),
        (("mean", (0, 1)), {"vectors": np.zeros((1, 4))}, r"vectors of shape \(1, 4\); expected \(2, width\)"),
    ],
)
def test_edits_that_do_not_fit_together_are_refused(arguments, numbers, message):
    with pytest.raises(SpecError, match=message):
        Edit(*arguments, **numbers)


def test_edits_are_named():
    assert Edit("skip", (3, 4, 5)).name == "skip of blocks 3-5"
    assert Edit("noise", (EMBEDDINGS,), strength=0.1).name == "noise 0.1 of the embeddings"
    assert Edit("zero", (1, 4), "attn").name == "zero of attn of blocks 1, 4"
