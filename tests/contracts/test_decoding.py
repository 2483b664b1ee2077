"""Greedy decoding with a cache equals decoding without one, and edits reach it position by position."""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest
import torch
import transformers as hf

import families
from layeratlas.core.edits import Edit
from layeratlas.core.errors import ModelError, SpecError
from layeratlas.core.spec import ModelSpec
from layeratlas.models import intervene, load
from layeratlas.models.caches import cache_name
from layeratlas.models.decoding import greedy

SOME = [
    "llama", "gemma2", "gpt2", "gptj", "gpt_neox", "bloom", "falcon_sequential", "opt", "mpt", "granite", "olmo2",
    "cohere2", "mixtral", "jamba", "qwen3_next", "lfm2", "deepseek_v3", "gpt_oss", "mamba", "mamba2", "recurrent_gemma",
]  # fmt: skip
PROMPTS = [[7, 30, 90, 41, 8], [9, 100, 11, 12, 200], [70, 71, 72]]
NEW = 8
EDITS = [Edit("noise", (0, 1), strength=0.5), Edit("skip", (2,)), Edit("scale", (1,), "mlp", strength=1.5)]


def step_by_step(loaded, prompt, number, edits):
    """Decode without a cache: the whole text again for every token."""
    ids = list(prompt)
    for _ in range(NEW):
        with intervene(loaded, edits) as lines:
            lines.samples = [number]
            ids.append(int(loaded.run(torch.tensor([ids]), logits=True)[0, -1].argmax()))
        if ids[-1] == 1:
            return ids[len(prompt) : -1]
    return ids[len(prompt) :]


@pytest.mark.parametrize("family", SOME)
def test_decoding_with_a_cache_equals_decoding_without(family, loaded_of):
    loaded = loaded_of(family)
    plain = greedy(loaded, PROMPTS, NEW)
    assert plain == [step_by_step(loaded, prompt, i, []) for i, prompt in enumerate(PROMPTS)]
    edits = [edit for edit in EDITS if not {*edit.layers} & {*loaded.anatomy.without(edit.component)}]
    with intervene(loaded, edits) as lines:
        edited = greedy(loaded, PROMPTS, NEW, lambda rows: setattr(lines, "samples", rows))
    assert edited == [step_by_step(loaded, prompt, i, edits) for i, prompt in enumerate(PROMPTS)]
    assert edited != plain


@pytest.mark.parametrize("name", ["cache", "past_key_values"])
@pytest.mark.parametrize("forgets", [False, True], ids=["kept", "forgotten"])
def test_a_cache_is_used_under_either_name_and_only_if_it_gives_what_the_whole_text_gives(
    name, forgets, loaded_of, monkeypatch
):
    """A version of transformers that renamed the parameter made every step read its own token alone."""
    loaded = loaded_of("llama")
    plain, lengths = loaded.model.forward, []
    own = cache_name(inspect.signature(plain).parameters)

    def forward(input_ids=None, attention_mask=None, position_ids=None, use_cache=None, **given):
        lengths.append(input_ids.shape[1])
        kept = {} if forgets else {own: given[name]}
        output = plain(
            input_ids=input_ids, attention_mask=None if forgets else attention_mask, use_cache=use_cache, **kept,
            **({} if forgets else {"position_ids": position_ids}),
        )  # fmt: skip
        return SimpleNamespace(logits=output.logits, **{name: getattr(output, own)})

    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD
    named = ("input_ids", "attention_mask", "position_ids", name, "use_cache")
    forward.__signature__ = inspect.Signature([inspect.Parameter(each, kinds) for each in named])
    prompt = PROMPTS[0]
    expected = step_by_step(loaded, prompt, 0, [])
    monkeypatch.setattr(loaded.model, "forward", forward)
    assert greedy(loaded, [prompt], NEW) == [expected]
    # One step with the cache is compared with the whole text; after that the cache is used, or given up.
    whole = [len(prompt) + step for step in range(len(expected))]
    cached = [whole[1], 1, *([1] * len(whole[2:]))]
    assert len(lengths) > 4
    assert lengths == [whole[0], *(cached if not forgets else [whole[1], 1, *whole[1:]])][: len(lengths)]


ROPES = {
    "dynamic": {"rope_type": "dynamic", "factor": 16.0},
    "longrope": {
        "rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [8.0] * 4,
        "original_max_position_embeddings": 8,
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", ROPES)
def test_decoding_past_a_switch_of_rope_equals_decoding_without_a_cache(kind, tmp_path):
    """Keys in a cache have the frequencies of the shorter text: from 8 tokens on all of them are others."""
    context = {"max_position_embeddings": 8} if kind == "dynamic" else {}
    config = hf.LlamaConfig(**families.LLAMA | context, rope_parameters={"rope_theta": 10000.0, **ROPES[kind]})
    loaded = load(ModelSpec(id=str(families.save(tmp_path, config))))
    assert greedy(loaded, PROMPTS, NEW) == [step_by_step(loaded, prompt, i, []) for i, prompt in enumerate(PROMPTS)]


def test_decoding_stops_at_the_end_of_the_text(tiny_model_dir):
    loaded = load(ModelSpec(id=str(tiny_model_dir)))
    (free,) = greedy(loaded, [PROMPTS[0]], NEW)
    loaded.model.generation_config.eos_token_id = [free[3]]
    assert greedy(loaded, [PROMPTS[0]], NEW) == [free[: free.index(free[3])]]


def test_what_cannot_be_decoded_is_refused(tiny_model_dir):
    loaded = load(ModelSpec(id=str(tiny_model_dir)))
    with pytest.raises(ModelError, match="prompts and continuations of 103 tokens; expected at most 64"):
        greedy(loaded, [PROMPTS[2]], 100)
    with pytest.raises(SpecError, match="an empty prompt"):
        greedy(loaded, [[], [3]], 2)
    with pytest.raises(ModelError, match="is streamed"):
        greedy(load(ModelSpec(id=str(tiny_model_dir), weights="streamed")), PROMPTS, 2)
