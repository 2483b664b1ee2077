"""A pass that begins at a block, with the stream that the whole pass has there, is the whole pass bit for bit."""

from __future__ import annotations

import pytest
import torch

import families
from layeratlas.core.edits import Edit
from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import intervene, load, observe
from layeratlas.models.resuming import Resumable


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_pass_in_two_parts_is_the_whole_pass_bit_for_bit(family, loaded_of):
    loaded = loaded_of(family)
    resumable = Resumable(loaded)
    ids = torch.randint(3, 200, (2, 14), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(), observe(loaded.anatomy, ["resid"], torch.clone) as seen:
        loaded.run(ids)
    points = seen["resid"]
    last = loaded.anatomy.n_layers
    assert torch.equal(resumable.stream(ids, stop=0), points[0])
    assert torch.equal(resumable.stream(ids), points[last])
    assert torch.equal(resumable.stream(ids, stop=1), points[1])
    for start in range(last + 1):
        assert torch.equal(resumable.stream(ids, start, points[start]), points[last])
    assert torch.equal(resumable.stream(ids, 1, points[1], stop=2), points[2])
    # With edits of later blocks too, and it is the stream handed over that counts.
    with intervene(loaded, [Edit("noise", (1, 2), strength=0.1), Edit("zero", (2,), "attn")]):
        assert torch.equal(resumable.stream(ids, 1, points[1]), resumable.stream(ids))
    assert not torch.equal(resumable.stream(ids, 1, points[1] * 2), points[last])
    with torch.inference_mode():
        assert torch.equal(loaded.run(ids), loaded.run(ids))
    assert all("forward" not in vars(block) for block in loaded.anatomy.blocks)


def test_blocks_come_back_after_an_error(tiny_model_dir):
    resumable = Resumable(load(ModelSpec(id=str(tiny_model_dir))))
    ids = torch.tensor([[5, 6, 7]])
    whole = resumable.stream(ids)
    with pytest.raises(RuntimeError):
        resumable.stream(ids, 1, torch.zeros(1, 3, 7))
    assert torch.equal(resumable.stream(ids), whole)
    with pytest.raises(ModelError, match=r"is streamed, .*; expected a model whose weights are in memory"):
        Resumable(load(ModelSpec(id=str(tiny_model_dir), weights="streamed")))
