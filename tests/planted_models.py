"""Tiny Llamas whose weights are written by hand, so that what their layers read and write is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from tokenizers import Tokenizer, models, pre_tokenizers

WIDTH, LAYERS, FILLERS = 32, 5, 200
# Dimensions of the stream: the class at its own word, a constant, the two copies at the last token, content.
CLASS, CONSTANT, DECOY, ANSWER, CONTENT = 0, 1, 2, 3, slice(8, 16)
WORDS = ["<s>", "</s>", "<pad>", "yes", "no", "warm", "cold", "is", *(f"w{i}" for i in range(FILLERS))]


def word_tokenizer() -> Any:
    """Return a tokenizer with one token per word of WORDS."""
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    return hf.PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def copying_model(folder: Path, answers: bool = True, source: int = CLASS, gain: float = 4.0) -> Path:
    """Write a model that copies the class of an earlier word to the last token twice.

    Block 1 copies it to DECOY, which nothing reads; block 3 copies it, from the earlier word again, to ANSWER, which
    alone the unembedding reads. All blocks copy content, so that texts vary. At the last token the class is then
    encoded from point 2 on, and used from point 4. With `answers=False` block 3 copies nothing; with `source=DECOY` it
    copies the decoy, so that points 2 and 3 hold the answer in another basis. `gain` is that of the copy to ANSWER.
    """
    config = hf.LlamaConfig(
        num_hidden_layers=LAYERS,
        hidden_size=WIDTH,
        intermediate_size=16,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=WIDTH,
        vocab_size=len(WORDS),
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        tie_word_embeddings=False,
    )
    model = hf.LlamaForCausalLM(config)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                weight.zero_()
        embedding = model.model.embed_tokens.weight
        embedding[:, CONSTANT] = 4.0
        embedding[WORDS.index("warm"), CLASS], embedding[WORDS.index("cold"), CLASS] = 4.0, -4.0
        embedding[:, CONTENT] = torch.from_numpy(rng.standard_normal((len(WORDS), 8))).float()
        embedding[WORDS.index("warm"), CONTENT] = embedding[WORDS.index("cold"), CONTENT]
        for block in range(LAYERS):  # a model whose attention mixes nothing would fail its self-tests
            _copy(model, block, [(i, i, 0.5) for i in range(CONTENT.start, CONTENT.stop)])
        _copy(model, 1, [(CLASS, DECOY, 2.0)])
        _copy(model, 3, [(source, ANSWER, gain)] if answers else [])
        # Logits follow the content too, so that no answer is free of noise.
        model.lm_head.weight[:, CONTENT] = 0.2 * torch.from_numpy(rng.standard_normal((len(WORDS), 8))).float()
        model.lm_head.weight[:, CONSTANT] = torch.linspace(-1, 1, len(WORDS))
        model.lm_head.weight[WORDS.index("yes"), ANSWER] = 3.0
        model.lm_head.weight[WORDS.index("no"), ANSWER] = -3.0
    model.save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return folder


def _copy(model: Any, block: int, pairs: list[tuple[int, int, float]]) -> None:
    """Make a block's attention, which is uniform, copy dimensions of earlier tokens to others, with a gain."""
    attention = model.model.layers[block].self_attn
    for source, target, gain in pairs:
        attention.v_proj.weight[source, source] = 1.0
        attention.o_proj.weight[target, source] = gain


def prompts_file(folder: Path, count: int = 48) -> Path:
    """Write labelled prompts whose class is at an earlier word and whose answer is `yes` or `no`."""
    rng = np.random.default_rng(1)
    rows = []
    for i in range(count):
        for word, label in (("warm", "yes"), ("cold", "no")):
            before, after = rng.integers(24, size=2)
            rows.append(f"w{before} {word} w{after} w{i} is,{label},{i}")
    path = folder / "planted.csv"
    path.write_text("\n".join(["text,label,group", *dict.fromkeys(rows)]))
    return path
