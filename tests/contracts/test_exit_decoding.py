"""Decoding from exits with kept keys and values equals running every text anew, and reads each prompt once."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest
import torch
from test_decoding import SOME

from layeratlas.capture import Readout
from layeratlas.core.errors import CaptureError
from layeratlas.core.progress import Progress
from layeratlas.models import caches, observe
from layeratlas.models import decoding as models_decoding
from layeratlas.studies.exits.decoding import Asked, decode
from layeratlas.studies.exits.kept_decoding import Kept

# Two prompts of five tokens, of which one is asked twice.
PROMPTS = [(7, 30, 90, 41, 8), (9, 100, 11, 12, 200), (7, 30, 90, 41, 8)]
EXITS, NEW = [1, 3], 6


def kept(loaded, prompts=PROMPTS, stop=()):
    """Return the tokens after each prompt at each exit; a text in `stop` has its first token alone."""
    steps = Kept(Readout(loaded), models_decoding.Steps(loaded, len(prompts[0]) + NEW, 2), prompts, EXITS)
    said = {(i, e): () for i in range(len(prompts)) for e in range(len(EXITS))}
    for count in range(NEW):
        going = {key: ids for key, ids in said.items() if count == 0 or key not in stop}
        for key, token in steps(going).items():
            said[key] += (token,)
    return said


def anew(loaded, prompts=PROMPTS):
    """Decode one text at a time, the whole of it for every token."""
    readout, said = Readout(loaded), {}
    for i, prompt in enumerate(prompts):
        for e, point in enumerate(EXITS):
            ids = list(prompt)
            for _ in range(NEW):
                with torch.no_grad(), observe(loaded.anatomy, ["resid"], lambda hidden: hidden[:, -1:]) as seen:
                    loaded.run(torch.tensor([ids]))
                ids.append(int(readout.best(seen["resid"][point].numpy(), [point])[0, 0]))
            said[i, e] = tuple(ids[len(prompt) :])
    return said


@pytest.mark.parametrize("family", SOME)
def test_kept_keys_give_the_tokens_of_whole_texts(family, loaded_of):
    loaded = loaded_of(family)
    found = kept(loaded)
    assert found == anew(loaded)
    assert found[0, 0] == found[2, 0]
    assert len(set(found.values())) > 2  # exits and prompts differ, so that a mixed-up line would be seen


def test_a_finished_text_changes_no_other(loaded_of):
    loaded = loaded_of("llama")
    whole, some = kept(loaded), kept(loaded, stop=[(0, 0), (1, 1)])
    assert {key: ids for key, ids in some.items() if len(ids) == NEW}.items() <= whole.items()
    assert some[0, 0] == whole[0, 0][:1]


def lengths_read(loaded, monkeypatch, prompts):
    """Return the shapes of what the model reads while prompts are continued."""
    plain, shapes = loaded.model.forward, []

    def forward(**given):
        shapes.append(tuple(given["input_ids"].shape))
        return plain(**given)

    forward.__signature__ = inspect.signature(plain)
    monkeypatch.setattr(loaded.model, "forward", forward)
    kept(loaded, prompts)
    return shapes


def test_a_prompt_is_read_once_for_all_exits(loaded_of, monkeypatch):
    shapes = lengths_read(loaded_of("llama"), monkeypatch, PROMPTS)
    # Two different prompts; a line per prompt and exit after that; two whole texts check the cache.
    assert shapes == [(2, 5), (2, 6), (4, 1), *[(4, 1)] * (NEW - 2)]


def test_a_cache_that_cannot_be_repeated_is_left(loaded_of, monkeypatch):
    loaded = loaded_of("llama")
    monkeypatch.setattr(models_decoding, "knows_length", lambda cache, tokens: False)
    shapes = lengths_read(loaded, monkeypatch, PROMPTS)
    assert shapes == [(2, 5), *[(4, 5 + step) for step in range(1, NEW)]]
    assert caches.knows_length(None, 3) is False


@pytest.mark.parametrize("weights", ["resident", "streamed"])
def test_texts_are_continued_until_each_is_complete(weights, loaded_of):
    """A streamed model, which keeps nothing between passes, gives the same texts."""
    loaded = loaded_of("llama", weights=weights)
    work = SimpleNamespace(model=loaded, progress=Progress())
    asked = [
        Asked(prompt=prompt, is_complete=lambda text, most=most: len(text) >= most)
        for prompt, most in (("A fish", 2), ("A fish", 4), ("The red", 3))
    ]
    texts = decode(work, asked, EXITS, Readout(loaded), 9)
    assert texts == decode(SimpleNamespace(model=loaded_of("llama"), progress=Progress()), asked, EXITS,
                           Readout(loaded_of("llama")), 9)  # fmt: skip
    for short, long in zip(texts[0], texts[1], strict=True):
        assert long.startswith(short)
    assert texts[0] != texts[1]


def test_a_model_that_forgets_its_cache_runs_whole_texts_in_every_batch(loaded_of, monkeypatch):
    loaded = loaded_of("llama")
    work = SimpleNamespace(model=loaded, progress=Progress())
    asked = [Asked(prompt=prompt, is_complete=lambda text: False) for prompt in ("A fish", "The red bird", "A fish is")]
    expected, plain = decode(work, asked, EXITS, Readout(loaded), 5), loaded.model.forward

    def forward(input_ids=None, past_key_values=None, use_cache=None, logits_to_keep=0, **given):
        return plain(input_ids=input_ids, use_cache=use_cache)

    forward.__signature__ = inspect.signature(plain)
    monkeypatch.setattr(loaded.model, "forward", forward)
    monkeypatch.setattr(models_decoding, "knows_length", lambda cache, tokens: cache is not None)
    assert decode(work, asked, EXITS, Readout(loaded), 5) == expected


def test_what_is_not_finite_is_refused(loaded_of, monkeypatch):
    loaded = loaded_of("llama")
    monkeypatch.setattr(
        models_decoding.Steps, "logits", lambda steps, whole: loaded.run(whole) * torch.nan, raising=True
    )
    weight = loaded.model.model.layers[0].mlp.down_proj.weight
    before = weight.detach().clone()
    try:
        weight.data.fill_(float("inf"))
        with pytest.raises(CaptureError, match="not finite"):
            kept(loaded)
    finally:
        weight.data.copy_(before)
