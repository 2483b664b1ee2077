"""How many texts are decoded at once follows from the memory for their keys and values."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from transformers import GPT2Config, LlamaConfig

from layeratlas.models import memory
from layeratlas.models.caches import cache_bytes
from layeratlas.studies.exits.decoding import prompts_at_once

# 7B parameters, with as many keys as queries: half a MiB of keys and values per token in half precision.
LARGE = LlamaConfig(hidden_size=4096, num_hidden_layers=32, num_attention_heads=32)


def loaded(gigabytes=None):
    weights = torch.zeros(10**6, dtype=torch.float16)
    model = SimpleNamespace(config=LARGE, dtype=weights.dtype, parameters=lambda: [weights])
    return SimpleNamespace(model=model, spec=SimpleNamespace(memory=gigabytes), device=torch.device("cpu"))


def test_keys_and_values_of_a_text_are_counted_per_layer_and_head():
    assert cache_bytes(LARGE, 1, 2) == 2**19
    grouped = LlamaConfig(hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8)
    assert cache_bytes(grouped, 2000, 2) == 2000 * 2**17
    assert cache_bytes(GPT2Config(n_embd=64, n_layer=3, n_head=4), 10, 4) == 2 * 3 * 64 * 10 * 4


@pytest.mark.parametrize(
    ("free", "given", "prompts"),
    [
        (1e12, None, 8),  # 48 lines at 6 exits
        (2.5 * 24 * 2**30, None, 4),  # half of 80 % of it holds 24 texts of 1 GiB
        (1e8, None, 1),  # less than one text: nothing smaller can be tried
        (1e12, 24 * 2**31 / 1e9 + 0.002, 4),  # a limit by the user, which holds the weights too
        (1e8, 1e3, 1),  # the limit is more than there is
    ],
)
def test_as_many_prompts_are_decoded_at_once_as_fit(monkeypatch, free, given, prompts):
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    assert prompts_at_once(loaded(given), 2048, 6) == prompts


def test_short_prompts_fill_all_lines_where_long_ones_do_not(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda device: 2.5 * 6 * 2**30)
    assert [prompts_at_once(loaded(), tokens, 6) for tokens in (256, 2048, 16384)] == [8, 1, 1]
