"""A Llama of any shape with random weights, written a block at a time."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch

from layeratlas.core.progress import Progress
from layeratlas.core.spec import DEFAULT_MODEL
from layeratlas.models.gguf_cache import unpack
from layeratlas.models.sources import find_source


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of a Llama in numbers of features, heads, blocks and tokens of the vocabulary."""

    width: int
    inner: int
    heads: int
    pairs: int
    vocabulary: int
    depth: int

    @property
    def block(self) -> int:
        """Numbers in one block."""
        shared = self.width * self.width * self.pairs // self.heads
        return 2 * self.width**2 + 2 * shared + 3 * self.width * self.inner + 2 * self.width

    def of_size(self, gigabytes: float) -> Shape:
        """Return the shape with as many blocks as make about that size in bfloat16."""
        depth = round((gigabytes * 1e9 / 2 - 2 * self.vocabulary * self.width) / self.block)
        return dataclasses.replace(self, depth=depth)


BILLION = Shape(width=2048, inner=5632, heads=16, pairs=16, vocabulary=49152, depth=16)
EIGHT_BILLION = Shape(width=4096, inner=14336, heads=32, pairs=8, vocabulary=128256, depth=32)
TINY = Shape(width=64, inner=128, heads=4, pairs=2, vocabulary=49152, depth=3)


def write_random(folder: Path, shape: Shape, device: str = "cpu", tokenizer: Path | None = None) -> None:
    """Write a random bfloat16 model, drawn on a device, with the tokenizer of a folder or else of the default model."""
    import transformers as hf
    from safetensors.torch import save_file

    hf.LlamaConfig(
        hidden_size=shape.width, intermediate_size=shape.inner, num_hidden_layers=shape.depth,
        num_attention_heads=shape.heads, num_key_value_heads=shape.pairs, vocab_size=shape.vocabulary,
        bos_token_id=0, eos_token_id=1, architectures=["LlamaForCausalLM"],
    ).save_pretrained(folder)  # fmt: skip
    known = tokenizer or unpack(find_source(DEFAULT_MODEL), Progress()).where["pretrained_model_name_or_path"]
    hf.AutoTokenizer.from_pretrained(known).save_pretrained(folder)
    torch.manual_seed(0)
    index: dict[str, str] = {}
    for layer in range(-1, shape.depth):
        file = f"model-{layer + 1:05d}.safetensors"
        names = {
            name: 0.02 * torch.randn(*size, device=device) if len(size) > 1 else torch.ones(size)
            for name, size in _sizes(shape, layer).items()
        }
        save_file(
            {name: weight.to("cpu", torch.bfloat16) for name, weight in names.items()},
            folder / file,
            metadata={"format": "pt"},
        )
        index |= dict.fromkeys(names, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


def _sizes(shape: Shape, layer: int) -> dict[str, tuple[int, ...]]:
    """Return the sizes of a block's tensors by name; those outside the blocks for layer -1."""
    d, kv = shape.width, shape.width * shape.pairs // shape.heads
    if layer < 0:
        outside = {f"{name}.weight": (shape.vocabulary, d) for name in ("model.embed_tokens", "lm_head")}
        return {**outside, "model.norm.weight": (d,)}
    sizes: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("self_attn.q_proj", "self_attn.o_proj"), (d, d)),
        **dict.fromkeys(("self_attn.k_proj", "self_attn.v_proj"), (kv, d)),
        **dict.fromkeys(("mlp.gate_proj", "mlp.up_proj"), (shape.inner, d)),
        "mlp.down_proj": (d, shape.inner),
        **dict.fromkeys(("input_layernorm", "post_attention_layernorm"), (d,)),
    }
    return {f"model.layers.{layer}.{name}.weight": size for name, size in sizes.items()}
