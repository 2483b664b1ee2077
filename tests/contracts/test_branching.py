"""Copies of a last token equal the prompt run alone with the same edit, whether they share its tokens or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from layeratlas.capture.branching import Branched, Brancher
from layeratlas.core.edits import Edit
from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import intervene, load


def prompts(model, layers: int) -> list[Branched]:
    rng = np.random.default_rng(0)
    width = model.anatomy.width
    return [
        Branched(
            ids=tuple(rng.integers(3, 200, length).tolist()),
            points=np.repeat(np.arange(layers + 1), 3),
            vectors=rng.standard_normal((3 * (layers + 1), width)).astype(np.float32),
            answers=(7, 11, 13),
        )
        for length in (6, 9, 9, 1)
    ]


def alone(model, prompt: Branched) -> np.ndarray:
    """Return what `intervene` makes of each edit, one pass per edit over the whole prompt."""
    ids, rows = torch.tensor([prompt.ids]), []
    for point, vector in [(None, None), *zip(prompt.points, prompt.vectors, strict=True)]:
        edits = [] if vector is None else [Edit("translate", (int(point) - 1,), vectors=vector[None])]
        with intervene(model, edits, first=len(prompt.ids) - 1):
            rows.append(model.run(ids, logits=True)[0, -1].float().numpy()[list(prompt.answers)])
    return np.stack(rows)


@pytest.mark.parametrize(("family", "shares"), [("llama", True), ("gemma2", True), ("bloom", False)])
def test_a_copy_is_the_prompt_alone_with_its_edit(loaded_of, family, shares):
    model = loaded_of(family)
    given = prompts(model, model.anatomy.n_layers)
    brancher = Brancher(model, given, batch_tokens=100)
    assert ("equals its texts alone" in brancher.how) is shares
    found = dict(brancher.logits(given))
    assert sorted(found) == [0, 1, 2, 3]
    for number, prompt in enumerate(given):
        truth = alone(model, prompt)
        assert np.abs(found[number] - truth).max() < 1e-4 * np.abs(truth).max()
        assert np.abs(truth[1:] - truth[0]).max() > 1e-2 * np.abs(truth).max()


def test_a_streamed_model_is_refused_in_one_line(tiny_model_dir, tmp_path):
    model = load(ModelSpec(id=str(tiny_model_dir), weights="streamed"))
    given = prompts(model, 1)
    with pytest.raises(ModelError, match=r"streamed.*--weights resident"):
        list(Brancher(model, given, batch_tokens=100).logits(given))
