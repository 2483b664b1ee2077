"""Interventions in words: read as they are named, made on a segment and on other spans of its shape."""

from __future__ import annotations

import numpy as np
import pytest

from layeratlas.core.errors import SpecError
from layeratlas.studies.segments.intervention.effects import effect_of
from layeratlas.studies.segments.intervention.plan import Intervention, read_interventions, sites_of


def test_every_kind_on_every_component_can_be_named():
    text = (
        "noise 0.3; absolute noise 1e-2 of attn; scale 1.2 of mlp; translate -0.5; zero of mlp of blocks 3-5, 8;"
        "mean of attn; skip of block 2;"
    )
    assert read_interventions(text) == [
        Intervention(kind="noise", strength=0.3),
        Intervention(kind="absolute noise", strength=0.01, component="attn"),
        Intervention(kind="scale", strength=1.2, component="mlp"),
        Intervention(kind="translate", strength=-0.5),
        Intervention(kind="zero", component="mlp", blocks=(3, 4, 5, 8)),
        Intervention(kind="mean", component="attn"),
        Intervention(kind="skip", blocks=(2,)),
    ]
    assert [intervention.name for intervention in read_interventions("scale 1.20 of mlp of block 3; skip")] == [
        "scale 1.2 of mlp",
        "skip",
    ]
    assert read_interventions("") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nosie 0.3", "the edit 'nosie 0.3' is not understood; expected edits such as 'noise 0.3"),
        ("noise", "'noise' with strength None; expected a number"),
        ("zero 2", "'zero' with strength 2.0; expected none"),
        ("skip of head", "the edit 'skip of head' is not understood"),
        ("skip of blocks 3-", "'3-' in the edit 'skip of blocks 3-' names no blocks"),
        ("skip of blocks 3, 3", "each once"),
        ("skip of blocks 5-3", "'5-3' in the edit 'skip of blocks 5-3' names no blocks"),
        ("noise 1e999", "a finite number"),
    ],
)
def test_what_is_no_edit_is_said(text, message):
    with pytest.raises(SpecError, match=message):
        read_interventions(text)


def test_an_edit_takes_the_vectors_of_its_blocks():
    vectors = np.arange(12.0).reshape(4, 3)
    edit = Intervention(kind="mean", component="mlp").edit((1, 3), vectors)
    assert edit.vectors.tolist() == [[3, 4, 5], [9, 10, 11]]
    assert (edit.kind, edit.component, edit.layers) == ("mean", "mlp", (1, 3))
    assert Intervention(kind="skip").edit((1,), vectors).vectors is None
    assert Intervention(kind="noise", strength=0.1).edit((1,), seed=4).seed == 4


def test_every_segment_has_controls_of_its_shape():
    places = sites_of(Intervention(kind="skip"), 10, {"a": (0, 3), "b": (3, 10)}, controls=2)
    assert [(p.span, p.control) for p in places] == [
        ("a", False), ("a", True), ("a", True), ("b", False), ("b", True), ("b", True),
    ]  # fmt: skip
    for place in places:
        assert len(place.blocks) == (3 if place.span == "a" else 7)
        assert 0 <= min(place.blocks) <= max(place.blocks) < 10
    assert len({p.blocks for p in places}) == 6
    assert places == sites_of(Intervention(kind="zero"), 10, {"a": (0, 3), "b": (3, 10)}, controls=2)
    own = sites_of(Intervention(kind="skip", blocks=(1, 4)), 6, {"a": (0, 3)}, controls=9)
    assert [p.span for p in own] == ["blocks 1, 4"] * 3
    assert {p.blocks for p in own} == {(1, 4), (0, 3), (2, 5)}
    assert len(sites_of(Intervention(kind="skip"), 4, {"all": (0, 4)}, controls=2)) == 1
    with pytest.raises(SpecError, match="an edit of block 6; expected blocks 0 to 5 of this model"):
        sites_of(Intervention(kind="skip", blocks=(6,)), 6, {}, controls=0)


def test_controls_share_the_fewest_blocks_with_the_segment():
    segments = {"Local": (0, 9), "Intermediate": (9, 24), "Global": (24, 30)}
    drawn = set()
    for seed in range(20):
        places = sites_of(Intervention(kind="skip"), 30, segments, controls=1, seed=seed)
        own, other = ({p.span: {*p.blocks} for p in places if p.control == control} for control in (False, True))
        assert not own["Local"] & other["Local"]
        assert not own["Global"] & other["Global"]
        # Half of the blocks fit nowhere else without a share: six is the least.
        assert other["Intermediate"] == set(range(15))
        drawn.add(min(other["Local"]))
    # Among those that share as few, the seed decides.
    assert len(drawn) > 3
    more = sites_of(Intervention(kind="skip", blocks=(2, 3)), 7, {}, controls=9)[1:]
    assert [len({*p.blocks} & {2, 3}) for p in more] == [0, 0, 0, 1, 1]


def test_an_effect_is_paired_with_that_on_its_controls():
    random = np.random.default_rng(0)
    passage = random.normal(size=40) * 10
    effect = effect_of(passage + 1, np.stack([passage, passage + random.normal(size=40) * 0.01]))
    assert effect.estimate.mean == pytest.approx(passage.mean() + 1)
    assert effect.estimate.lo < effect.estimate.mean < effect.estimate.hi
    assert effect.difference.mean == pytest.approx(1, abs=0.01)
    assert effect.difference.hi - effect.difference.lo < 0.01 < effect.estimate.hi - effect.estimate.lo
    assert np.isnan(effect_of(passage, np.zeros((0, 40))).difference).all()
